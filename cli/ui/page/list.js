import { repeat } from './connection.js';
import { ago, announce, badge, commandOf, duration, element, metricValue, money, setText } from './dom.js';

/** @typedef {import('../view.ts').ListView} ListView */
/** @typedef {import('../view.ts').ListedRun} ListedRun */

const POLL_MS = 3_000;

/** @type {readonly { heading: string, text: (run: ListedRun) => string, className?: string }[]} */
const COLUMNS = [
  { heading: 'Started', text: ({ startedAt }) => ago(startedAt) },
  { heading: 'Duration', text: ({ seconds }) => duration(seconds) },
  { heading: 'Latest metric', text: headline, className: 'number' },
  {
    heading: 'Cost',
    text: ({ instanceCostUsd, costUsd, costSoFarUsd }) => {
      const ofRunctl = costUsd ?? costSoFarUsd;
      if (instanceCostUsd !== null) return money(instanceCostUsd + (ofRunctl ?? 0));
      return ofRunctl === null ? '–' : `${money(ofRunctl)} for runctl`;
    },
    className: 'number',
  },
  { heading: 'What runs', text: commandOf, className: 'command' },
  { heading: 'Instance', text: ({ instance }) => instance ?? '–' },
];

/**
 * @param {HTMLElement} main
 * @param {{ hasProject: boolean, all: boolean }} scope
 * @returns {() => void} ends it
 */
export function showList(main, { hasProject, all }) {
  document.title = 'Runs · runctl';
  const rows = element('tbody');
  const note = element('p', { class: 'note' }, 'Reading the runs …');
  const heading = element('h1', {}, all ? 'Runs of all projects' : 'Runs of this project');
  const other = element('a', { href: all ? '#/' : '#/all' }, all ? 'Show this project' : 'Show all projects');
  const headings = ['State', 'Run', ...(all ? ['Project'] : []), ...COLUMNS.map((column) => column.heading)];
  const table = element(
    'table',
    { hidden: true },
    element('caption', { class: 'visually-hidden' }, 'Runs, newest first'),
    element('thead', {}, element('tr', {}, ...headings.map((text) => element('th', { scope: 'col' }, text)))),
    rows,
  );
  const title = element('div', { class: 'title' }, heading, ...(hasProject ? [other] : []));
  main.append(title, note, element('div', { class: 'wide' }, table));
  /** @type {Map<string, { row: HTMLTableRowElement, state: string }>} */
  const shown = new Map();

  /** @param {ListView} view */
  const show = ({ runs, isPartial, project, readAt }) => {
    table.hidden = runs.length === 0;
    setText(note, noteText(runs.length, isPartial, all ? null : project, readAt === null));
    note.hidden = note.textContent === '';
    for (const [index, run] of runs.entries()) {
      const before = shown.get(run.id);
      const row = before?.row ?? createRow(run, all);
      updateRow(row, run, all);
      if (before !== undefined && before.state !== run.state)
        announce(`Run ${run.id}: ${before.state}, now ${run.state}`);
      shown.set(run.id, { row, state: run.state });
      // Moving a row takes the focus from its link.
      if (rows.children[index] !== row) rows.insertBefore(row, rows.children[index] ?? null);
    }
    while (rows.children.length > runs.length) rows.lastElementChild?.remove();
  };
  return repeat(() => `runs${all ? '?all=1' : ''}`, POLL_MS, show);
}

/**
 * @param {number} count
 * @param {boolean} isPartial
 * @param {string | null} project
 * @param {boolean} isUnread
 */
function noteText(count, isPartial, project, isUnread) {
  if (isPartial || isUnread) return count === 0 ? 'Reading the runs …' : 'Reading older runs …';
  if (count > 0) return '';
  return project === null
    ? 'There are no runs yet. To start one: runctl run'
    : `The project ${project} has no runs yet. To start one: runctl run`;
}

/** @param {ListedRun} run @param {boolean} all */
function createRow({ id }, all) {
  const link = element('a', { href: `#/runs/${encodeURIComponent(id)}` }, id);
  const cells = COLUMNS.map(({ className }) => element('td', className === undefined ? {} : { class: className }));
  return element(
    'tr',
    {},
    element('td', { class: 'state' }),
    element('th', { scope: 'row' }, link, element('span', { class: 'label' })),
    ...(all ? [element('td')] : []),
    ...cells,
  );
}

/** @param {HTMLTableRowElement} row @param {ListedRun} run @param {boolean} all */
function updateRow(row, run, all) {
  const [state, name, ...cells] = [...row.cells];
  if (state !== undefined && state.textContent !== run.state) state.replaceChildren(badge(run.state, run.kind));
  state?.setAttribute('title', `The run ${run.meaning}.`);
  setText(/** @type {Element} */ (name?.lastElementChild), run.name ?? '');
  if (all) setText(/** @type {Element} */ (cells.shift()), run.project ?? '–');
  for (const [index, column] of COLUMNS.entries()) {
    const cell = cells[index];
    if (cell !== undefined) setText(cell, column.text(run));
  }
}

/** @param {ListedRun} run */
function headline({ headline: metric }) {
  return metric === null ? '–' : `${metric.name} ${metricValue(metric.value, metric.gap)}`;
}
