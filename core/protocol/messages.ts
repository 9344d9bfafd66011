import type { JobName } from '../names.ts';

/** The TypeScript side of instance/CONTRACT.md. Times are epoch seconds by the instance's clock, sizes bytes. */
export const PROTOCOL = 1;
/** A request as JSON; document parameters are base64 of it. */
export const MAX_REQUEST_BYTES = 16 * 1024;

export interface SyncRequest {
  readonly url: string;
  readonly sha256: string;
  readonly bytes: number;
  readonly script: string;
  readonly requirements: string | null;
  readonly strip: string | null;
  readonly versionId: string | null;
}

export interface InstallRequest {
  readonly requirements: string;
  /** Hex SHA-256 of the installer, which the document `prepare-install` carries. */
  readonly program: string;
  readonly installer: 'auto' | 'uv' | 'pip';
  readonly python: string | null;
  readonly env: Readonly<Record<string, string>>;
  /** References by the name of the variable; left out: none. */
  readonly secrets?: Readonly<Record<string, string>>;
}

export interface TrainRequest {
  readonly script: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** References by the name of the variable; left out: none. */
  readonly secrets?: Readonly<Record<string, string>>;
  readonly python: string | null;
  readonly maxDuration: number;
  readonly stopGrace: number;
}

export interface RequestBase {
  readonly protocol: typeof PROTOCOL;
  readonly runner: string;
  readonly root: string;
  readonly home: string | null;
  readonly user: string | null;
  readonly run: { readonly id: string; readonly key: string; readonly arn: string };
  readonly project: string;
}

/** How much of the log to answer with. */
export interface LogWindow {
  readonly offset: number;
  readonly maxBytes: number;
}

export type JobWork =
  | { readonly sync: SyncRequest }
  | { readonly install: InstallRequest }
  | { readonly train: TrainRequest };

export type StartRequest = RequestBase &
  LogWindow & {
    readonly verb: 'start';
    readonly job: JobName;
    readonly notAfter: number;
    readonly wait: number;
    readonly ended: readonly string[];
    /** Of sync: leave a ticket that is void when not renewed for `ttl` seconds; null: do not wait. */
    readonly queue: { readonly ttl: number } | null;
  } & JobWork;
export type PollRequest = RequestBase &
  LogWindow & {
    readonly verb: 'poll';
    readonly job: JobName;
    /** A presigned URL for a chunk of log that does not fit the answer. */
    readonly put?: string;
  };
export type StopRequest = RequestBase & { readonly verb: 'stop'; readonly grace: number; readonly reason: string };
export type CollectRequest = RequestBase & {
  readonly verb: 'collect';
  /** Hex SHA-256 of the finisher, which the document `prepare-finish` carries. */
  readonly program: string;
  readonly grace: number;
  readonly wait: number;
  readonly outputs: readonly string[];
  readonly maxBytes: number;
};
export type UploadRequest = RequestBase & {
  readonly verb: 'upload';
  readonly program: string;
  readonly wait: number;
  readonly puts: Readonly<Record<string, string>>;
};
export type ReleaseRequest = RequestBase & { readonly verb: 'release' };
export type RunnerRequest = StartRequest | PollRequest | StopRequest | CollectRequest | UploadRequest | ReleaseRequest;

export type JobState = 'running' | 'exited' | 'stopped' | 'vanished' | 'absent' | 'busy' | 'refused';

export interface JobExit {
  readonly code: number | null;
  readonly signal: string | null;
  readonly endedAt: number;
  readonly maxRssBytes: number | null;
  readonly outOfMemory: boolean;
}

export interface JobProgress {
  readonly phase: string;
  readonly done: number | null;
  readonly total: number | null;
  readonly bytes: number | null;
  readonly elapsed: number | null;
  readonly current: string | null;
}

export interface LeaseHolder {
  readonly run: string;
  readonly arn: string;
  readonly since: number;
}

/** Where a run stands that waits for the instance. */
export interface QueuePlace {
  /** 1 is next. */
  readonly place: number;
  readonly length: number;
  readonly since: number;
  /** The oldest three before this run. */
  readonly ahead: readonly { readonly run: string; readonly arn: string }[];
}

export type JobResult = Readonly<Record<string, unknown>> & {
  readonly error?: { readonly name: string; readonly message: string };
};

export interface JobStatus {
  readonly job: JobName;
  readonly state: JobState;
  readonly reason: 'closed' | 'too-late' | 'no-lease' | 'stop' | 'max-duration' | null;
  readonly holder: LeaseHolder | null;
  readonly queue: QueuePlace | null;
  readonly pid: number | null;
  readonly startedAt: number | null;
  readonly now: number;
  readonly exit: JobExit | null;
  readonly progress: JobProgress | null;
  readonly result: JobResult | null;
  readonly log: {
    readonly offset: number;
    readonly bytes: number;
    readonly size: number;
    readonly data: string;
    /** Hex SHA-256 of the gzip that was PUT instead of answered. */
    readonly put: string | null;
  };
  readonly tail: readonly string[] | null;
  readonly bootId: string;
}

export type JobStates = Readonly<Partial<Record<JobName, JobState>>>;

export interface StopAnswer {
  readonly jobs: JobStates;
}

export interface CollectedFile {
  readonly name: string;
  readonly bytes: number;
  readonly sha256: string;
}

export interface CollectAnswer {
  readonly state: 'ending' | 'collecting' | 'collected';
  readonly jobs: JobStates;
  readonly files: readonly CollectedFile[] | null;
  readonly warnings: readonly string[];
}

export interface UploadAnswer {
  readonly state: 'uploading' | 'uploaded' | 'absent';
  readonly failed: Readonly<Record<string, string>>;
}

export interface ReleaseAnswer {
  readonly released: boolean;
  readonly jobs: JobStates;
}

export interface RunnerRefusal {
  readonly ok: false;
  readonly error: { readonly name: string; readonly message: string };
}

/** What the runner printed was not an answer: cut, garbled, empty, or of another protocol. */
export class UnreadableAnswer extends Error {
  override readonly name = 'UnreadableAnswer';
}

/**
 * Reads the one JSON object that the runner prints.
 * @throws UnreadableAnswer; never with the text itself, which may hold the user's log
 */
export function parseAnswer<T extends object>(stdout: string): T | RunnerRefusal {
  let value: unknown;
  try {
    value = JSON.parse(stdout);
  } catch {
    throw new UnreadableAnswer(`the runner's answer of ${stdout.length} characters is not JSON`);
  }
  if (typeof value !== 'object' || value === null || !('protocol' in value) || value.protocol !== PROTOCOL) {
    throw new UnreadableAnswer(`the runner's answer does not speak protocol ${PROTOCOL}`);
  }
  if (!('ok' in value) || typeof value.ok !== 'boolean') throw new UnreadableAnswer("the runner's answer has no ok");
  return value as unknown as T | RunnerRefusal;
}

export function isRefusal(answer: object): answer is RunnerRefusal {
  return 'ok' in answer && answer.ok === false;
}
