import { JOBS } from '../names.ts';
import type { Failure, JobSnapshot, Run } from '../workflow/data.ts';
import { WATCHES } from '../workflow/states.ts';
import { parseObject } from './decide-outcome.ts';
import { lastSnapshot, watchArn } from './reconstruct-run.ts';

interface Watches {
  describe(
    arn: string,
  ): Promise<{ readonly input: string | null; readonly error: string | null; readonly cause: string | null } | null>;
  lastOutput(arn: string, state: string): Promise<string | null>;
}

/** Where a run is whose state caught an error. */
interface Caught {
  readonly run: Run | null;
  readonly failure: Failure | null;
  readonly watches: number;
}

/**
 * The failure of a run as a whole: Step Functions cuts the cause of a nested execution, which has its input as well, at
 * 32,768 characters. The execution itself has it whole.
 * @param onUnread the nested execution could not be described; the failure stays as it is
 */
export async function wholeFailure(
  executions: Pick<Watches, 'describe'>,
  machineArn: string,
  { failure, run, watches }: Caught,
  onUnread: (error: Error) => void,
): Promise<Failure | null> {
  if (!failure || !run || !isCut(failure)) return failure;
  try {
    const watch = await executions.describe(watchArn(machineArn, run.key, watches));
    return watch?.error ? { Error: watch.error, Cause: watch.cause ?? '', state: failure.state } : failure;
  } catch (error) {
    onUnread(error as Error);
    return failure;
  }
}

/** With the snapshot that a nested watch reached before it failed: it has no output, and its history says how far it came. */
export async function withLastPoll<T extends Caught>(executions: Watches, machineArn: string, input: T): Promise<T> {
  const { failure, run, watches } = input;
  const job = JOBS.find((name) => WATCHES[name] === failure?.state);
  if (!job || !run) return input;
  const step = await lastSnapshot(executions, watchArn(machineArn, run.key, watches));
  const steps: Partial<Record<string, JobSnapshot | null>> = step === null ? {} : { [job]: step };
  return { ...input, ...steps };
}

function isCut({ Error: name, Cause, state }: Failure): boolean {
  return name === 'States.TaskFailed' && JOBS.some((job) => WATCHES[job] === state) && parseObject(Cause) === null;
}
