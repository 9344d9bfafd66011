import { type ErrorName, RunError } from '../errors.ts';
import { accept, requestBase } from '../job/instance-commands.ts';
import { type JobPorts, requestJobStatus } from '../job/job-status.ts';
import { SILENCE } from '../job/poll-job.ts';
import { saveCheckpoints } from '../job/save-checkpoints.ts';
import { shipLog, VISIT_MS } from '../job/ship-log.ts';
import { JOBS, type JobName, runFileKey } from '../names.ts';
import type { CollectedFile, JobStates } from '../protocol/answers.ts';
import { type CollectRequest, MAX_PUT_BYTES, MAX_REQUEST_BYTES, type UploadRequest } from '../protocol/messages.ts';
import type { CleanUpProgress, Instance, RunFacts, StepContext, VerifyOutput } from '../workflow/data.ts';
import { nextWait } from '../workflow/poll-timing.ts';
import { MAX_OUTPUT_BYTES, type OutputParts, PartsBroken, partsPrefix } from './output-parts.ts';

/** The instance answers within this time, whether it is done or not. */
const WAIT_THERE_S = 8;
/** A phase that lasts longer is given up: 5 GB at 1 MB/s are 1.4 hours. */
const LONGEST_PHASE_S = 2 * 3_600;
/** Of saving the last checkpoints, beside the time that the training has to end: the keeper sends for 60 s after it. */
const LONGEST_SAVE_S = 90;
/** Of the upload, for large outputs. */
const LONGEST_UPLOAD_S = 6 * 3_600;
const SLOWEST_BYTES_PER_S = 25e6;
const LONG_WAIT_S = 20;
/** By then a function that was under way when the run failed has sent its log, and CloudWatch shows it, which takes up to ten seconds. */
export const LAST_SEND_MS = VISIT_MS + 10_000;

export interface CleanUpPorts extends JobPorts {
  /** A URL that takes one PUT to `key` of the bucket. */
  readonly presignPut: (key: string) => Promise<string>;
  /** For files that one PUT does not take; left out: there are none. */
  readonly parts?: OutputParts;
}

export interface Ending {
  readonly run: VerifyOutput['run'];
  readonly spec: VerifyOutput['spec'];
  readonly archive: VerifyOutput['archive'];
  readonly instance: Instance;
  readonly context: StepContext;
  /** Seconds between TERM and KILL, for processes that still run. */
  readonly grace: number;
  readonly steps: Steps;
  readonly progress: CleanUpProgress;
  /** Requests without an answer that a phase tolerates: agents return within minutes. */
  readonly maxSilent: number;
  /** Epoch ms after which no further request is begun in this call. */
  readonly until: number;
}

export type Steps = Pick<RunFacts, JobName>;
type Turn = Ending & { readonly wait: number | null };

/**
 * @param now epoch milliseconds
 * @param isUnsettled the run did not come to its own end: a function whose answer nobody got may still be sending log
 */
export function beginCleanUp(now: number, isUnsettled = false): CleanUpProgress {
  const none = { files: null, uploaded: [], jobs: {}, failures: 0, warnings: [] };
  const settled = isUnsettled ? { logSettledAt: (now + LAST_SEND_MS) / 1_000 } : {};
  return { phase: 'collect', since: now / 1000, ...none, ...settled };
}

/**
 * Cleans up after a run on its instance, as far as possible now: ends its processes, packs outputs and logs and uploads them to S3, releases
 * the lease, and ships the rest of the logs. Whatever fails becomes a warning and does not change the outcome.
 * @returns `wait`: seconds until it should be called again with what it returned; null when all is done
 */
export async function cleanUp(ports: CleanUpPorts, ending: Ending): Promise<Turn> {
  let turn: Turn = { ...ending, wait: null };
  while (turn.progress.phase !== 'done') {
    const { phase, since } = turn.progress;
    try {
      turn = await PHASES[phase](ports, turn);
    } catch (error) {
      turn = troubled(turn, error, ports.now());
    }
    const longest = longestPhase(turn.progress, turn.grace);
    if (turn.progress.phase === phase && ports.now() / 1000 - since > longest) {
      turn = next(
        turn,
        ports.now(),
        phase === 'save' ? null : `The phase ${phase} timed out after ${Number((longest / 3600).toFixed(1))} hours.`,
        phase === 'collect' ? 2 : 1, // What was not collected cannot be uploaded.
      );
    }
    if (turn.wait !== null) return turn;
    if (ports.now() >= turn.until && turn.progress.phase !== 'done') return { ...turn, wait: 0 };
  }
  return turn;
}

const PHASES: Record<Exclude<CleanUpProgress['phase'], 'done'>, (ports: CleanUpPorts, turn: Turn) => Promise<Turn>> = {
  async save(ports, turn) {
    const { train } = turn.steps;
    if (!train) return next(turn, ports.now(), null);
    const { step, wait } = await saveCheckpoints(ports, { ...turn, warnings: [], step: train });
    const saved = { ...turn, steps: { ...turn.steps, train: step } };
    return wait === null ? next(saved, ports.now(), null) : { ...saved, wait };
  },

  async collect(ports, turn) {
    if (hasNothingThere(turn)) return next(turn, ports.now(), null, 2);
    const request: CollectRequest = {
      ...base(turn),
      verb: 'collect',
      grace: turn.grace,
      wait: WAIT_THERE_S,
      outputs: turn.spec.outputs,
      outputsFrom: turn.spec.outputsFrom,
      maxBytes: MAX_PUT_BYTES,
      ...(ports.parts ? { maxBytesInParts: MAX_OUTPUT_BYTES } : {}),
    };
    const answer = accept('collect', await ports.commands.ask(turn.instance.id, turn.run.program, request));
    const progress = { ...turn.progress, failures: 0, jobs: answer.jobs };
    if (answer.state !== 'collected') return waiting({ ...turn, progress }, ports.now());
    const warnings = [...progress.warnings, ...answer.warnings];
    const files = answer.files ?? [];
    const collected = { ...turn, progress: { ...progress, files, warnings } };
    return next(collected, ports.now(), null, files.length === 0 ? 2 : 1);
  },

  async upload(ports, turn) {
    const { files, tried = [] } = turn.progress;
    const rest = (files ?? []).filter(({ name }) => !tried.includes(name));
    const request = await uploadRequest(ports, turn, rest);
    const answer = accept('upload', await ports.commands.ask(turn.instance.id, turn.run.program, request));
    if (answer.state === 'uploading') return waiting(turn, ports.now());
    if (answer.state === 'absent') return next(turn, ports.now(), 'The collected files are missing on the instance.');
    const inParts = Object.keys(request.parts ?? {});
    const names = [...Object.keys(request.puts), ...inParts];
    const why = (name: string) =>
      answer.failed[name] ?? (inParts.includes(name) && !answer.parts?.[name] ? 'its parts were not listed' : null);
    const failed = names.filter((name) => why(name) !== null);
    const joins = inParts.flatMap((name) => {
      const list = answer.parts?.[name];
      return list && !failed.includes(name) ? [{ name, listEtag: list.etag, uploadId: null }] : [];
    });
    const warnings = failed.map((name) => notUploaded(name, why(name) ?? ''));
    const progress = {
      ...turn.progress,
      tried: [...tried, ...names],
      uploaded: [
        ...turn.progress.uploaded,
        ...names.filter((name) => !failed.includes(name) && !inParts.includes(name)),
      ],
      ...(joins.length > 0 ? { joins: [...(turn.progress.joins ?? []), ...joins] } : {}),
      warnings: [...turn.progress.warnings, ...warnings],
    };
    const done = { ...turn, progress };
    return names.length < rest.length ? done : next(done, ports.now(), null);
  },

  async release(ports, turn) {
    const request = { ...base(turn), verb: 'release' } as const;
    const answer = accept('release', await ports.commands.ask(turn.instance.id, turn.run.program, request));
    const jobs: JobStates = answer.jobs;
    const left = answer.released
      ? null
      : 'A process of the run is still running; the next run on the instance ends it.';
    return next({ ...turn, progress: { ...turn.progress, jobs } }, ports.now(), left);
  },

  /** Logs are on the instance's disk: they can be read when another run has the lease already. */
  async drain(ports, turn) {
    const job = nextJobToDrain(turn);
    if (job === undefined) return next(turn, ports.now(), null);
    const unsettled = (turn.progress.logSettledAt ?? 0) - ports.now() / 1_000;
    if (unsettled > 0) return { ...turn, wait: Math.ceil(unsettled) };
    // Read back first: a function that was killed, or a nested watch that failed, may have sent more than is known here.
    const context = { ...turn.context, retryCount: 1 };
    const input = { ...turn, context, warnings: [], step: turn.steps[job] ?? null };
    const began = ports.now();
    const status = await requestJobStatus(ports, input, job);
    const { [job]: _, ...others } = turn.progress.jobs;
    // An earlier attempt had this job, and the last one did not come to it.
    if (status.state === 'absent' && !turn.steps[job]) return { ...turn, progress: { ...turn.progress, jobs: others } };
    const step = await shipLog(ports, input, status, began);
    const jobs = step.more ? turn.progress.jobs : others;
    return { ...turn, progress: { ...turn.progress, jobs }, steps: { ...turn.steps, [job]: step } };
  },

  /** The instance has been given back: this concerns S3 alone. */
  async join(ports, turn) {
    const [first, ...joins] = turn.progress.joins ?? [];
    const file = turn.progress.files?.find(({ name }) => name === first?.name);
    if (!first || !file || !ports.parts) return next(turn, ports.now(), null);
    const { name, listEtag, uploadId } = first;
    const sent = { prefix: partsPrefix(turn.run.id, name), bytes: file.bytes, listEtag };
    try {
      const goesOn = await ports.parts.join(sent, runFileKey(turn.run.id, name), uploadId, turn.until);
      const progress =
        goesOn === null
          ? { ...turn.progress, joins, uploaded: [...turn.progress.uploaded, name] }
          : { ...turn.progress, joins: [{ ...first, uploadId: goesOn }, ...joins] };
      return { ...turn, progress: { ...progress, failures: 0 } };
    } catch (error) {
      if (!(error instanceof PartsBroken)) throw error;
      const warnings = [...turn.progress.warnings, notUploaded(name, error.message)];
      return { ...turn, progress: { ...turn.progress, joins, warnings } };
    }
  },
};

const notUploaded = (name: string, why: string) =>
  `${name} was not uploaded to S3: ${why}. It remains on the instance.`;

function longestPhase({ phase, files }: CleanUpProgress, grace: number): number {
  if (phase === 'save') return grace + LONGEST_SAVE_S;
  if (phase !== 'upload') return LONGEST_PHASE_S;
  const bytes = (files ?? []).reduce((sum, file) => sum + file.bytes, 0);
  return Math.min(LONGEST_PHASE_S + bytes / SLOWEST_BYTES_PER_S, LONGEST_UPLOAD_S);
}

/** The sync was refused: the instance has nothing of the run but its ticket. */
function hasNothingThere({ steps: { sync, install, train } }: Pick<Ending, 'steps'>): boolean {
  return sync !== null && ['busy', 'refused'].includes(sync.state) && !install && !train;
}

/** Whether the instance has said that no process of the run is left. */
export function hasStopped(turn: Pick<Ending, 'progress' | 'steps'>): boolean {
  const states = Object.values(turn.progress.jobs);
  return hasNothingThere(turn) || (states.length > 0 && !states.includes('running'));
}

/** Uploads as many of the files as one request has room for: a URL holds the session token, which may have 4 KB, and all are needed at once. */
async function uploadRequest(
  ports: Pick<CleanUpPorts, 'presignPut' | 'parts'>,
  turn: Turn,
  files: readonly CollectedFile[],
): Promise<UploadRequest> {
  let request: UploadRequest = { ...base(turn), verb: 'upload', wait: WAIT_THERE_S, puts: {} };
  for (const { name, bytes } of files) {
    const isWhole = !ports.parts || bytes <= ports.parts.wholeBytes;
    const more = isWhole
      ? { ...request, puts: { ...request.puts, [name]: await ports.presignPut(runFileKey(turn.run.id, name)) } }
      : { ...request, parts: { ...request.parts, [name]: await partsGrant(ports.parts, turn.run.id, name) } };
    const fits = Buffer.byteLength(JSON.stringify(more)) <= MAX_REQUEST_BYTES;
    if (!fits && Object.keys({ ...request.puts, ...request.parts }).length > 0) break;
    request = more;
  }
  return request;
}

async function partsGrant(parts: OutputParts, runId: string, name: string) {
  const prefix = partsPrefix(runId, name);
  return { ...(await parts.grant(prefix)), prefix, partBytes: parts.partBytes };
}

/** A job whose log may not be complete in CloudWatch. */
function nextJobToDrain({ progress, steps }: Pick<Ending, 'progress' | 'steps'>): JobName | undefined {
  return JOBS.find((name) => name in progress.jobs && !steps[name]?.ended);
}

function base({ run, instance, spec }: Ending) {
  return requestBase({ run, instance, project: spec.project, user: spec.user });
}

const ORDER: readonly CleanUpProgress['phase'][] = ['save', 'collect', 'upload', 'release', 'drain', 'join', 'done'];

function next(turn: Turn, now: number, warning: string | null, by = 1): Turn {
  const phase = ORDER[ORDER.indexOf(turn.progress.phase) + by] ?? 'done';
  const warnings = warning === null ? turn.progress.warnings : [...turn.progress.warnings, warning];
  return { ...turn, progress: { ...turn.progress, phase, since: now / 1000, failures: 0, warnings }, wait: null };
}

function waiting(turn: Turn, now: number): Turn {
  return { ...turn, wait: nextWait(now / 1000 - turn.progress.since, false) };
}

/** The instance could not run the program, so Sync code cannot have either. */
const NO_PROGRAM: readonly ErrorName[] = [
  'ProgramMissing',
  'ProgramFetchFailed',
  'ProgramBroken',
  'ProgramUntrusted',
  'PythonMissing',
];

const GIVEN_UP = {
  save: 'The last checkpoints were not saved',
  collect: 'Outputs and complete logs were not collected',
  upload: 'Outputs and complete logs were not uploaded to S3',
  release: 'The lease of the instance was not released; the next run on it releases it',
  drain: 'The last log lines may be missing in CloudWatch',
  join: 'The parts of the outputs were not joined in S3',
} as const;

function troubled(turn: Turn, error: unknown, now: number): Turn {
  const { phase, failures } = turn.progress;
  if (!(error instanceof Error) || phase === 'done') throw error;
  const silent = error instanceof RunError && SILENCE.includes(error.name);
  if (silent && failures + 1 < turn.maxSilent) {
    return { ...turn, progress: { ...turn.progress, failures: failures + 1 }, wait: LONG_WAIT_S };
  }
  const { sync, install, train } = turn.steps;
  const neverRan = !sync && !install && !train && NO_PROGRAM.some((name) => name === error.name);
  const gaveUp = next(turn, now, neverRan ? null : `${GIVEN_UP[phase]}: ${error.message}`, phase === 'collect' ? 2 : 1);
  // Every further request would end in the same way: a silent instance, or one on which nothing of the run has ever run.
  const last = turn.progress.joins?.length && phase !== 'join' ? 'join' : 'done';
  return silent || neverRan ? { ...gaveUp, progress: { ...gaveUp.progress, phase: last } } : gaveUp;
}
