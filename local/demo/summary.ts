import * as z from 'zod';
import type { RunEnd, RunEvent } from '../../cli/runs/follow.ts';
import { formatDuration } from '../../core/units.ts';
import { readEnding } from '../../core/workflow/run-ending.ts';
import { RUN_STATES } from '../../core/workflow/states.ts';

const trainStep = z.looseObject({ job: z.literal('train'), pid: z.number().nullable() });

/** Collects the data of a run's summary from its events. */
export class RunRecord {
  readonly #states = new Map<string, { entered: number | null; ms: number; times: number }>();
  #pid: number | null = null;
  #accuracy: string | null = null;

  add(runEvent: RunEvent): void {
    if (runEvent.kind === 'line') {
      if (runEvent.line.job === 'train' && /accuracy/i.test(runEvent.line.text))
        this.#accuracy = runEvent.line.text.trim();
      return;
    }
    const { event } = runEvent;
    const state = this.#states.get(event.state) ?? { entered: null, ms: 0, times: 0 };
    if (event.kind === 'entered') {
      state.times += 1;
      state.entered = event.at;
    } else if (state.entered !== null) {
      state.ms += event.at - state.entered;
      state.entered = null;
    }
    this.#states.set(event.state, state);
    const output: unknown = event.output === null ? null : JSON.parse(event.output);
    this.#pid = trainStep.safeParse(output).data?.pid ?? this.#pid;
  }

  /** Seconds in each state, in the order of first entry. End states are left out: they take no time. */
  durations(endedAt: number): { state: string; seconds: number; times: number }[] {
    return [...this.#states]
      .filter(([state]) => state !== RUN_STATES.succeeded && state !== RUN_STATES.failed)
      .map(([state, { entered, ms, times }]) => ({
        state,
        seconds: (ms + (entered === null ? 0 : endedAt - entered)) / 1_000,
        times,
      }));
  }

  /** The rows of the summary: label and value. */
  rows(end: RunEnd): [string, string][] {
    const { outcome, message, next, exitCode, warnings, lastLines } = readEnding(end);
    const rows: [string, string | number | null][] = [
      ['outcome', outcome],
      ['error', end.error],
      ['message', message],
      ['next step', next],
      ['PID', this.#pid],
      ['exit code', exitCode],
      ['accuracy', this.#accuracy],
      ...warnings.map((warning): [string, string] => ['warning', warning]),
      ...lastLines.map((line, index): [string, string] => [index === 0 ? 'last lines' : '', line]),
      ...this.durations(end.endedAt).map(({ state, seconds, times }, index): [string, string] => [
        index === 0 ? 'states' : '',
        `${state.padEnd(22)}${formatDuration(seconds).padStart(12)}${times > 1 ? `  (${times} times)` : ''}`,
      ]),
    ];
    return rows.filter(([, value]) => value !== null).map(([label, value]) => [label, String(value)]);
  }
}
