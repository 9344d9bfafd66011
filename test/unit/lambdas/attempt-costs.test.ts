import { expect, it } from 'vitest';
import { resolveRetries } from '../../../core/spec/retries.ts';
import type { PlanInput } from '../../../core/workflow/data.ts';
import { createPlan } from '../../../lambdas/plan-attempt.ts';
import { createRestore } from '../../../lambdas/restore-checkpoint.ts';
import { MemoryCheckpointStore } from '../../support/fakes/checkpoint-store.ts';
import { FakeCommands, fakePorts } from '../../support/fakes/ports.ts';
import {
  archive,
  firstTry,
  foundInstance,
  instance,
  jobInput,
  jobStep,
  price,
  prices,
  run,
  spec,
} from '../../support/fakes/samples.ts';

const unused = () => Promise.reject(new Error('unexpected'));

it('Plan attempt forgets since when the instance was held, but for an attempt that goes on', async () => {
  const plan = (ping: string | null, state: 'vanished' | 'running') => {
    const input: PlanInput = {
      execution: { name: run.id, arn: run.arn, startedAt: run.startedAt },
      run,
      spec: { ...spec, retries: resolveRetries(3) },
      archive,
      instance: { ...instance, price },
      context: firstTry,
      heldSince: '2026-11-24T09:58:30.000Z',
      warnings: [],
      ...{ sync: null, install: null, restore: null, failure: null, plan: null },
      train: jobStep('train', { state, ended: state === 'vanished', ok: false }),
      attempts: [],
      watches: 0,
    };
    return createPlan({
      checkpoints: new MemoryCheckpointStore(),
      instances: { find: () => Promise.resolve([foundInstance]), ping: () => Promise.resolve(ping) },
      prices,
      interruptionOf: unused,
      executions: { describe: unused, lastOutput: unused },
      watchMachineArn: 'arn:watch',
      now: () => Date.parse(firstTry.enteredAt),
    })(input);
  };
  expect(await plan('Online', 'vanished')).toMatchObject({ plan: { next: 'attempt' }, heldSince: null });
  expect(await plan(null, 'vanished')).toMatchObject({
    plan: { next: 'wait' },
    heldSince: '2026-11-24T09:58:30.000Z',
  });
});

it('Restore checkpoint sends nothing for a training that maxCost does not pay for', async () => {
  const commands = new FakeCommands();
  const restore = createRestore({ ...fakePorts(commands), store: new MemoryCheckpointStore() });
  const resume = { lineage: run.id, firstSeq: 1, checkpoint: null, kept: [] };
  const input = (spentUsd: number) =>
    jobInput({
      run: { ...run, attempt: 2, spentUsd, resume },
      spec: { ...spec, maxCost: 1 },
      instance: { ...instance, price: { ...price, usdPerHour: 3.6 } },
      heldSince: firstTry.enteredAt,
    });
  await expect(restore(input(0.99))).rejects.toMatchObject({ name: 'CostCapped' });
  expect(await restore(input(0.5))).toMatchObject({ step: null });
  expect(commands.asked).toEqual([]);
});
