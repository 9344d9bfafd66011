import type { Instance, JobInput, JobSnapshot } from '../workflow/data.ts';

/** What a run has to tell while it lasts. Its end is told by its manifest. */
export type News = StartedNews | WaitingNews;

interface NewsOfRun {
  readonly run: { readonly id: string; readonly arn: string };
  readonly project: string;
  readonly instance: Pick<Instance, 'id' | 'type'>;
}

/** The process trains. */
export interface StartedNews extends NewsOfRun {
  readonly news: 'started';
  readonly script: string;
  readonly pid: number | null;
  /** Why people should not expect too much of it. */
  readonly warnings: readonly string[];
}

/** The instance has been another's for long. */
export interface WaitingNews extends NewsOfRun {
  readonly news: 'waiting';
  /** Seconds. */
  readonly waited: number;
  readonly holder: string | null;
  readonly place: number | null;
}

export function startedNews(input: JobInput, step: JobSnapshot): StartedNews {
  const { spec, warnings } = input;
  return { ...aboutRun(input), news: 'started', script: spec.script, pid: step.pid, warnings };
}

export function waitingNews(input: JobInput, step: JobSnapshot, waited: number): WaitingNews {
  const place = step.queue?.place ?? null;
  return { ...aboutRun(input), news: 'waiting', waited, holder: step.holder?.run ?? null, place };
}

function aboutRun({ run, spec, instance }: JobInput): NewsOfRun {
  return {
    run: { id: run.id, arn: run.arn },
    project: spec.project,
    instance: { id: instance.id, type: instance.type },
  };
}
