import { beforeEach, describe, expect, it } from 'vitest';
import { planAttempt } from '../../../../core/attempts/plan-attempt.ts';
import { MAX_VISITS, waitSeconds } from '../../../../core/attempts/waits.ts';
import type { Price, PricedInstance } from '../../../../core/cost/price.ts';
import { resolveRetries } from '../../../../core/spec/retries.ts';
import type { FoundInstance, InstanceSelector } from '../../../../core/workflow/choose-instance.ts';
import type { JobSnapshot, PlanInput } from '../../../../core/workflow/data.ts';
import { commitTo, MemoryCheckpointStore } from '../../../support/fakes/checkpoint-store.ts';
import { archive, foundInstance, instance, jobStep, run, spec } from '../../../support/fakes/samples.ts';

const NOW = Date.parse('2026-11-24T12:00:00.000Z');
const SPOT: Price = { usdPerHour: 0.36, source: 'spot-history', at: '2026-11-24T12:00:00.000Z' };
let store: MemoryCheckpointStore;
let instances: FoundInstance[];
let ping: string | null;
let priced: PricedInstance[];
let price: Price | null;
beforeEach(() => {
  store = new MemoryCheckpointStore();
  instances = [foundInstance];
  ping = 'Online';
  priced = [];
  price = SPOT;
});

const ports = (now = NOW) => ({
  checkpoints: store,
  instances: {
    find: async (selector: InstanceSelector) => instances.filter(({ id }) => !('id' in selector) || id === selector.id),
    ping: async () => ping,
  },
  prices: {
    priceOf: async (instance: PricedInstance) => {
      priced.push(instance);
      return price;
    },
  },
  now: () => now,
});

const commit = (seq: number) => commitTo(store, { lineage: run.id, run: run.id, seq });

const failed: JobSnapshot = jobStep('train', {
  state: 'exited',
  ended: true,
  ok: false,
  exit: { code: 1, signal: null, endedAt: NOW / 1_000, maxRssBytes: null, outOfMemory: false },
  elapsed: 500,
});
const lost = {
  Error: 'States.TaskFailed',
  Cause: JSON.stringify({ Error: 'InstanceLost', Cause: 'i-0123456789abcdef0 is stopped' }),
  state: 'Watch training',
};

function input(changes: Partial<PlanInput> = {}, retries: Parameters<typeof resolveRetries>[0] = 3): PlanInput {
  return {
    execution: { name: run.id, arn: run.arn, startedAt: run.startedAt },
    run,
    spec: { ...spec, retries: resolveRetries(retries) },
    archive,
    instance,
    context: { enteredAt: '2026-11-24T12:00:00.000Z', retryCount: 0 },
    heldSince: '2026-11-24T11:00:00.000Z',
    warnings: [],
    sync: null,
    install: null,
    restore: null,
    train: failed,
    attempts: [],
    failure: null,
    watches: 1,
    plan: null,
    ...changes,
  };
}

describe('a training that failed', () => {
  it('is tried again on its instance, from the newest checkpoint that is whole', async () => {
    commit(1);
    commit(2);
    store.objects.delete(commit(3));
    const plan = await planAttempt(ports(), input());
    expect(plan).toMatchObject({
      next: 'attempt',
      run: { attempt: 2, trainedSeconds: 500, resume: { lineage: run.id, checkpoint: { seq: 2, run: run.id } } },
      instance: { id: instance.id },
      attempts: [{ attempt: 1, outcome: 'failed', exitCode: 1, seconds: 500 }],
    });
  });

  it('knows of its instance what Find instance knew: that it may shut itself down', async () => {
    const may = { ...instance, managed: true as const, mayShutDown: true as const };
    expect((await planAttempt(ports(), input({ instance: may }))).instance).toMatchObject({ mayShutDown: true });
    expect((await planAttempt(ports(), input())).instance).not.toHaveProperty('mayShutDown');
  });

  it('begins anew without a checkpoint, and with resume: never', async () => {
    expect((await planAttempt(ports(), input())).run?.resume).toMatchObject({ checkpoint: null });
    commit(1);
    const never = input();
    const plan = await planAttempt(ports(), { ...never, spec: never.spec && { ...never.spec, resume: 'never' } });
    expect(plan.run?.resume).toMatchObject({ checkpoint: null });
  });

  it('ends the run when retries does not name it', async () => {
    expect(await planAttempt(ports(), input({}, { on: ['vanished'] }))).toMatchObject({ next: 'finish', why: null });
  });

  it('waits for an instance that does not answer, and gives up after maxWait', async () => {
    ping = 'ConnectionLost';
    const first = await planAttempt(ports(), input());
    expect(first).toMatchObject({ next: 'wait', wait: 15, since: NOW / 1_000, visits: 1, attempts: [] });
    const later = NOW + 3_600_000;
    const second = await planAttempt(ports(later), input({ plan: first }));
    expect(second).toMatchObject({ next: 'wait', wait: 180, since: NOW / 1_000, visits: 2 });
    const end = await planAttempt(ports(NOW + (spec.maxWait + 1) * 1_000), input({ plan: second }));
    expect(end).toMatchObject({ next: 'finish', why: expect.stringContaining('within maxWait') });
  });

  it('gives up after a thousand visits', async () => {
    ping = null;
    const plan = { ...(await planAttempt(ports(), input())), visits: MAX_VISITS };
    expect(await planAttempt(ports(), input({ plan }))).toMatchObject({ next: 'finish' });
  });
});

describe('a training that dies at once with the newest checkpoint', () => {
  const resumed = {
    ...run,
    attempt: 2,
    resume: { lineage: run.id, firstSeq: 10_001, checkpoint: null, kept: [] },
  };
  const at = (seq: number) => ({
    ...resumed,
    resume: {
      ...resumed.resume,
      checkpoint: {
        seq,
        run: run.id,
        name: `checkpoints/epoch-${seq}.pt`,
        format: 'torch-zip',
        bytes: 1,
        marked: false,
        committedAt: '2026-11-24T11:00:10.000Z',
      },
    },
  });
  const died = { ...failed, elapsed: 20 };

  it('goes on from the one before', async () => {
    commit(1);
    commit(2);
    const plan = await planAttempt(ports(), input({ run: at(2), train: died }, 0));
    expect(plan).toMatchObject({
      next: 'attempt',
      run: { attempt: 3, resume: { isFallback: true, checkpoint: { seq: 1 } } },
    });
  });

  it('ends when there is none before, unless retries asks for another attempt', async () => {
    commit(2);
    expect(await planAttempt(ports(), input({ run: at(2), train: died }, 0))).toMatchObject({ next: 'finish' });
    expect(await planAttempt(ports(), input({ run: at(2), train: died }, 2))).toMatchObject({
      next: 'attempt',
      run: { resume: { checkpoint: { seq: 2 } } },
    });
  });
});

describe('a lost instance', () => {
  const running: JobSnapshot = jobStep('train', { state: 'running', ended: false, ok: false, elapsed: 900 });
  const saved = {
    ...running,
    checkpoints: {
      lineage: run.id,
      committed: 1,
      latest: {
        seq: 1,
        name: 'checkpoints/epoch-1.pt',
        format: 'torch-zip',
        bytes: 1,
        marked: false,
        committedAt: '2026-11-24T11:00:10.000Z',
      },
      kept: [],
      uploading: null,
      warnings: [],
      drainingSince: null,
    },
  };

  it('that answers again is watched further, and its training is not started a second time', async () => {
    expect(await planAttempt(ports(), input({ train: saved, failure: lost }, undefined))).toMatchObject({
      next: 'watch',
      run: { id: run.id },
      attempts: [],
    });
  });

  it('that is online and never answers is watched for maxWait at most', async () => {
    const facts = { train: saved, failure: lost };
    const first = await planAttempt(ports(), input(facts, undefined));
    const at = (s: number) => ports(NOW + s * 1_000);
    const second = await planAttempt(at(1_900), input({ ...facts, plan: first }, undefined));
    expect(second).toMatchObject({ next: 'watch', since: NOW / 1_000, visits: 2 });
    // It answered for an hour, and was lost again.
    const later = await planAttempt(at(5_500), input({ ...facts, plan: second }, undefined));
    expect(later).toMatchObject({ next: 'watch', since: NOW / 1_000 + 5_500 });
    const earlier = NOW / 1_000 - spec.maxWait;
    const last = await planAttempt(at(10), input({ ...facts, plan: { ...first, since: earlier } }, undefined));
    expect(last).toMatchObject({ next: 'finish', why: expect.stringContaining('did not answer within maxWait') });
  });

  it('whose training is gone when it answers ended by the loss, not by its reboot', async () => {
    const watched = await planAttempt(ports(), input({ train: saved, failure: lost }, undefined));
    const gone = { ...saved, state: 'vanished' as const, ended: true };
    commit(1);
    const plan = await planAttempt(ports(), input({ train: gone, plan: watched }, undefined));
    expect(plan).toMatchObject({ next: 'attempt', attempts: [{ outcome: 'instance-lost' }] });
  });

  it('that did not answer the start of a training gets the same start again, once', async () => {
    const unanswered = { train: null, failure: { Error: 'AgentSilent', Cause: 'no answer', state: 'Start training' } };
    const again = await planAttempt(ports(), input(unanswered));
    expect(again).toMatchObject({ next: 'start', run: { id: run.id }, attempts: [] });
    expect(again.run).not.toHaveProperty('attempt');
    ping = 'ConnectionLost';
    const away = await planAttempt(ports(), input({ ...unanswered, plan: again }));
    expect(away).toMatchObject({ next: 'wait' });
    ping = 'Online';
    expect(await planAttempt(ports(), input({ ...unanswered, plan: away }))).toMatchObject({
      next: 'finish',
      why: `${instance.id} did not answer whether the training has begun.`,
    });
    // That attempt is over: a later one may be asked for again.
    const gone = { ...jobStep('train'), state: 'vanished' as const, ended: true, ok: false };
    const second = await planAttempt(ports(), input({ train: gone, plan: again }));
    expect(second).toMatchObject({ next: 'attempt', startedAgain: false, attempts: [{ outcome: 'instance-lost' }] });
  });

  it('on which a job of an earlier attempt still runs is asked again until that has ended, and no attempt is counted', async () => {
    const sync = jobStep('sync', { state: 'refused', reason: 'attempt-open', ok: false });
    const second = input({ run: { ...run, attempt: 2 }, sync, train: null }, undefined);
    const waiting = await planAttempt(ports(), second);
    expect(waiting).toMatchObject({ next: 'wait', wait: 15, since: NOW / 1_000, attempts: [] });
    const later = NOW + 15_000;
    const again = await planAttempt(ports(later), { ...second, plan: waiting });
    expect(again).toMatchObject({ next: 'attempt', run: { attempt: 2 }, since: NOW / 1_000, attempts: [] });
    const hour = NOW + 3_600_000;
    expect(await planAttempt(ports(hour), { ...second, plan: again })).toMatchObject({ next: 'wait', wait: 180 });
    const over = NOW + (spec.maxWait + 1) * 1_000;
    expect(await planAttempt(ports(over), { ...second, plan: again })).toMatchObject({
      next: 'finish',
      why: 'A job of an earlier attempt did not end within maxWait.',
    });
  });

  it('that was terminated before it answered a start is replaced by another one', async () => {
    instances = [
      { ...foundInstance, state: 'terminated' },
      { ...foundInstance, id: 'i-00000000000000001' },
    ];
    const failure = { Error: 'AgentSilent', Cause: 'no answer', state: 'Start training' };
    expect(await planAttempt(ports(), input({ train: null, failure }))).toMatchObject({
      next: 'attempt',
      instance: { id: 'i-00000000000000001' },
    });
  });

  it('that is stopped is waited for; no other instance is used', async () => {
    instances = [
      { ...foundInstance, state: 'stopped' },
      { ...foundInstance, id: 'i-00000000000000001' },
    ];
    expect(await planAttempt(ports(), input({ train: saved, failure: lost }, undefined))).toMatchObject({
      next: 'wait',
    });
  });

  it('keeps the price that it has; another type, or one without a price, gets a price', async () => {
    commit(1);
    const priceOf = async (changes: object) => {
      const gone = { ...saved, state: 'vanished' as const, ended: true };
      const plan = await planAttempt(ports(), input({ train: gone, ...changes }, 3));
      return plan.instance?.price;
    };
    const price: Price = { usdPerHour: 3.6, source: 'pricing', at: '2026-11-24T10:00:00.000Z' };
    expect(await priceOf({ instance: { ...instance, price } })).toEqual(price);
    expect(priced).toEqual([]);
    expect(await priceOf({ instance: { ...instance, price: null } })).toEqual(SPOT);
    expect(await priceOf({ instance: { ...instance, price, type: 'g4dn.xlarge' } })).toEqual(SPOT);
    expect(priced).toEqual([foundInstance.priced, foundInstance.priced]);
  });

  it('waits for a price, in a run with maxCost: it goes on when there is one', async () => {
    commit(1);
    price = null;
    const gone = { ...saved, state: 'vanished' as const, ended: true };
    const facts = input({ train: gone, instance: { ...instance, price: null } }, 3);
    const capped = { ...facts, heldSince: null, spec: facts.spec && { ...facts.spec, maxCost: 5 } };
    expect(await planAttempt(ports(), facts)).toMatchObject({ next: 'attempt', instance: { price: null } });
    const waiting = await planAttempt(ports(), capped);
    expect(waiting).toMatchObject({ next: 'wait', attempts: [] });
    const over = await planAttempt(ports(NOW + (spec.maxWait + 1) * 1_000), { ...capped, plan: waiting });
    expect(over).toMatchObject({ next: 'finish', why: expect.stringContaining('no source has a price of g5.xlarge') });
    // Of another instance as well.
    const another = { ...foundInstance, id: 'i-00000000000000001' };
    instances = [{ ...foundInstance, state: 'terminated' }, another];
    const ofTag = { ...capped, spec: capped.spec && { ...capped.spec, instance: 'tag:Project=demo' } };
    expect(await planAttempt(ports(), ofTag)).toMatchObject({ next: 'wait' });
  });

  it('makes no further attempt that maxCost does not pay for', async () => {
    commit(1);
    const gone = { ...saved, state: 'vanished' as const, ended: true };
    const hour: Price = { usdPerHour: 3.6, source: 'pricing', at: '2026-11-24T10:00:00.000Z' };
    const planned = async (maxCost: number, spentUsd: number | null = 0) => {
      const facts = input({ train: gone, run: { ...run, spentUsd }, instance: { ...instance, price: hour } }, 3);
      return await planAttempt(ports(), { ...facts, spec: facts.spec && { ...facts.spec, maxCost } });
    };
    // The attempt that ended cost 3.6, and stopGrace is 30 s.
    expect(await planned(3.631)).toMatchObject({ next: 'attempt', run: { spentUsd: 3.6 } });
    const why = 'There was no further attempt: what is left of maxCost does not pay for one.';
    expect(await planned(3.63)).toMatchObject({ next: 'finish', why });
    expect(await planned(4.6, 1)).toMatchObject({ next: 'finish', why });
    expect(await planned(4.7, 1)).toMatchObject({ next: 'attempt' });
    expect(await planned(100, null)).toMatchObject({ next: 'finish', why });
  });

  it('adds what the instance of each attempt cost', async () => {
    commit(1);
    const gone = { ...saved, state: 'vanished' as const, ended: true };
    const price: Price = { usdPerHour: 3.6, source: 'pricing', at: '2026-11-24T10:00:00.000Z' };
    const planned = async (changes: Partial<PlanInput>) => {
      const facts = { train: gone, instance: { ...instance, price }, ...changes };
      const { run: next, attempts } = await planAttempt(ports(), input(facts, 3));
      return [attempts[0]?.usd, next?.spentUsd];
    };
    expect(await planned({})).toEqual([3.6, 3.6]); // An hour.
    expect(await planned({ run: { ...run, spentUsd: 1 } })).toEqual([3.6, 4.6]);
    expect(await planned({ run: { ...run, spentUsd: null } })).toEqual([3.6, null]);
    expect(await planned({ instance: { ...instance, price: null } })).toEqual([null, null]);
    expect(await planned({ heldSince: null })).toEqual([0, 0]); // It did not get the instance.
  });

  it('that was terminated is replaced by another one that the spec means', async () => {
    commit(1);
    instances = [
      { ...foundInstance, state: 'terminated' },
      { ...foundInstance, id: 'i-00000000000000001', priced: { ...foundInstance.priced, isSpot: true } },
    ];
    expect(await planAttempt(ports(), input({ train: saved, failure: lost }, undefined))).toMatchObject({
      next: 'attempt',
      instance: { id: 'i-00000000000000001', price: SPOT },
      run: { attempt: 2, resume: { checkpoint: { seq: 1 } } },
    });
    expect(priced).toMatchObject([{ isSpot: true }]);
  });

  it('that was terminated and is the only one that the spec means ends the run', async () => {
    instances = [];
    const named = input({ train: saved, failure: lost }, undefined);
    const plan = await planAttempt(ports(), { ...named, spec: named.spec && { ...named.spec, instance: instance.id } });
    expect(plan).toMatchObject({ next: 'finish', why: `${instance.id} no longer exists.` });
  });

  it('that EC2 is about to take is not used again before that', async () => {
    const notice = { action: 'terminate' as const, time: NOW / 1_000 + 60 };
    const warned = {
      ...saved,
      state: 'stopped' as const,
      reason: 'interrupted',
      ended: true,
      checkpoints: { ...saved.checkpoints, notice },
    };
    expect(await planAttempt(ports(), input({ train: warned }, undefined))).toMatchObject({
      next: 'wait',
      ended: { outcome: 'interrupted' },
    });
    // EC2 may be late.
    expect(await planAttempt(ports(NOW + 5 * 60_000), input({ train: warned }, undefined))).toMatchObject({
      next: 'wait',
    });
    commit(1);
    expect(await planAttempt(ports(NOW + 7 * 60_000), input({ train: warned }, undefined))).toMatchObject({
      next: 'attempt',
    });
  });
});

it('a run that has no instance yet, or was stopped, has no further attempt', async () => {
  expect(await planAttempt(ports(), input({ instance: null }))).toMatchObject({ next: 'finish' });
  const stopped = { ...failed, state: 'stopped' as const, reason: 'stop' };
  expect(await planAttempt(ports(), input({ train: stopped }))).toMatchObject({ next: 'finish' });
});

it('the wait grows from 15 s to an hour', () => {
  expect([0, 300, 3_600, 86_400, 30 * 86_400].map(waitSeconds)).toEqual([15, 15, 180, 3_600, 3_600]);
});
