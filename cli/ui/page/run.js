import { RequestError, repeat, request } from './connection.js';
import {
  ago,
  announce,
  badge,
  clock,
  commandOf,
  drawing,
  duration,
  element,
  metricValue,
  money,
  setText,
} from './dom.js';
import { createLog } from './log.js';

/** @typedef {import('../view.ts').RunView} RunView */
/** @typedef {import('../view.ts').MetricView} MetricView */
/** @typedef {NonNullable<RunView['status']>} Status */

const POLL_MS = 2_000;
/** Curves that are drawn before the reader asks for all. */
const CURVES = 6;

/**
 * @param {HTMLElement} main
 * @param {string} id
 * @returns {() => void} ends it
 */
export function showRun(main, id) {
  document.title = `${id} · runctl`;
  let [metrics, usage] = ['', ''];
  let state = '';
  const word = element('span', { class: 'word' });
  const meaning = element('p', { class: 'meaning' });
  const stop = element('button', { type: 'button', hidden: true, click: () => confirmStop() }, 'Stop …');
  const pull = element(
    'button',
    { type: 'button', hidden: true, click: () => void startPull() },
    'Pull outputs and logs',
  );
  const result = element('p', { class: 'result', role: 'status' });
  const alert = element('section', { class: 'alert', hidden: true, 'aria-labelledby': 'alert' });
  const tiles = createTiles();
  const curves = createCurves();
  const machine = createUsage();
  const details = element('dl', { class: 'details' });
  const log = createLog((job) => {
    log.clear();
    chosen = job;
    end();
    end = start();
  });
  /** @type {string | null} */
  let chosen = null;
  main.append(
    element('p', { class: 'back' }, element('a', { href: '#/' }, '← All runs')),
    element('div', { class: 'title' }, element('h1', {}, id), word, element('span', { class: 'actions' }, stop, pull)),
    meaning,
    result,
    alert,
    tiles.list,
    curves.section,
    machine.section,
    log.section,
    element('section', { 'aria-labelledby': 'details' }, element('h2', { id: 'details' }, 'Details'), details),
  );

  /** @param {RunView} view */
  const show = (view) => {
    const { status } = view;
    const isOver = status !== null && status.outcome !== null;
    if (status !== null) {
      if (status.state !== state) {
        word.replaceChildren(badge(status.state, view.kind));
        if (state !== '') announce(`The run is ${status.state} now.`);
        state = status.state;
      }
      setText(meaning, `The run ${view.meaning}.${status.name === null ? '' : ` Name: ${status.name}.`}`);
      stop.hidden = isOver || status.state === 'stopping';
      // Of a run that goes on, what is finished.
      pull.hidden = !isOver && status.pid === null;
      setText(pull, isOver ? 'Pull outputs and logs' : 'Pull what is finished');
      showAlert(alert, status, view.kind);
      tiles.show(view, status);
      showDetails(details, status);
    }
    curves.show(view, isOver);
    metrics = view.metrics.version;
    usage = view.usage?.version ?? usage;
    machine.show(view.usage);
    log.show(view.log, isOver);
    showPull(view.pull);
  };

  const start = () =>
    repeat(
      () => {
        const { job, line } = log.has;
        const query = new URLSearchParams({ metrics, usage, line: String(line) });
        if (job !== null || chosen !== null) query.set('job', chosen ?? job ?? '');
        return `runs/${encodeURIComponent(id)}?${query}`;
      },
      POLL_MS,
      show,
    );
  let end = start();
  return () => end();

  function confirmStop() {
    const dialog = element(
      'dialog',
      { 'aria-labelledby': 'stop', close: () => dialog.remove() },
      element('h2', { id: 'stop' }, `Stop run ${id}?`),
      element(
        'p',
        {},
        'Its processes get TERM and time to write a checkpoint (stopGrace), then KILL. Outputs and logs are saved. A run in the queue leaves it. A stopped run cannot be continued.',
      ),
      element(
        'div',
        { class: 'actions' },
        element('button', { type: 'button', autofocus: true, click: () => dialog.close() }, 'Let it run'),
        element(
          'button',
          {
            type: 'button',
            class: 'danger',
            click: () => {
              dialog.close();
              void stopRun();
            },
          },
          'Stop the run',
        ),
      ),
    );
    document.body.append(dialog);
    dialog.showModal();
  }

  async function stopRun() {
    stop.disabled = true;
    setText(result, 'Stopping …');
    try {
      /** @type {import('../view.ts').StopView} */
      const stopped = await request(`runs/${encodeURIComponent(id)}/stop`, { method: 'POST' });
      setText(result, stopped.state === 'stopping' ? 'Stopping: its processes are being ended.' : stopped.message);
    } catch (error) {
      setText(result, failureText(error));
    }
    stop.disabled = false;
  }

  async function startPull() {
    setText(result, 'Downloading …');
    try {
      showPull(await request(`runs/${encodeURIComponent(id)}/pull`, { method: 'POST' }));
    } catch (error) {
      setText(result, failureText(error));
    }
  }

  /** @param {RunView['pull']} pulled */
  function showPull(pulled) {
    pull.disabled = pulled?.state === 'running';
    if (pulled === null) return;
    const warnings = pulled.warnings.map((text) => ` Warning: ${text}.`).join('');
    if (pulled.state === 'failed') setText(result, `${pulled.text} ${pulled.next ?? ''}`);
    else if (pulled.result === null) setText(result, `${pulled.text} …`);
    else {
      const { outcome, outputs, logs, folder } = pulled.result;
      const files = `${outputs} ${outcome === null ? 'finished files' : 'outputs'} and ${logs} logs`;
      setText(result, `Downloaded ${files} to ${folder}${warnings}`);
    }
  }
}

/** @param {unknown} error */
function failureText(error) {
  if (error instanceof RequestError) return `${error.message} ${error.next}`;
  return 'runctl ui does not answer. Is it still running?';
}

/**
 * What the reader must know first: why it failed, or what it waits for.
 * @param {HTMLElement} alert
 * @param {Status} status
 * @param {string} kind
 */
function showAlert(alert, status, kind) {
  const { queue, silentSince, message, next, signal, lastLines, error } = status;
  /** @type {(Node | string)[]} */
  let parts = [];
  if (message !== null && kind !== 'success') {
    const by = signal === null || message.includes(signal) ? '' : ` It was ended by ${signal}.`;
    // Of a traceback the last line says what happened.
    const last = lastLines.findLast((line) => line.trim() !== '');
    parts = [
      element('h2', { id: 'alert' }, kind === 'failure' ? 'Why it failed' : 'How it ended'),
      element('p', { class: 'message' }, `${message}${by}`),
      ...(last === undefined || kind !== 'failure' ? [] : [element('p', { class: 'reason' }, last)]),
      ...(next === null ? [] : [element('p', {}, element('strong', {}, 'What to do next: '), next)]),
      ...(lastLines.length === 0 ? [] : [lastLinesOf(lastLines)]),
      ...(error === null ? [] : [element('p', { class: 'note' }, `More about ${error}: docs/reference/errors.md`)]),
    ];
  } else if (queue !== null) {
    const place =
      queue.place === null ? 'It has no place yet' : `Place ${queue.place} of ${queue.length ?? queue.place}`;
    const waited =
      queue.since === null ? '' : `, waiting for ${duration((Date.now() - Date.parse(queue.since)) / 1_000)}`;
    const { holder } = queue;
    parts = [
      element('h2', { id: 'alert' }, 'In the queue for its instance'),
      element('p', { class: 'message' }, `${place}${waited}.`),
      holder === null
        ? element('p', {}, 'The instance is free, but other runs come first.')
        : element(
            'p',
            {},
            'The instance has run ',
            element('a', { href: `#/runs/${encodeURIComponent(holder.run)}` }, holder.run),
            `, since ${clock(holder.since)}.`,
          ),
    ];
  } else if (silentSince !== null) {
    parts = [
      element('h2', { id: 'alert' }, 'The instance does not answer'),
      element(
        'p',
        { class: 'message' },
        `For ${duration((Date.now() - Date.parse(silentSince)) / 1_000)}. The training may go on; runctl keeps asking.`,
      ),
    ];
  }
  for (const warning of status.warnings) parts.push(element('p', {}, element('strong', {}, 'Warning: '), warning));
  const text = parts.map((part) => (typeof part === 'string' ? part : part.textContent)).join('\n');
  alert.hidden = parts.length === 0;
  alert.className = `alert ${message === null ? 'waiting' : kind}`;
  // A selection in it stays.
  if (alert.dataset.text === text) return;
  alert.dataset.text = text;
  alert.replaceChildren(...parts);
  if (parts.length > 0 && parts.every((part) => !(part instanceof HTMLHeadingElement)))
    alert.prepend(element('h2', { id: 'alert' }, 'Warnings'));
}

/** @param {readonly string[]} lines */
function lastLinesOf(lines) {
  const text = element('pre', { tabindex: '0', 'aria-label': 'Last lines of the log' }, lines.join('\n'));
  // Its end is what counts, once it is in the page.
  requestAnimationFrame(() => {
    text.scrollTop = text.scrollHeight;
  });
  return element('details', { open: true }, element('summary', {}, 'Last lines of the log'), text);
}

/** The figures that people look for first. */
function createTiles() {
  const tiles = ['Loss', 'GPU', 'Cost so far', 'Time'].map((name) => {
    const term = element('dt', {}, name);
    const value = element('dd', { class: 'tile-value' }, '–');
    const about = element('dd', { class: 'tile-about' });
    return { term, value, about, tile: element('div', { class: 'tile' }, term, value, about) };
  });
  const [loss, gpu, cost, time] = tiles;
  return {
    list: element('dl', { class: 'tiles' }, ...tiles.map(({ tile }) => tile)),
    /** @param {RunView} view @param {Status} status */
    show(view, status) {
      const isOver = status.outcome !== null;
      const [first] = view.metrics.series ?? [];
      if (loss !== undefined && first !== undefined) {
        setText(loss.term, first.name);
        setText(loss.value, metricValue(first.last, first.gap));
        setText(loss.about, `step ${first.lastStep}, lowest ${metricValue(first.min, null)}`);
      } else if (loss !== undefined && loss.value.textContent === '–')
        setText(loss.about, isOver ? 'The log has no metrics that runctl recognizes.' : 'No metrics in the log yet.');
      if (gpu !== undefined) showBusy(gpu, view.usage, isOver);
      if (cost !== undefined) {
        setText(cost.term, isOver ? 'Cost' : 'Cost so far');
        showCost(cost, view, status);
      }
      if (time !== undefined) {
        setText(time.term, isOver ? 'Time' : 'Time so far');
        setText(time.value, duration(status.seconds));
        setText(time.about, timeText(status));
      }
    },
  };
}

/**
 * @param {{ value: HTMLElement, about: HTMLElement }} tile
 * @param {RunView} view
 * @param {Status} status
 */
function showCost({ value, about }, { costSoFarUsd }, { instanceCost, instanceType, maxCostUsd }) {
  if (instanceCost === null) {
    setText(value, money(costSoFarUsd));
    const machine = instanceType === null ? 'the instance' : `the instance (${instanceType})`;
    setText(about, `for runctl itself, without ${machine}`);
    return;
  }
  const { usd, usdPerHour, at } = instanceCost;
  setText(value, money(usd + (costSoFarUsd ?? 0)));
  const cap = maxCostUsd === null ? '' : `, of maxCost $${maxCostUsd}`;
  const price = `at $${Number(usdPerHour.toPrecision(5))} an hour, as of ${at.slice(0, 10)}`;
  setText(about, `estimate${cap}: the instance ${price}, and ${money(costSoFarUsd)} for runctl itself`);
}

/**
 * How busy the GPUs are; of an instance without one, its CPU.
 * @param {{ term: HTMLElement, value: HTMLElement, about: HTMLElement }} tile
 * @param {RunView['usage']} usage
 * @param {boolean} isOver
 */
function showBusy({ term, value, about }, usage, isOver) {
  if (usage === null) {
    setText(value, '–');
    setText(about, isOver ? 'Not measured.' : 'Not measured yet.');
    return;
  }
  const { gpus, cpuPercent, memoryPercent, at } = usage;
  const known = gpus.filter((gpu) => gpu !== null);
  const cpu = `CPU ${percent(cpuPercent)}, memory ${percent(memoryPercent)}`;
  const when = isOver ? ' at the end' : `, ${duration((Date.now() - at) / 1_000)} ago`;
  setText(term, gpus.length === 0 ? 'CPU (no GPU)' : 'GPU');
  if (gpus.length === 0) setText(value, percent(cpuPercent));
  else setText(value, known.length === 0 ? '–' : percent(known.reduce((sum, gpu) => sum + gpu, 0) / known.length));
  const each = gpus.length > 1 ? `each: ${gpus.map(percent).join(' ')}; ` : '';
  setText(about, `${each}${cpu}${when}`);
}

/** @param {number | null} value */
function percent(value) {
  return value === null ? '–' : `${Math.round(value)} %`;
}

function createUsage() {
  const grid = element('div', { class: 'curves' });
  const heading = element('h2', { id: 'usage' }, 'Usage');
  const section = element('section', { 'aria-labelledby': 'usage', hidden: true }, heading, grid);
  return {
    section,
    /** @param {RunView['usage']} usage */
    show(usage) {
      if (usage === null || usage.curves === null) return;
      section.hidden = false;
      const figures = usage.curves.map(({ name }) =>
        element(
          'figure',
          {},
          element('figcaption', {}, element('span', { class: 'curve-name' }, name)),
          element('div'),
        ),
      );
      for (const [index, figure] of figures.entries())
        figure.lastElementChild?.replaceChildren(drawing(usage.curves[index]?.svg ?? ''));
      grid.replaceChildren(...figures);
    },
  };
}

/** @param {Status} status */
function timeText({ trainingSeconds, queueSeconds, endsBy, endsByCost }) {
  return [
    trainingSeconds ? `trained for ${duration(trainingSeconds)}` : null,
    queueSeconds ? `queued for ${duration(queueSeconds)}` : null,
    endsBy === null
      ? null
      : `${duration((Date.parse(endsBy) - Date.now()) / 1_000)} left of ${endsByCost ? 'maxCost' : 'maxDuration'}`,
  ]
    .filter((part) => part !== null)
    .join(', ');
}

function createCurves() {
  const grid = element('div', { class: 'curves' });
  const note = element('p', { class: 'note' }, 'No metrics in the log yet.');
  const more = element('button', { type: 'button', hidden: true, click: () => expand() }, '');
  const section = element(
    'section',
    { 'aria-labelledby': 'curves' },
    element('h2', { id: 'curves' }, 'Metrics'),
    note,
    grid,
    more,
  );
  let isExpanded = false;
  /** @type {readonly MetricView[]} */
  let series = [];
  /** @type {Map<string, { figure: HTMLElement, update: (metric: MetricView) => void }>} */
  const figures = new Map();

  const render = () => {
    const drawn = isExpanded ? series : series.slice(0, CURVES);
    for (const metric of drawn) {
      const figure = figures.get(metric.name) ?? createFigure();
      if (!figures.has(metric.name)) grid.append(figure.figure);
      figures.set(metric.name, figure);
      figure.update(metric);
    }
    more.hidden = drawn.length === series.length;
    setText(more, `Show all ${series.length} curves`);
  };
  const expand = () => {
    isExpanded = true;
    render();
  };
  return {
    section,
    /** @param {RunView} view @param {boolean} isOver */
    show({ metrics }, isOver) {
      if (metrics.series !== null) {
        series = metrics.series;
        render();
      }
      note.hidden = series.length > 0;
      if (isOver)
        setText(note, 'The log has no metrics that runctl recognizes. docs/guide/metrics.md lists what it does.');
    },
  };
}

function createFigure() {
  const name = element('span', { class: 'curve-name' });
  const value = element('span', { class: 'curve-name' });
  const about = element('span', { class: 'curve-about' });
  const picture = element('div');
  const figure = element('figure', {}, element('figcaption', {}, name, value, about), picture);
  return {
    figure,
    /** @param {MetricView} metric */
    update(metric) {
      setText(name, metric.name);
      setText(value, metricValue(metric.last, metric.gap));
      const gap = metric.gapSince === null ? '' : ` Not a number since step ${metric.gapSince}.`;
      setText(
        about,
        `step ${metric.lastStep}, lowest ${metricValue(metric.min, null)}, highest ${metricValue(metric.max, null)}.${gap}`,
      );
      picture.replaceChildren(drawing(metric.svg));
    },
  };
}

/** @param {HTMLElement} list @param {Status} status */
function showDetails(list, status) {
  const { gitCommit, gitDirty, instance, instanceType, install } = status;
  const progress = install === null || status.job !== 'install' ? null : [install.phase, install.done, install.current];
  /** @type {readonly (readonly [string, string | null])[]} */
  const rows = [
    ['Project', status.project],
    ['What runs', commandOf(status)],
    ['Instance', instance && `${instance}${instanceType === null ? '' : ` (${instanceType})`}`],
    ['PID', status.pid === null ? null : String(status.pid)],
    ['Commit', gitCommit && `${gitCommit.slice(0, 10)}${gitDirty ? ', with uncommitted changes' : ''}`],
    ['Started by', status.startedBy],
    ['Started', `${clock(status.startedAt)} (${ago(status.startedAt)})`],
    ['Ended', status.endedAt && clock(status.endedAt)],
    ['Install', progress?.filter((part) => part !== null).join(', ') ?? null],
    ['Note', status.note],
    ['In a terminal', `runctl logs -f ${status.id}`],
  ];
  const shown = rows.filter(([, value]) => value !== null && value !== '');
  const text = JSON.stringify(shown);
  if (list.dataset.text === text) return;
  list.dataset.text = text;
  list.replaceChildren(...shown.flatMap(([name, value]) => [element('dt', {}, name), element('dd', {}, value ?? '')]));
}
