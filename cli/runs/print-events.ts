import type { JobName } from '../../core/names.ts';
import { formatDuration } from '../../core/units.ts';
import type { RunEnding } from '../../core/workflow/run-ending.ts';
import type { Style } from '../terminal/style.ts';
import type { RunEnd, RunEvent } from './follow.ts';

export type Print = (line: string) => void;

const WIDTH = 9; // of "  12.3 s " in front of a state

/** Prints a line for each state that is entered, and the jobs' log lines under it. */
export function eventPrinter(print: Print, colors: Style): (event: RunEvent) => void {
  const jobColor: Record<JobName, (text: string) => string> = {
    sync: colors.blue,
    install: colors.magenta,
    train: colors.green,
  };
  return (runEvent) => {
    if (runEvent.kind === 'line') {
      const { job, text } = runEvent.line;
      print(`${' '.repeat(WIDTH)}${jobColor[job](`${job.padEnd(7)} |`)} ${colors.log(text)}`);
      return;
    }
    const { event, sinceStart } = runEvent;
    if (event.kind === 'entered') {
      print(`${colors.dim(`${sinceStart.toFixed(1)} s`.padStart(WIDTH - 1))} ${colors.bold(event.state)}`);
    }
  };
}

/** How the run ended, without the last lines of the log, which have been shown. */
export function endLines(end: RunEnd, ending: RunEnding, runId: string, colors: Style): string[] {
  const succeeded = end.status === 'SUCCEEDED';
  const title = `${succeeded ? 'Succeeded' : 'Failed'} after ${formatDuration((end.endedAt - end.startedAt) / 1_000)}`;
  const rows: [string, string | number | null][] = [
    ['outcome', ending.outcome],
    ['message', ending.message],
    ['next step', ending.next],
    ['exit code', ending.exitCode],
    ...ending.warnings.map((warning): [string, string] => ['warning', warning]),
    ['results', `runctl pull ${runId}`],
  ];
  return [
    '',
    colors.bold(succeeded ? colors.green(title) : colors.red(title)),
    ...rows.filter(([, value]) => value !== null).map(([label, value]) => `  ${colors.dim(label.padEnd(9))} ${value}`),
  ];
}
