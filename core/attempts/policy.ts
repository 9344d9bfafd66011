import type { RetriedOutcome, Retries } from '../spec/retries.ts';
import type { EndedAttempt, Run, VerifyOutput } from '../workflow/data.ts';

/** The history of an execution has 25,000 events, and an attempt takes up to 120 of them (bench/history-events.ts). */
export const MAX_ATTEMPTS = 100;
/** A training that ends so soon after its start has not come beyond the checkpoint that it went on from. */
const DIED_AT_ONCE_S = 60;
/** Of a run that began with an older version. */
const NO_RETRIES: Retries = { on: [], times: 0, needsCheckpoint: true };

export type Decision =
  | { readonly isRetried: false; readonly why: string | null }
  /** `fallback`: from the checkpoint before the one that the attempt went on from. */
  | { readonly isRetried: true; readonly fallback: boolean };

const no = (why: string | null = null): Decision => ({ isRetried: false, why });

/**
 * Whether a run makes another attempt.
 * @param ended the attempt that has ended
 * @param earlier the attempts before it
 */
export function decide(
  { run, spec }: { run: Run; spec: VerifyOutput['spec'] },
  ended: EndedAttempt,
  earlier: readonly EndedAttempt[],
): Decision {
  const { retries = NO_RETRIES } = spec;
  const asks = (outcome: EndedAttempt['outcome']) => retries.on.includes(outcome as RetriedOutcome);
  const isRetried =
    retries.times > 0 && (asks(ended.outcome) || (isUnrestored(ended) && asks(causeOf(ended, earlier))));
  const isFallback = mayFallBack(run) && (hasDiedAtOnce(ended) || isUnrestorable(ended, earlier, isRetried));
  if (!isFallback && !isRetried) return no();
  const hasCheckpoint = ended.saved !== null || ended.resumedFrom !== null;
  if (!isFallback && retries.needsCheckpoint && !hasCheckpoint) return no();
  if (ended.attempt >= MAX_ATTEMPTS) return no(`A run makes ${MAX_ATTEMPTS} attempts at most.`);
  if ((run.trainedSeconds ?? 0) + ended.seconds >= spec.maxDuration - 1) {
    return no('There was no further attempt: its attempts together have trained for maxDuration.');
  }
  if (isFallback) return { isRetried: true, fallback: true };
  const fruitless = countFruitless([...earlier, ended]);
  if (fruitless > retries.times) {
    const times = retries.times === 1 ? 'once' : `${retries.times} times`;
    return no(`It was tried again ${times}, and no attempt saved a new checkpoint.`);
  }
  return { isRetried: true, fallback: false };
}

/** The newest checkpoint may not be to blame: once only. */
function mayFallBack({ resume }: Run): boolean {
  return resume?.isFallback !== true;
}

/** The checkpoint may be what ended the training. */
function hasDiedAtOnce({ outcome, seconds, resumedFrom, saved }: EndedAttempt): boolean {
  const isOwnEnd = outcome === 'failed' || outcome === 'killed';
  return isOwnEnd && resumedFrom !== null && saved === null && seconds <= DIED_AT_ONCE_S;
}

/** Its checkpoint did not come to the instance, not even when the restore was started again. */
function isUnrestored({ error, resumedFrom }: EndedAttempt): boolean {
  return error === 'RestoreFailed' && resumedFrom !== null;
}

/** A passing cause, such as a network that is away, ends by the next attempt, if there is one with the same checkpoint. */
function isUnrestorable(ended: EndedAttempt, earlier: readonly EndedAttempt[], isRetried: boolean): boolean {
  const before = earlier.at(-1);
  return isUnrestored(ended) && (!isRetried || (before !== undefined && isUnrestored(before)));
}

/** Why there is an attempt whose checkpoint did not come: that stays to be made good. */
function causeOf({ outcome }: EndedAttempt, earlier: readonly EndedAttempt[]): EndedAttempt['outcome'] {
  return earlier.findLast((attempt) => !isUnrestored(attempt))?.outcome ?? outcome;
}

/** Attempts in a row, up to the last, that saved no new checkpoint. */
function countFruitless(attempts: readonly EndedAttempt[]): number {
  const last = attempts.findLastIndex(({ saved }) => saved !== null);
  return attempts.length - 1 - last;
}
