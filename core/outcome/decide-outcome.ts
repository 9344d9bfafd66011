import { capReached } from '../cost/limit.ts';
import { ERRORS, type ErrorName, isErrorName, type Outcome, splitName } from '../errors.ts';
import type { SpotNotice } from '../protocol/answers.ts';
import { formatSize } from '../units.ts';
import type { Failure, JobSnapshot, RunFacts, RunOutcome } from '../workflow/data.ts';
import type { RunEnding } from '../workflow/run-ending.ts';
import { RUN_STATES } from '../workflow/states.ts';

/** Stands for the run's id in what to do next. */
const RUN_ID_PLACEHOLDER = '<run id>';
/** Why the runner refuses a start while a job of an earlier attempt runs (instance/CONTRACT.md). */
export const ATTEMPT_OPEN = 'attempt-open';
const LAST_LINES = 20;
const LAST_LINES_BYTES = 4_096;
const MESSAGE_CHARACTERS = 8_000;
/**
 * A Fail state's cause may have 32,768 characters (Step Functions quotas). As JSON writes them, where one character may become six: 8,000
 * for the message, 10,000 for the warnings, 10,000 for the last lines; all else has below 1,000.
 */
const CAUSE_CHARACTERS = { message: 8_000, warnings: 10_000, lastLines: 10_000 } as const;

/** Why the execution did not come to its own end. */
export type Interruption = 'stopped' | 'timed-out' | null;

interface Verdict {
  readonly name: ErrorName | null;
  readonly message: string;
  /** What to do next, where this end says more than its error's name does. */
  readonly next?: string;
  readonly step: JobSnapshot | null;
}

/**
 * Says how a run ended. Only an `exit.json` with code 0, written by the supervisor, can mean `succeeded`.
 * @param runId for the commands in `next`
 */
export function decideOutcome(
  input: RunFacts,
  interrupted: Interruption = null,
  runId: string = RUN_ID_PLACEHOLDER,
): RunOutcome {
  const warnings = [...input.warnings, ...installWarning(input), ...(input.train?.checkpoints?.warnings ?? [])];
  const verdict = interrupted ? judgeInterrupted(input, interrupted) : judge(input);
  const { name, step } = verdict;
  const advice = name === null ? null : (missingModule(input, step) ?? verdict.next ?? ERRORS[name].next);
  const next = advice?.replaceAll(RUN_ID_PLACEHOLDER, runId) ?? null;
  const outcome: Outcome = name === null ? 'succeeded' : ERRORS[name].outcome;
  const message = shorten(verdict.message) + likelyCause(advice);
  const exitCode = step?.exit?.code ?? null;
  const signal = step?.exit?.signal ?? null;
  const last = lastLines(step);
  const cause: RunEnding = {
    outcome,
    message: startWithin(message, CAUSE_CHARACTERS.message),
    next,
    exitCode,
    signal,
    warnings: withinCause(warnings),
    lastLines: linesWithin(last),
  };
  return {
    outcome,
    message,
    next,
    pid: input.train?.pid ?? null,
    exitCode,
    signal,
    warnings,
    lastLines: last,
    error: name,
    cause: name === null ? null : JSON.stringify(cause),
  };
}

/** The execution was ended from outside: by a person, or by its own time-out. The message adds how its training ended. */
function judgeInterrupted({ train }: RunFacts, interrupted: 'stopped' | 'timed-out'): Verdict {
  const byItself = train?.ended && train.state === 'exited';
  const how = byItself ? ` Before that: ${judgeTraining(train).message}` : '';
  if (interrupted === 'stopped') return { name: 'RunStopped', message: `The run was stopped.${how}`, step: train };
  const message = `The run reached the longest time that a run may take.${how}`;
  return { name: 'RunTimedOut', message, step: train };
}

function judge(input: RunFacts): Verdict {
  const { sync, install, restore, train, failure } = input;
  // A training that Finish run ended does not say why the run failed.
  const endedByUs = failure && (train?.state === 'vanished' || train?.reason === 'stop');
  const capped = capReached(input, train ?? install);
  if (capped && !endedByUs) return { name: 'CostCapped', message: capped, step: train ?? install };
  if (train?.ended && !endedByUs) return judgeTraining(train);
  const lost = failure && train && readFailure(failure).name === 'InstanceLost' ? judgeLost(failure, train) : null;
  if (lost) return lost;
  if (failure) return { ...readFailure(failure), step: endedByUs ? train : null };
  if (sync && !sync.ok) return judgeJob(sync, 'SyncFailed', RUN_STATES.sync);
  if (restore && !restore.ok) return judgeJob(restore, 'RestoreFailed', RUN_STATES.restore);
  if (install && isFailed(install) && input.spec?.install === 'required') {
    return judgeJob(install, 'InstallFailed', RUN_STATES.install);
  }
  if (train?.state === 'absent') {
    return { name: 'TrainingVanished', message: 'The instance has no record of the training any more.', step: train };
  }
  if (train) return judgeJob(train, 'Internal', RUN_STATES.start);
  return { name: 'Internal', message: 'The run ended before training for an unknown reason.', step: null };
}

/** Of a training whose instance was lost, more than the failure says; null: there is no more. */
function judgeLost(failure: Failure, train: JobSnapshot): Verdict | null {
  const notice = train.checkpoints?.notice;
  if (train.state !== 'exited') return notice ? interruptedBy(notice, train) : null;
  const { name, message } = readFailure(failure);
  return { name, message: `${message} Before that: ${judgeTraining(train).message}`, step: train };
}

function isFailed(install: JobSnapshot): boolean {
  return !install.ok;
}

/** A sync or install that did not end well, or a start that was not accepted. */
function judgeJob(step: JobSnapshot, fallback: ErrorName, state: string): Verdict {
  const { holder, waiting, result, exit } = step;
  if (step.state === 'busy') {
    const who = holder
      ? `run ${holder.run} since ${new Date(holder.since * 1000).toISOString()}`
      : 'runs that came before';
    const held = `The instance is busy with ${who}`;
    if (waiting?.over === 'skip')
      return { name: 'RunSkipped', message: `${held}, and the spec has ifBusy: skip.`, step: null };
    const waited = waiting?.over === 'max-wait' ? ', and this run has waited for as long as maxWait allows' : '';
    return { name: 'InstanceBusy', message: `${held}${waited}.`, step: null };
  }
  if (step.state === 'refused' && step.reason === ATTEMPT_OPEN) {
    const message = 'The instance is busy with a job of an earlier attempt of this run.';
    return { name: 'InstanceBusy', message, step: null };
  }
  if (step.state === 'refused') {
    return {
      name: 'StartRefused',
      message: `${state}: the instance refused the start (${step.reason ?? 'no reason'}).`,
      step,
    };
  }
  const error = result?.error;
  if (error) return { name: isErrorName(error.name) ? error.name : fallback, message: error.message, step };
  if (step.state === 'vanished')
    return { name: fallback, message: `${state}: the process is gone and left no exit code.`, step };
  const how = exit?.signal ? `was ended by ${exit.signal}` : `ended with exit code ${exit?.code ?? 'unknown'}`;
  return { name: fallback, message: `${state}: the job ${how}.`, step };
}

function judgeTraining(train: JobSnapshot): Verdict {
  const { exit, pid, result } = train;
  const when = train.confirmed ? '' : afterSeconds(train);
  const verdict = (name: ErrorName | null, message: string, next?: string): Verdict => ({
    name,
    message,
    step: train,
    ...(next === undefined ? {} : { next }),
  });
  if (train.state === 'vanished') {
    if (train.checkpoints?.notice) return interruptedBy(train.checkpoints.notice, train);
    return verdict('TrainingVanished', `Training (PID ${pid}) is gone and left no exit code${when}.`);
  }
  if (train.state === 'stopped') {
    if (train.reason === 'interrupted') return interruptedBy(train.checkpoints?.notice ?? null, train);
    return train.reason === 'max-duration'
      ? verdict('TrainingTimedOut', 'Training was stopped because it reached maxDuration.')
      : verdict('RunStopped', 'Training was stopped.');
  }
  // Its supervisor ended before the script began.
  if (result?.error?.name === 'SecretUnavailable') return verdict('SecretUnavailable', result.error.message);
  if (exit?.outOfMemory) return verdict('OutOfMemory', `Training was killed${when}: the instance ran out of memory.`);
  const crash = CRASHES[exit?.signal ?? ''];
  if (crash)
    return verdict('TrainingKilled', `Training crashed in native code${when}: ${exit?.signal} (${crash}).`, SHOW_CRASH);
  if (exit?.signal) return verdict('TrainingKilled', `Training was killed by ${exit.signal}${when}.`);
  if (train.state === 'exited' && exit?.code === 0) return verdict(null, 'Training ended with exit code 0.');
  // The supervisor knows more than the code: a disk that is full, a program that could not be started.
  const why = result?.error ? ` ${result.error.message}.` : '';
  const code = `exit code ${exit?.code ?? 'unknown'}`;
  const how = when === '' ? `Training ended with ${code}.` : `The script ended${when} with ${code}.`;
  const cause =
    memoryError(train) ?? relativeImport(train) ?? moduleNotFound(train) ?? failedWorker(train) ?? killedChild(train);
  return verdict('TrainingFailed', `${how}${why}${cause?.message ?? ''}`, cause?.next);
}

/** EC2 took the Spot Instance back. */
function interruptedBy(notice: SpotNotice | null, step: JobSnapshot): Verdict {
  const how =
    notice === null
      ? ''
      : `: it was to ${notice.action} the Spot Instance at ${new Date(notice.time * 1_000).toISOString()}`;
  return { name: 'TrainingInterrupted', message: `EC2 interrupted the training${how}.`, step };
}

/** Signals that a process raises by a fault of its own code (signal(7)). Nobody sent them. */
const CRASHES: Readonly<Record<string, string>> = {
  SIGSEGV: 'segmentation fault',
  SIGABRT: 'abort',
  SIGBUS: 'bus error',
  SIGFPE: 'arithmetic error',
  SIGILL: 'illegal instruction',
};
const SHOW_CRASH =
  'Start the run again with env PYTHONFAULTHANDLER=1: Python then prints the line at which the native code crashed.';
const KILLED_CHILD =
  'Find out which process was killed. If the instance had too little memory, use smaller batches, fewer workers, or an instance type with more memory.';

/** What Python, PyTorch, JAX, TensorFlow, CUDA and the C++ library print when an allocation fails. */
const GPU_MEMORY =
  /CUDA out of memory|CUDA error: out of memory|CUDA_ERROR_OUT_OF_MEMORY|HIP out of memory|RESOURCE_EXHAUSTED/;
const MEMORY = /\bMemoryError\b|Unable to allocate|can't allocate memory|Cannot allocate memory|std::bad_alloc/;

/** A training that gave up by itself because an allocation failed, as its last lines say. Its outcome stays `failed`. */
function memoryError({ tail, exit }: JobSnapshot): { message: string; next: string } | null {
  const has = (pattern: RegExp) => tail?.some((line) => pattern.test(line)) === true;
  if (has(GPU_MEMORY)) {
    return {
      message: ' The memory of the GPU was not enough.',
      next: 'Use smaller batches, or an instance type whose GPU has more memory.',
    };
  }
  if (!has(MEMORY)) return null;
  const peak = exit?.maxRssBytes == null ? '' : `; it had used ${formatSize(exit.maxRssBytes)} at most`;
  return { message: ` An allocation of memory failed${peak}.`, next: ERRORS.OutOfMemory.next };
}

/** A script of a package that imports from its package, which Python knows only when it runs the script as a module. */
function relativeImport({ tail }: JobSnapshot): { message: string; next: string } | null {
  if (!tail?.some((line) => /^ImportError: attempted relative import with no known parent package/.test(line)))
    return null;
  return {
    message: ' The script belongs to a package and has relative imports, which fail when a file is run by its path.',
    next: 'Start the script as a module, with the key module, such as module: package.train.',
  };
}

/** A module that neither the project nor the interpreter has. Its name is only shown where it is one. */
function moduleNotFound({ tail }: JobSnapshot): { message: string; next: string } | null {
  const errors =
    tail?.flatMap((line) => /^ModuleNotFoundError: No module named '([\w.]+)'/.exec(line)?.[1] ?? []) ?? [];
  const module = errors.at(-1);
  if (module === undefined) return null;
  return {
    message: ` Python has no module ${module}.`,
    next: `Add the package of ${module} to the requirements. If it is your own code, check that its files are packed, and that its folder is on the module path (env: PYTHONPATH).`,
  };
}

/** The worker that failed first, as torchrun reports it: it exits with 1 itself, whatever its workers did. */
function failedWorker({ tail }: JobSnapshot): { message: string; next?: string } | null {
  const lines = tail ?? [];
  const report = lines.slice(lines.findLastIndex((line) => line.startsWith('Root Cause (first observed failure):')));
  const find = (pattern: RegExp) => report.map((line) => pattern.exec(line)?.[1]).find((found) => found !== undefined);
  const [rank, code] = [find(/^\s*rank\s*: (\d+)/), find(/^\s*exitcode\s*: (-?\d+) \(pid/)];
  if (report.length === lines.length || rank === undefined || code === undefined) return null;
  const signal = CHILD_SIGNALS[-Number(code)];
  const how = Number(code) >= 0 ? `with exit code ${code}` : `by ${signal ?? `signal ${-Number(code)}`}`;
  const message = ` The worker of rank ${rank} ended first, ${how}.`;
  return signal === undefined ? { message } : { message, next: signal in CRASHES ? SHOW_CRASH : KILLED_CHILD };
}

/**
 * Exit codes of a script whose child was killed: a shell exits with 128 + the signal, `sys.exit(process.wait())` of
 * Python with 256 - the signal.
 */
const CHILD_SIGNALS: Readonly<Record<number, string>> = {
  4: 'SIGILL',
  6: 'SIGABRT',
  7: 'SIGBUS',
  8: 'SIGFPE',
  9: 'SIGKILL',
  11: 'SIGSEGV',
};

function killedChild({ exit }: JobSnapshot): { message: string; next: string } | null {
  const code = exit?.code ?? 0;
  const signal = CHILD_SIGNALS[code - 128] ?? CHILD_SIGNALS[256 - code];
  if (signal === undefined) return null;
  const crash = CRASHES[signal];
  return {
    message: ` The code usually means that ${signal}${crash === undefined ? '' : ` (${crash})`} ended a process that the script had started.`,
    next: crash === undefined ? KILLED_CHILD : SHOW_CRASH,
  };
}

/** ` after 0.4 s`, of a job that ended before anybody saw it run. */
function afterSeconds({ elapsed }: JobSnapshot): string {
  return elapsed === undefined ? '' : ` after ${elapsed < 10 ? elapsed.toFixed(1) : Math.round(elapsed)} s`;
}

/** Reads what a Catch caught: a named error of a function, a failed nested watch, or an error of the service. */
export function readFailure(failure: Failure): { name: ErrorName; message: string } {
  const cause = parseObject(failure.Cause);
  if (failure.Error === 'States.TaskFailed' && typeof cause?.Error === 'string') {
    return readFailure({ Error: cause.Error, Cause: String(cause.Cause ?? ''), state: failure.state });
  }
  const text = typeof cause?.errorMessage === 'string' ? cause.errorMessage : failure.Cause;
  const named = splitName(text);
  if (named) return named;
  if (isErrorName(failure.Error)) return { name: failure.Error, message: text };
  return { name: 'Internal', message: `${failure.state}: ${failure.Error}: ${text.slice(0, 1_000)}` };
}

/** null: not a JSON object, or cut. */
export function parseObject(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : null;
  } catch {
    return null; // A cause may be plain text, which is used as it is.
  }
}

function installWarning({ install }: RunFacts): string[] {
  if (!install) return [];
  if (!isFailed(install)) return [...(install.result?.warnings ?? [])];
  return [`The install failed: ${judgeJob(install, 'InstallFailed', RUN_STATES.install).message}`];
}

const NOT_INSTALLED = 'Correct the requirements: runctl logs <run id> --install says why they were not installed.';

/** What to do about a training that misses a module which the failed install should have brought; null for any other end. */
function missingModule({ install }: RunFacts, step: JobSnapshot | null): string | null {
  if (step?.job !== 'train' || step.ok || !install || !isFailed(install)) return null;
  return step.tail?.some((line) => /^(ModuleNotFoundError:|ImportError: (?!attempted relative))/.test(line))
    ? NOT_INSTALLED
    : null;
}

function likelyCause(next: string | null): string {
  return next === NOT_INSTALLED ? ' Likely cause: the requirements were not installed (see warnings).' : '';
}

/** At most 20 lines and 4 KB, the last ones. */
function lastLines(step: JobSnapshot | null): string[] {
  const lines = (step?.tail ?? []).slice(-LAST_LINES);
  while (Buffer.byteLength(lines.join('\n')) > LAST_LINES_BYTES && lines.length > 1) lines.shift();
  return lines.length > 1 ? lines : lines.map(lastPart);
}

/** The end of one line that is too long by itself, begun at a whole character. */
function lastPart(line: string): string {
  const bytes = Buffer.from(line);
  let start = Math.max(0, bytes.length - LAST_LINES_BYTES);
  while (((bytes[start] ?? 0) & 0xc0) === 0x80) start += 1;
  return bytes.toString('utf8', start);
}

/** As many of the warnings as a cause has room for, as JSON writes them; how many were left out is the last one. */
function withinCause(warnings: readonly string[]): string[] {
  const kept: string[] = [];
  let room: number = CAUSE_CHARACTERS.warnings;
  for (const warning of warnings) {
    const short = startWithin(warning, CAUSE_CHARACTERS.warnings / 4);
    room -= jsonLength(short) + 1;
    if (room < 0) return [...kept, `${warnings.length - kept.length} more warnings are in the manifest.`];
    kept.push(short);
  }
  return kept;
}

/** The last of the lines that a cause has room for. */
function linesWithin(lines: readonly string[]): string[] {
  const kept = lines.map((line) => startWithin(line, CAUSE_CHARACTERS.lastLines / 2));
  while (kept.reduce((sum, line) => sum + jsonLength(line) + 1, 0) > CAUSE_CHARACTERS.lastLines) kept.shift();
  return kept;
}

/** The beginning of a text that has at most so many characters as JSON. */
function startWithin(text: string, characters: number): string {
  let short = text;
  while (jsonLength(short) > characters) {
    short = `${short.slice(0, Math.floor(Math.min(short.length * (characters / jsonLength(short)), short.length - 2)))}…`;
  }
  return short;
}

const jsonLength = (text: string): number => JSON.stringify(text).length;

function shorten(message: string): string {
  return message.length > MESSAGE_CHARACTERS ? `${message.slice(0, MESSAGE_CHARACTERS)}…` : message;
}
