import { expect, it } from 'vitest';
import type { SpotNotice } from '../../../core/protocol/answers.ts';
import { resolveRetries } from '../../../core/spec/retries.ts';
import type { PlanInput } from '../../../core/workflow/data.ts';
import { createPlan } from '../../../lambdas/plan-attempt.ts';
import { MemoryCheckpointStore } from '../../support/fakes/checkpoint-store.ts';
import {
  archive,
  endedStep,
  exit,
  firstTry,
  foundInstance,
  instance,
  jobStep,
  prices,
  run,
  spec,
} from '../../support/fakes/samples.ts';

const NOW = Date.parse('2026-11-24T12:00:00.000Z');
const LOST = JSON.stringify({ Error: 'InstanceLost', Cause: 'i-0123456789abcdef0 is gone' });

/** What Plan attempt makes of a run whose watch of the training has failed. */
function plan(changes: Partial<PlanInput> = {}, notice: SpotNotice | null = null, state = 'running') {
  const nothing = { sync: null, install: null, restore: null, plan: null, attempts: [] };
  return createPlan({
    checkpoints: new MemoryCheckpointStore(),
    executions: { describe: async () => null, lastOutput: async () => null },
    instances: { find: async () => [{ ...foundInstance, state }], ping: async () => 'Online' },
    prices,
    interruptionOf: async () => notice,
    now: () => NOW,
    watchMachineArn: 'arn:aws:states:eu-central-1:111122223333:stateMachine:runctl-watch',
  })({
    execution: { name: run.id, arn: run.arn, startedAt: run.startedAt },
    run,
    spec: { ...spec, retries: resolveRetries(3) },
    archive,
    instance,
    context: firstTry,
    warnings: ['before'],
    ...nothing,
    train: jobStep('train', { cursor: { offset: 5, eventTime: 7 } }),
    failure: { Error: 'States.TaskFailed', Cause: LOST, state: 'Watch training' },
    watches: 4,
    ...changes,
  });
}

it('a training that is watched further has log that is read back, and a nested watch of another name', async () => {
  expect(await plan()).toMatchObject({
    plan: { next: 'watch' },
    train: { cursor: { offset: 5, eventTime: 7, unsettled: 0 } },
    failure: null,
    watches: 5,
  });
});

it('a start that is sent again keeps what is known of the jobs before', async () => {
  const failure = { Error: 'AgentSilent', Cause: 'no answer', state: 'Start training' };
  expect(await plan({ sync: endedStep('sync', 0), train: null, failure })).toMatchObject({
    plan: { next: 'start' },
    ...{ sync: { job: 'sync' }, train: null, failure: null, watches: 4 },
  });
});

it.each([
  ['exited', exit({ code: 0 }), null],
  ['stopped', exit({ code: 143 }), 'interrupted'],
] as const)(
  'a training that had %s is watched until its log is whole, when its instance answers again',
  async (state, end, reason) => {
    const train = jobStep('train', { state, exit: end, reason, ended: false, ok: end.code === 0, silentSince: 1 });
    // Else the next watch would give up at its first unanswered poll.
    expect(await plan({ train })).toMatchObject({ plan: { next: 'watch' }, train: { state, silentSince: null } });
  },
);

it('an instance that was away costs nothing meanwhile, unless its training went on', async () => {
  const heldSince = '2026-11-24T11:00:00.000Z';
  const before = await plan({ heldSince }, null, 'stopped');
  const waited = { ...before.plan, since: (NOW - 1_200_000) / 1_000 };
  expect(await plan({ heldSince, plan: waited })).toMatchObject({ plan: { next: 'watch' }, heldSince });
  const failure = { Error: 'InstanceNotRunning', Cause: 'stopped', state: 'Start training' };
  const unanswered = { sync: endedStep('sync', 0), train: null, failure };
  expect(await plan({ heldSince, plan: waited, ...unanswered })).toMatchObject({
    plan: { next: 'start' },
    heldSince: '2026-11-24T11:20:00.000Z',
  });
});

it('a further attempt begins without what is known of the jobs', async () => {
  const ended = endedStep('train', 1);
  const input = { train: ended, sync: endedStep('sync', 0), failure: null };
  expect(await plan(input)).toMatchObject({
    plan: { next: 'attempt', run: { attempt: 2 } },
    ...{ sync: null, install: null, restore: null, train: null, failure: null, watches: 4 },
  });
});

it('a run that ends keeps its failure, and says why there is no attempt', async () => {
  const given = await plan({ spec: { ...spec, retries: resolveRetries(0) } });
  expect(given).toMatchObject({ plan: { next: 'finish' }, failure: { state: 'Watch training' }, warnings: ['before'] });
  const late = await plan({ run: { ...run, trainedSeconds: spec.maxDuration } });
  expect(late).toMatchObject({
    plan: { next: 'finish' },
    warnings: ['before', expect.stringContaining('maxDuration')],
  });
});

it('a lost instance that EC2 had announced to take was interrupted; an older announcement says nothing', async () => {
  const time = NOW / 1_000;
  expect(await plan({}, { action: 'terminate', time }, 'stopped')).toMatchObject({
    plan: { next: 'wait', ended: { outcome: 'interrupted' } },
    train: { checkpoints: { notice: { action: 'terminate' } } },
  });
  const before = Date.parse(run.startedAt) / 1_000 - 1;
  expect(await plan({}, { action: 'terminate', time: before }, 'stopped')).toMatchObject({
    plan: { ended: { outcome: 'instance-lost' } },
  });
});
