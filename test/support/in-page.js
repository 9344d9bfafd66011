/** Functions that tests run in a page. */

/** @typedef {readonly [number, number, number, number]} Color */

// biome-ignore-all lint/correctness/noUnusedVariables: a test calls them by name

/** @param {string} selector */
function textOf(selector) {
  const found = /** @type {HTMLElement | null} */ (document.querySelector(selector));
  return found?.innerText ?? '';
}

function focusedElement() {
  const element = document.activeElement;
  if (element === null) return 'nothing';
  const name = element.getAttribute('aria-label') ?? element.textContent ?? '';
  return `${name.slice(0, 20)} ${getComputedStyle(element).outlineStyle}`;
}

function contrastProblems() {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  if (canvas === null) return ['there is no canvas'];
  /** @param {string} color @returns {Color} */
  const parse = (color) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    const [red = 0, green = 0, blue = 0, alpha = 0] = canvas.getImageData(0, 0, 1, 1).data;
    return [red, green, blue, alpha / 255];
  };
  /** @param {Color} top @param {Color} bottom @returns {Color} */
  const over = (top, bottom) => {
    /** @param {0 | 1 | 2} index */
    const mix = (index) => top[index] * top[3] + bottom[index] * (1 - top[3]);
    return [mix(0), mix(1), mix(2), 1];
  };
  /** @param {Element | null} element @returns {Color} */
  const behind = (element) => {
    if (element === null) return [255, 255, 255, 1];
    const color = parse(getComputedStyle(element).backgroundColor);
    return color[3] === 1 ? color : over(color, behind(element.parentElement));
  };
  /** @param {Color} color */
  const light = ([red, green, blue]) => {
    const linear = [red, green, blue].map((part) =>
      part / 255 <= 0.04045 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4,
    );
    return 0.2126 * (linear[0] ?? 0) + 0.7152 * (linear[1] ?? 0) + 0.0722 * (linear[2] ?? 0);
  };
  /** @type {string[]} */
  const problems = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node !== null; node = walker.nextNode()) {
    const element = node.parentElement;
    const shown = node.textContent?.trim() ?? '';
    if (element === null || shown === '' || !element.checkVisibility()) continue;
    if (element.closest('.visually-hidden, title, desc, script') !== null) continue;
    const style = getComputedStyle(element);
    const ground = behind(element);
    const color = over(parse(element instanceof SVGElement ? style.fill : style.color), ground);
    const [high = 0, low = 0] = [light(color), light(ground)].sort((a, b) => b - a);
    const ratio = (high + 0.05) / (low + 0.05);
    const size = Number.parseFloat(style.fontSize);
    const isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (isLarge ? 3 : 4.5)) problems.push(`${shown.slice(0, 30)}: ${ratio.toFixed(2)}`);
  }
  return problems;
}
