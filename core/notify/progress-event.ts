import { entryText } from '../spec/entry.ts';
import type { Instance, JobInput, JobSnapshot } from '../workflow/data.ts';

/** What people are notified of while a run lasts. Its end is in its manifest. */
export type RunProgressEvent = RunStarted | RunWaiting;

interface EventOfRun {
  readonly run: { readonly id: string; readonly arn: string };
  readonly project: string;
  readonly instance: Pick<Instance, 'id' | 'type'>;
}

/** The training process runs. */
export interface RunStarted extends EventOfRun {
  readonly kind: 'started';
  readonly script: string;
  readonly pid: number | null;
  readonly warnings: readonly string[];
}

/** Another run has held the instance for a long time. */
export interface RunWaiting extends EventOfRun {
  readonly kind: 'waiting';
  /** Seconds. */
  readonly waited: number;
  readonly holder: string | null;
  readonly place: number | null;
}

export function runStarted(input: JobInput, step: JobSnapshot): RunStarted {
  const { spec, warnings } = input;
  return { ...aboutRun(input), kind: 'started', script: entryText(spec) ?? '', pid: step.pid, warnings };
}

export function runWaiting(input: JobInput, step: JobSnapshot, waited: number): RunWaiting {
  const place = step.queue?.place ?? null;
  return { ...aboutRun(input), kind: 'waiting', waited, holder: step.holder?.run ?? null, place };
}

function aboutRun({ run, spec, instance }: JobInput): EventOfRun {
  return {
    run: { id: run.id, arn: run.arn },
    project: spec.project,
    instance: { id: instance.id, type: instance.type },
  };
}
