/** @typedef {import('../view.ts').ListedRun} ListedRun */

/**
 * Makes an element. Text is always text: nothing that a run has written becomes markup.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, string | boolean | ((event: Event) => void)>} [attributes] functions are listeners, true is an empty attribute
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function') made.addEventListener(name, value);
    else if (value !== false) made.setAttribute(name, value === true ? '' : value);
  }
  made.append(...children);
  return made;
}

/**
 * The element of the page with this id.
 * @param {string} id
 * @returns {HTMLElement}
 */
export function byId(id) {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no element ${id}`);
  return found;
}

/**
 * Sets a text only when it changes, so that a selection stays.
 * @param {Element} target
 * @param {string} text
 */
export function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

/** Drawings come from the server, which escapes their texts. Nothing else of the page becomes markup. */
const { trustedTypes } =
  /** @type {{ trustedTypes?: { createPolicy(name: string, rules: object): { createHTML(text: string): string } } }} */ (
    globalThis
  );
const drawings = trustedTypes?.createPolicy('drawing', { createHTML: (/** @type {string} */ svg) => svg });

/**
 * @param {string} svg
 * @returns {Node}
 */
export function drawing(svg) {
  const trusted = drawings?.createHTML(svg) ?? svg;
  const { documentElement } = new DOMParser().parseFromString(trusted, 'image/svg+xml');
  return document.importNode(documentElement, true);
}

/**
 * Tells people who do not see the page what has changed.
 * @param {string} text
 */
export function announce(text) {
  setText(byId('announcer'), text);
}

/**
 * `45s`, `3m 5s`, `2h 10m`, `3d 4h`.
 * @param {number} seconds
 */
export function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return `${whole}s`;
  if (whole < 3_600) return `${Math.floor(whole / 60)}m ${whole % 60}s`;
  if (whole < 86_400) return `${Math.floor(whole / 3_600)}h ${Math.floor((whole % 3_600) / 60)}m`;
  return `${Math.floor(whole / 86_400)}d ${Math.floor((whole % 86_400) / 3_600)}h`;
}

/** @param {string | number} at ISO 8601, or epoch milliseconds */
export function clock(at) {
  const time = new Date(at);
  const today = time.toDateString() === new Date().toDateString();
  return today ? time.toLocaleTimeString() : time.toLocaleString();
}

/** @param {string | null} at ISO 8601 */
export function ago(at) {
  return at === null ? '' : `${duration((Date.now() - Date.parse(at)) / 1_000)} ago`;
}

/** @param {number | null} dollars */
export function money(dollars) {
  if (dollars === null) return '–';
  return dollars > 0 && dollars < 0.001 ? 'below $0.001' : `$${dollars.toFixed(3)}`;
}

/** @param {number | null} value @param {string | null | undefined} gap */
export function metricValue(value, gap) {
  return value === null ? String(gap ?? '–') : String(Number(value.toPrecision(5)));
}

/** @param {string} state @param {string} kind */
export function badge(state, kind) {
  return element('span', { class: `badge ${kind}` }, state);
}

/**
 * An argument as a shell would show it.
 * @param {Pick<ListedRun, 'script' | 'args'>} run
 */
export function commandOf({ script, args }) {
  const quoted = (args ?? []).map((arg) => (/^[\w./:=,@%+-]+$/.test(arg) ? arg : JSON.stringify(arg)));
  return script === null ? '–' : [script, ...quoted].join(' ');
}
