import type { JobName } from '../names.ts';

/** The TypeScript side of instance/CONTRACT.md. Times are epoch seconds by the instance's clock, sizes bytes. */
export const PROTOCOL = 1;
/** Of attempts of a run. */
export const MAX_ATTEMPT = 1_000;
/** A request as JSON; document parameters are base64 of it. */
export const MAX_REQUEST_BYTES = 16 * 1024;
/** A single PUT to S3 takes no more. */
export const MAX_PUT_BYTES = 5_000_000_000;

export interface SyncRequest {
  readonly url: string;
  readonly sha256: string;
  readonly bytes: number;
  /** Of a run that starts a script: it has to be in the archive. */
  readonly script: string | null;
  readonly requirements: string | null;
  readonly strip: string | null;
  readonly versionId: string | null;
  /** Folders to create in the project; left out: none. */
  readonly folders?: readonly string[];
  /** The sync may remove many files; left out: no. */
  readonly allowRemovals?: boolean;
  /** The sync may replace the code of another source; left out: no. */
  readonly takeOver?: boolean;
  /** A presigned URL of the archive's index; left out or null: there is none. */
  readonly index?: string | null;
}

export interface InstallRequest {
  readonly requirements: string;
  readonly installer: 'auto' | 'uv' | 'pip';
  readonly python: string | null;
  /** Left out: shared. */
  readonly environment?: 'shared' | 'project';
  readonly env: Readonly<Record<string, string>>;
  /** References by the name of the variable; left out: none. */
  readonly secrets?: Readonly<Record<string, string>>;
  /** Seconds; left out: what the runner gives an install at most. */
  readonly maxDuration?: number;
  /** A new environment of the project's own is restored from S3, or may be stored there; left out: no. */
  readonly reuse?: boolean;
  /** An `EnvironmentList` as JSON; left out or null: none is stored. */
  readonly environments?: ListReference | null;
}

/** A presigned URL of a list, with digest and size of that. */
export interface ListReference {
  readonly url: string;
  readonly sha256: string;
  readonly bytes: number;
}

/** Environments of the project that are in S3: what is behind the URL in an `InstallRequest`. */
export interface EnvironmentList {
  readonly version: 1;
  readonly environments: readonly {
    /** Hex. The instance knows which one it needs. */
    readonly key: string;
    /** Of the archive. */
    readonly sha256: string;
    readonly bytes: number;
    /** Presigned URLs, in order. */
    readonly parts: readonly { readonly url: string; readonly bytes: number }[];
  }[];
}

/** Brings a checkpoint back into the project. */
export interface RestoreRequest {
  /** A `RestoreList` as JSON. */
  readonly list: ListReference;
  /** Of the checkpoint: its path in the project. */
  readonly name: string;
}

/** What is behind the URL of a `RestoreRequest`. */
export interface RestoreList {
  readonly version: 1;
  readonly name: string;
  /** Paths are in the project. The parts of a file are in its order. */
  readonly files: readonly {
    readonly path: string;
    readonly bytes: number;
    /** Presigned URLs; hex MD5. */
    readonly parts: readonly { readonly url: string; readonly bytes: number; readonly md5: string }[];
  }[];
}

/** What a training starts. */
export type EntryRequest =
  | { readonly script: string }
  | { readonly module: string }
  | { readonly command: readonly string[] };

export type TrainRequest = TrainLimits & EntryRequest;

export interface TrainLimits {
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** References by the name of the variable; left out: none. */
  readonly secrets?: Readonly<Record<string, string>>;
  readonly python: string | null;
  /** Left out: shared. */
  readonly environment?: 'shared' | 'project';
  readonly maxDuration: number;
  readonly stopGrace: number;
  /** Seconds; left out: 60. */
  readonly lingerGrace?: number;
  /** Which checkpoints are sent to S3 while it runs; left out or null: none. */
  readonly checkpoints?: CheckpointsRequest | null;
  /** The checkpoint from which it goes on, a path in the project; left out or null: none. */
  readonly resumeFrom?: string | null;
}

export interface CheckpointsRequest {
  /** In the project; null: the usual places. */
  readonly folder: string | null;
  /** Seconds between two of a series; 0: all that can be sent in time. */
  readonly every: number;
  /** Of the first one: the sequence numbers of a lineage go on. */
  readonly firstSeq: number;
}

/** The right to send checkpoints for as long as S3 accepts its policy, 300 s. */
export interface CheckpointGrant {
  readonly url: string;
  /** Of the form, the signed policy among them; the instance adds `key` and `Content-MD5`. */
  readonly fields: Readonly<Record<string, string>>;
  /** Of every key. */
  readonly prefix: string;
  /** Checkpoints up to this number are committed. */
  readonly committed: number;
  /** A file of more bytes is sent in parts. */
  readonly wholeBytes: number;
  readonly partBytes: number;
}

export interface RequestBase {
  readonly protocol: typeof PROTOCOL;
  readonly root: string;
  readonly home: string | null;
  readonly user: string | null;
  /** Users that the instance's tags allow beside the runner's own; null: not known. */
  readonly users: readonly string[] | null;
  /** Projects that the instance's tags allow; null: every project. */
  readonly projects: readonly string[] | null;
  readonly run: { readonly id: string; readonly key: string; readonly arn: string };
  readonly project: string;
}

/** With any request, for an instance that lacks the program: the document fetches it, and takes this key away. */
export interface BringRequest {
  /** A presigned URL. */
  readonly program?: { readonly url: string };
}

/** How much of the log to answer with. */
export interface LogWindow {
  readonly offset: number;
  readonly maxBytes: number;
}

export type JobWork =
  | { readonly sync: SyncRequest }
  | { readonly install: InstallRequest }
  | { readonly restore: RestoreRequest }
  | { readonly train: TrainRequest };

export type StartRequest = RequestBase &
  LogWindow & {
    readonly verb: 'start';
    readonly job: JobName;
    /** Of the run, from 1 to `MAX_ATTEMPT`; left out: 1. */
    readonly attempt?: number;
    readonly notAfter: number;
    readonly wait: number;
    readonly ended: readonly string[];
    /** Of sync: leave a ticket that is void when not renewed for `ttl` seconds; null: do not wait. */
    readonly queue: { readonly ttl: number } | null;
    /** Of install: start a job that was interrupted again, once. Of restore: also one that failed, three times. Left out: false. */
    readonly again?: boolean;
    /** Of sync: the instance shuts itself down when nobody has used it for so many seconds; left out or null: never. */
    readonly shutdown?: { readonly after: number } | null;
    /** Jobs may reach the instance metadata service; left out: false. */
    readonly imds?: boolean;
  } & JobWork;
export type PollRequest = RequestBase &
  LogWindow & {
    readonly verb: 'poll';
    readonly job: JobName;
    /** Left out: 1. */
    readonly attempt?: number;
    /** A presigned URL for a chunk of log that does not fit the answer. */
    readonly put?: string;
    /** With the times of the log; left out: no. */
    readonly times?: boolean;
    /** Of a training; left out or null: checkpoints wait. */
    readonly checkpoints?: CheckpointGrant | null;
    /** Of a training, the right to store the environment of its install; left out or null: it is not stored. */
    readonly environment?: PartsGrant | null;
  };
export type StopRequest = RequestBase & { readonly verb: 'stop'; readonly grace: number; readonly reason: string };
/** Which of the files that match `outputs` are collected. */
export type OutputsFrom = 'run' | 'all';
/** Which files are packed. */
interface OutputSelection {
  readonly outputs: readonly string[];
  /** `run`: only files that the run created or changed; `all`: also older ones. Left out: `run`. */
  readonly outputsFrom?: OutputsFrom;
  /** Of the archive. */
  readonly maxBytes: number;
}
export type CollectRequest = RequestBase &
  OutputSelection & {
    readonly verb: 'collect';
    readonly grace: number;
    readonly wait: number;
    /** As maxBytes, of an instance that sends larger files in parts; left out: 0. */
    readonly maxBytesInParts?: number;
  };
export type UploadRequest = RequestBase & {
  readonly verb: 'upload';
  readonly wait: number;
  readonly puts: Readonly<Record<string, string>>;
  /** Files that are sent in parts; left out: none. */
  readonly parts?: Readonly<Record<string, PartsGrant>>;
};
/** The right to send a file in parts for as long as S3 accepts its policy, 300 s. */
export interface PartsGrant extends Pick<CheckpointGrant, 'url' | 'fields' | 'prefix'> {
  readonly partBytes: number;
}
/** Sends files of a run's project to S3 for a person. Changes nothing of the run. */
export type FetchRequest = RequestBase &
  OutputSelection & {
    readonly verb: 'fetch';
    /** Chosen by the caller: requests with the same id continue the same work. */
    readonly id: string;
    readonly wait: number;
    /** A presigned URL; left out: the files are packed and not sent yet. */
    readonly put?: string;
  };
export type ReleaseRequest = RequestBase & { readonly verb: 'release' };
/** Asks whether the instance may be stopped; if so, nothing starts on it until its next boot. */
export type IdleRequest = RequestBase & {
  readonly verb: 'idle';
  /** Seconds that no run has used it. */
  readonly quiet: number;
  /** Also when another run than this one used it last; left out: false. */
  readonly anyRun?: boolean;
};
/** Has what must not be in an image removed from a builder, and the builder powered off. */
export type ScrubRequest = RequestBase & {
  readonly verb: 'scrub';
  readonly image: {
    /** Of what the image has: a name of at most 128 characters. */
    readonly key: string;
    /** The AMI that the builder was started from. */
    readonly base: string;
  };
  /** Seconds before it begins, from 0 to 60, so that the answer arrives. */
  readonly delay: number;
};
export type RunnerRequest =
  | StartRequest
  | PollRequest
  | StopRequest
  | CollectRequest
  | UploadRequest
  | ReleaseRequest
  | FetchRequest
  | IdleRequest
  | ScrubRequest;
