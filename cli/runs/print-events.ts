import type { JobName } from '../../core/names.ts';
import { formatDuration } from '../../core/units.ts';
import type { JobSnapshot } from '../../core/workflow/data.ts';
import type { RunEnding } from '../../core/workflow/run-ending.ts';
import { JOB_STATES, RUN_STATES } from '../../core/workflow/states.ts';
import { ENDINGS, hasResults, phaseOf, type RunPhase } from '../../core/workflow/vocabulary.ts';
import type { Style } from '../terminal/style.ts';
import { queueText, readSnapshot, startingOf } from './activity.ts';
import type { RunEnd, RunEvent } from './follow.ts';

export type Print = (line: string) => void;

const WIDTH = 9; // of "  12.3 s " in front of a state
const PHASE_WIDTH = 18; // of the longest phase

type LineEvent = Extract<RunEvent, { kind: 'line' }>;
type StateChange = Extract<RunEvent, { kind: 'state' }>;

/**
 * Prints a line for each phase of a run, and the jobs' log lines under it. The log of a sync that succeeds is one line, unless
 * `verbose`; a wait for the instance is one line, until the place in the queue or the holder changes.
 */
export function eventPrinter(
  print: Print,
  colors: Style,
  { verbose }: { readonly verbose: boolean } = { verbose: false },
): (event: RunEvent) => void {
  const jobColor: Record<JobName, (text: string) => string> = {
    sync: colors.blue,
    install: colors.magenta,
    restore: colors.cyan,
    train: colors.green,
  };
  let phase: RunPhase | null = null;
  let queue = '';
  let starting = '';
  /** Lines of a sync whose end is not known. */
  let held: LineEvent[] = [];
  let showsSync: boolean | null = verbose || null;

  const printLine = ({ line: { job, text } }: LineEvent) =>
    print(`${' '.repeat(WIDTH)}${jobColor[job](`${job.padEnd(7)} |`)} ${colors.log(text)}`);

  const printPhase = (next: RunPhase, sinceStart: number, detail: string) => {
    phase = next;
    const time = colors.dim(`${sinceStart.toFixed(1)} s`.padStart(WIDTH - 1));
    print(`${time} ${colors.bold(next)}${' '.repeat(PHASE_WIDTH - next.length)}${colors.dim(detail)}`);
  };

  const flush = () => {
    for (const line of held) printLine(line);
    held = [];
  };

  const onExit = ({ event, sinceStart }: StateChange) => {
    const waitsFor = event.state === RUN_STATES.find ? startingOf(event.output) : null;
    if (waitsFor !== null && waitsFor.message !== starting)
      printPhase('starting-instance', sinceStart, waitsFor.message);
    starting = waitsFor?.message ?? starting;
    const job = JOB_STATES[event.state];
    const snapshot = job === 'sync' ? readSnapshot(event.output) : null;
    if (snapshot === null) return;
    if (snapshot.state === 'busy') {
      const place = queueText(snapshot);
      if (place !== queue) printPhase('queued', sinceStart, place);
      queue = place;
    } else if (snapshot.ended) {
      const summary = snapshot.ok ? syncText(snapshot) : null;
      showsSync = verbose || summary === null;
      if (summary === null) flush();
      else if (!verbose) print(`${' '.repeat(WIDTH)}${jobColor.sync('sync    |')} ${summary}`);
      held = [];
    }
  };

  return (runEvent) => {
    if (runEvent.kind === 'line') {
      if (runEvent.line.job !== 'sync' || showsSync) printLine(runEvent);
      else if (showsSync === null) held.push(runEvent);
      return;
    }
    const { event, sinceStart } = runEvent;
    if (event.kind === 'exited') {
      onExit(runEvent);
      return;
    }
    const next = phaseOf(event.state);
    // The sync did not come to its own end.
    if (next === 'saving' && showsSync === null) {
      showsSync = true;
      flush();
    }
    // In the queue, a run asks for the instance again and again.
    const asksAgain = phase === 'queued' && event.state === RUN_STATES.sync;
    const looksAgain = phase === 'starting-instance' && next === 'finding-instance';
    const isShownOnExit = next === 'queued' || next === 'starting-instance';
    if (next !== phase && !isShownOnExit && !asksAgain && !looksAgain) printPhase(next, sinceStart, event.state);
  };
}

/** What a sync did; null for one of another version, whose log says it. */
function syncText({ result }: JobSnapshot): string | null {
  const { files, added, changed, removed, kept, cached } = (result ?? {}) as Record<string, unknown>;
  if (typeof files !== 'number' || !Array.isArray(kept)) return null;
  const all = `${files} ${files === 1 ? 'file' : 'files'}`;
  const counts = `${all}: ${added} added, ${changed} changed, ${removed} removed`;
  const aside = kept.length === 0 ? '' : `; kept on the instance under another name: ${kept.join(', ')}`;
  return `${cached === true ? `${all}, in place already` : counts}${aside}`;
}

/**
 * How the run ended, without the last lines of the log, which have been shown.
 * @param others what the run wrote and was not collected; null: nothing
 */
export function endLines(
  end: RunEnd,
  ending: RunEnding,
  { runId, others }: { readonly runId: string; readonly others: string | null },
  colors: Style,
): string[] {
  const { outcome } = ending;
  const color = { success: colors.green, requested: colors.yellow, failure: colors.red }[ENDINGS[outcome].kind];
  const title = `${outcome} after ${formatDuration((end.endedAt - end.startedAt) / 1_000)}`;
  const rows: [string, string | number | null][] = [
    ['outcome', outcome],
    ['message', ending.message],
    ['next step', outcome === 'succeeded' ? null : ending.next],
    ['exit code', ending.exitCode],
    ...ending.warnings.map((warning): [string, string] => ['warning', warning]),
    ['results', hasResults(outcome) ? `runctl pull ${runId}` : null],
    ['others', others],
  ];
  return [
    '',
    colors.bold(color(title.replace(/^./, (first) => first.toUpperCase()))),
    ...rows.filter(([, value]) => value !== null).map(([label, value]) => `  ${colors.dim(label.padEnd(9))} ${value}`),
  ];
}
