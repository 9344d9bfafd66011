import { describe, expect, it } from 'vitest';
import { decide, MAX_ATTEMPTS } from '../../../../core/attempts/policy.ts';
import { RETRIED_OUTCOMES, resolveRetries } from '../../../../core/spec/retries.ts';
import type { EndedAttempt, Run } from '../../../../core/workflow/data.ts';
import { run as sample, spec } from '../../../support/fakes/samples.ts';

const FROM = { run: 'demo-1', seq: 3, name: 'checkpoints/3.pt' };
const SAVED = { seq: 4, name: 'checkpoints/4.pt' };

function ended(changes: Partial<EndedAttempt> = {}): EndedAttempt {
  return {
    attempt: 1,
    outcome: 'failed',
    error: 'TrainingFailed',
    message: 'Training ended with exit code 1.',
    instance: 'i-0123456789abcdef0',
    seconds: 1_000,
    exitCode: 1,
    signal: null,
    resumedFrom: null,
    saved: null,
    endedAt: '2026-11-24T11:00:00.000Z',
    ...changes,
  };
}

const of = (retries: Parameters<typeof resolveRetries>[0], run: Partial<Run> = {}) => ({
  run: { ...sample, ...run },
  spec: { ...spec, maxDuration: 10_000, retries: resolveRetries(retries) },
});
const retried = { isRetried: true, fallback: false };

describe('without the key retries', () => {
  it.each(['instance-lost', 'interrupted'] as const)(
    '%s is tried again with a checkpoint, and not without',
    (outcome) => {
      expect(decide(of(undefined), ended({ outcome }), [])).toEqual({ isRetried: false, why: null });
      expect(decide(of(undefined), ended({ outcome, saved: SAVED }), [])).toEqual(retried);
      expect(decide(of(undefined), ended({ outcome, resumedFrom: FROM }), [])).toEqual(retried);
    },
  );

  it.each(['failed', 'killed', 'out-of-memory', 'vanished'] as const)('%s is not tried again', (outcome) => {
    expect(decide(of(undefined), ended({ outcome, saved: SAVED }), [])).toEqual({ isRetried: false, why: null });
  });
});

it('a number stands for every end that may be followed by another attempt, also without a checkpoint', () => {
  for (const outcome of RETRIED_OUTCOMES) expect(decide(of(1), ended({ outcome }), [])).toEqual(retried);
});

it.each(['stopped', 'timed-out', 'capped', 'rejected', 'sync-failed', 'install-failed', 'internal', 'busy'] as const)(
  '%s is never tried again',
  (outcome) => {
    expect(decide(of(20), ended({ outcome, saved: SAVED }), [])).toEqual({ isRetried: false, why: null });
  },
);

describe('times', () => {
  it('counts attempts in a row that saved nothing', () => {
    const nothing = [ended(), ended(), ended()];
    expect(decide(of(3), ended(), nothing.slice(0, 2))).toEqual(retried);
    expect(decide(of(3), ended(), nothing)).toEqual({
      isRetried: false,
      why: 'It was tried again 3 times, and no attempt saved a new checkpoint.',
    });
  });

  it('counts anew after an attempt that saved a checkpoint', () => {
    const saved = ended({ saved: SAVED });
    expect(decide(of(1), ended(), [ended(), saved])).toEqual(retried);
    expect(decide(of(1), saved, [ended(), ended(), ended()])).toEqual(retried);
  });

  it('of 0 makes no attempt, and says nothing of it', () => {
    expect(decide(of(0), ended(), [])).toEqual({ isRetried: false, why: null });
  });
});

it('there is no attempt after the hundredth', () => {
  expect(decide(of(20), ended({ attempt: MAX_ATTEMPTS - 1, saved: SAVED }), [])).toEqual(retried);
  expect(decide(of(20), ended({ attempt: MAX_ATTEMPTS, saved: SAVED }), [])).toMatchObject({ isRetried: false });
});

it('maxDuration is the time of all attempts together', () => {
  expect(decide(of(3, { trainedSeconds: 8_000 }), ended({ seconds: 1_900 }), [])).toEqual(retried);
  expect(decide(of(3, { trainedSeconds: 8_000 }), ended({ seconds: 2_000 }), [])).toMatchObject({ isRetried: false });
});

describe('a checkpoint that cannot be restored', () => {
  const resume = { lineage: 'demo-1', firstSeq: 10_001, checkpoint: null, kept: [] };
  const unrestored = ended({
    outcome: 'sync-failed',
    error: 'RestoreFailed',
    resumedFrom: FROM,
    seconds: 0,
    exitCode: null,
  });
  const lost = ended({ outcome: 'instance-lost', error: 'InstanceLost', saved: SAVED });
  const older = { isRetried: true, fallback: true };

  it('is tried again as what the attempt was made for, then the one before it, then not', () => {
    expect(decide(of(undefined, { resume }), unrestored, [lost])).toEqual(retried);
    expect(decide(of(undefined, { resume }), unrestored, [lost, unrestored])).toEqual(older);
    const fallback = { resume: { ...resume, isFallback: true } };
    expect(decide(of(1, fallback), unrestored, [lost, unrestored])).toMatchObject({ isRetried: false });
  });

  it('gives way to the one before it where no further attempt is asked for', () => {
    expect(decide(of(undefined, { resume }), unrestored, [])).toEqual(older);
    expect(decide(of({ on: ['failed'] }, { resume }), unrestored, [lost])).toEqual(older);
    expect(decide(of(0, { resume: { ...resume, isFallback: true } }), unrestored, [])).toMatchObject({
      isRetried: false,
    });
  });

  it('is not to blame for another failure', () => {
    const full = { ...unrestored, error: 'DiskFull' as const };
    expect(decide(of(3, { resume }), full, [lost])).toEqual({ isRetried: false, why: null });
  });
});

describe('a training that dies at once with its checkpoint', () => {
  const resume = { lineage: 'demo-1', firstSeq: 10_001, checkpoint: null, kept: [] };
  const died = { resumedFrom: FROM, seconds: 59 };

  it('is tried from the one before, whatever retries says', () => {
    expect(decide(of(0, { resume }), ended(died), [])).toEqual({ isRetried: true, fallback: true });
    expect(decide(of(undefined, { resume }), ended({ ...died, outcome: 'killed' }), [])).toMatchObject({
      fallback: true,
    });
  });

  it('once only', () => {
    const run = { resume: { ...resume, isFallback: true } };
    expect(decide(of(0, run), ended(died), [])).toMatchObject({ isRetried: false });
  });

  it('not when it lasted longer, saved something, had no checkpoint, or was ended from outside', () => {
    for (const change of [
      { seconds: 61 },
      { saved: SAVED },
      { resumedFrom: null },
      { outcome: 'vanished' as const },
      { outcome: 'timed-out' as const },
    ])
      expect(decide(of(0, { resume }), ended({ ...died, ...change }), []), JSON.stringify(change)).toMatchObject({
        isRetried: false,
      });
  });
});
