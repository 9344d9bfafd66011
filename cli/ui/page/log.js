import { element, setText } from './dom.js';

/** @typedef {import('../view.ts').RunView} RunView */

/** Lines that the page keeps. */
const MAX_LINES = 2_000;
/** So near to its end a log is at its end, px. */
const NEAR = 24;
/** @type {Readonly<Record<string, string>>} */
const JOBS = { train: 'Training', install: 'Installing the requirements', sync: 'Copying the code' };

/**
 * The log of a job, which follows its end until the reader scrolls up.
 * @param {(job: string) => void} onJob
 */
export function createLog(onJob) {
  let isFollowing = true;
  let waiting = 0;
  let last = 0;
  /** @type {string | null} */
  let job = null;
  const lines = element('div', {
    class: 'log',
    role: 'log',
    'aria-live': 'off',
    'aria-label': 'Log',
    tabindex: '0',
    scroll: onScroll,
  });
  const earlier = element('p', { class: 'note', hidden: true });
  const paused = element('p', { class: 'paused', hidden: true });
  const pausedText = element('span');
  paused.append(pausedText, element('button', { type: 'button', click: follow }, 'Go to the newest line'));
  const options = Object.entries(JOBS).map(([name, text]) => element('option', { value: name }, text));
  const select = element('select', { id: 'job', change: () => onJob(select.value) }, ...options);
  const heading = element('div', { class: 'title' }, element('h2', { id: 'log' }, 'Log'));
  heading.append(element('label', { for: 'job' }, 'of '), select);
  const section = element('section', { 'aria-labelledby': 'log' }, heading, earlier, lines, paused);

  return {
    section,
    /** What the page has, for the next request. */
    get has() {
      return { job, line: last };
    },
    /** Another job's log is shown. */
    clear() {
      lines.replaceChildren();
      [job, last, waiting] = [null, 0, 0];
      follow();
    },
    /** @param {RunView['log']} log @param {boolean} isOver */
    show(log, isOver) {
      job = log.job;
      if (select.value !== log.job) select.value = log.job;
      const added = log.lines.filter(({ number }) => number > last);
      const [first] = added;
      if (first !== undefined && last > 0 && first.number > last + 1)
        lines.append(element('div', { class: 'skipped' }, `${first.number - last - 1} lines are not shown here`));
      for (const { text } of added) lines.append(element('div', {}, text));
      last = added.at(-1)?.number ?? last;
      if (isFollowing) {
        while (lines.childElementCount > MAX_LINES) lines.firstElementChild?.remove();
        if (added.length > 0) lines.scrollTop = lines.scrollHeight;
      } else waiting += added.length;
      const hidden = log.total - lines.childElementCount;
      earlier.hidden = log.total > 0 && hidden <= 0;
      lines.hidden = log.total === 0;
      if (log.total === 0) setText(earlier, isOver ? 'This job has no log.' : 'This job has written nothing yet.');
      else setText(earlier, `${hidden} earlier lines are not shown. All of them: runctl logs --raw`);
      showPause();
    },
  };

  function onScroll() {
    const isAtEnd = lines.scrollTop + lines.clientHeight >= lines.scrollHeight - NEAR;
    if (isAtEnd) waiting = 0;
    isFollowing = isAtEnd;
    showPause();
  }

  function follow() {
    isFollowing = true;
    waiting = 0;
    lines.scrollTop = lines.scrollHeight;
    showPause();
  }

  function showPause() {
    paused.hidden = isFollowing;
    setText(pausedText, `Paused, because you scrolled up. ${waiting} new lines. `);
  }
}
