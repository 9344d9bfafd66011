import { gunzipSync } from 'node:zlib';
import type { JobName } from '../../../core/names.ts';
import type { JobStatus } from '../../../core/protocol/answers.ts';
import type { InstallRequest, RestoreRequest, SyncRequest, TrainRequest } from '../../../core/protocol/messages.ts';

/** A run as the requests of the Lambda functions name it. */
export interface TestRun {
  readonly id: string;
  readonly key: string;
  readonly arn: string;
}

/** The result of one command. */
export interface Reply<T> {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly millis: number;
  readonly answer: T;
}

export type Answer<T> = T & {
  readonly ok: boolean;
  readonly error?: { readonly name: string; readonly message: string };
};

export type JobFields =
  | { sync: Partial<SyncRequest> }
  | { install: Partial<InstallRequest> }
  | { restore: RestoreRequest }
  | { train: Partial<TrainRequest> };
export type Fields = Readonly<Record<string, unknown>>;

const DEFAULT_TRAIN = {
  script: 'train.py',
  args: [],
  env: {},
  secrets: {},
  python: null,
  maxDuration: 300,
  stopGrace: 5,
} satisfies TrainRequest;
/** A sync of an archive that cannot be fetched: nothing listens on the port. */
export const DEFAULT_SYNC: SyncRequest = {
  url: 'http://127.0.0.1:1/code.tar.gz?X-Amz-Signature=0123456789abcdef',
  sha256: '0'.repeat(64),
  bytes: 1,
  script: 'train.py',
  requirements: null,
  strip: null,
  versionId: null,
};
const DEFAULT_INSTALL = { requirements: 'requirements.txt', installer: 'auto', python: null, env: {}, secrets: {} };

/** The keys of a request that depend on the instance. */
interface RequestContext {
  common(verb: string, run: TestRun): Fields;
}

/** A start request. Missing keys get the defaults of a plain run. */
export function startRequest(instance: RequestContext, run: TestRun, work: JobFields, fields: Fields = {}): Fields {
  const job = Object.keys(work)[0] as JobName | 'restore';
  const { script, ...limits } = DEFAULT_TRAIN;
  const train = 'train' in work && ('module' in work.train || 'command' in work.train) ? limits : { script, ...limits };
  const defaults = { sync: DEFAULT_SYNC, install: DEFAULT_INSTALL, restore: {}, train }[job];
  return {
    ...instance.common('start', run),
    job,
    notAfter: Date.now() / 1000 + 60,
    wait: job === 'train' ? 0 : 5,
    offset: 0,
    maxBytes: 1_000_000,
    ended: [],
    queue: null,
    [job]: { ...defaults, ...Object.values(work)[0] },
    ...fields,
  };
}

/** The log bytes of an answer. */
export function logBytes(status: JobStatus): Buffer {
  const bytes = gunzipSync(Buffer.from(status.log.data, 'base64'));
  if (bytes.length !== status.log.bytes)
    throw new Error(`${bytes.length} bytes, and the answer says ${status.log.bytes}`);
  return bytes;
}
