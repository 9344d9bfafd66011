import type { createColors } from 'picocolors';
import type { JobName } from '../core/names.ts';
import type { RunEvent } from './follow-run.ts';

export type Colors = ReturnType<typeof createColors>;
export type Print = (line: string) => void;

const WIDTH = 9; // of "  12.3 s " in front of a state

/** Prints what a run shows: a line for each state that is entered, and the jobs' log lines under it. */
export function eventPrinter(print: Print, colors: Colors): (event: RunEvent) => void {
  const jobColor: Record<JobName, (text: string) => string> = {
    sync: colors.blue,
    install: colors.magenta,
    train: colors.green,
  };
  return (shown) => {
    if (shown.kind === 'line') {
      const { job, text } = shown.line;
      print(`${' '.repeat(WIDTH)}${jobColor[job](`${job.padEnd(7)} |`)} ${text}`);
      return;
    }
    const { event, sinceStart } = shown;
    if (event.kind === 'entered') {
      print(`${colors.dim(`${sinceStart.toFixed(1)} s`.padStart(WIDTH - 1))} ${colors.bold(event.state)}`);
    }
  };
}
