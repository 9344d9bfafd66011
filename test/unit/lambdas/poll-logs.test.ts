import { describe, expect, it } from 'vitest';
import { type ErrorName, RunError } from '../../../core/errors.ts';
import { createPoll, createPollWithLatest } from '../../../lambdas/poll-logs.ts';
import { FakeLogStore } from '../../support/fakes/log-store.ts';
import { FakeCommands, fakePorts } from '../../support/fakes/ports.ts';
import {
  firstTry,
  jobStatus,
  jobStep,
  run,
  secondTry,
  spec,
  usageSample,
  watchInput,
} from '../../support/fakes/samples.ts';

const NOW = 1_795_000_010;
const silence = (name: ErrorName = 'AgentSilent') => new RunError(name, 'no word');
const poll = (answer: object | Error, step = jobStep('train'), logs = new FakeLogStore(), of = run) =>
  createPoll(fakePorts(new FakeCommands(answer), logs))({ ...watchInput(step), run: of });

describe('Poll logs', () => {
  it("polls from the log's offset, with the program that the run started with", async () => {
    const commands = new FakeCommands(
      jobStatus('install', '', { log: { offset: 7, bytes: 0, size: 7, data: '', put: null } }),
    );
    const step = jobStep('install', { cursor: { offset: 7, eventTime: 1 } });
    await createPoll(fakePorts(commands))(watchInput(step));
    expect(commands.asked).toMatchObject([
      { program: run.program, request: { verb: 'poll', job: 'install', offset: 7 } },
    ]);
  });

  it.each(['AgentSilent', 'AgentOffline', 'ServiceUnavailable'] as const)('counts %s, and waits long', async (name) => {
    const before = jobStep('train', { more: true, wait: 0, pollFailures: 2, cursor: { offset: 7, eventTime: 1 } });
    const step = await poll(silence(name), before);
    expect(step).toEqual({ ...before, silentSince: NOW, polls: 1, pollFailures: 3, more: false, wait: 20 });
  });

  it('counts an answer that cannot be read as none', async () => {
    const unreadable = jobStatus('train', '', { log: { offset: 5, bytes: 1, size: 6, data: '', put: null } });
    expect(await poll(unreadable)).toMatchObject({ silentSince: NOW, pollFailures: 1 });
  });

  it('remembers since when, and gives up after 30 minutes: InstanceLost', async () => {
    expect(await poll(silence(), jobStep('train', { silentSince: NOW - 1_799 }))).toMatchObject({
      silentSince: NOW - 1_799,
    });
    await expect(poll(silence(), jobStep('train', { silentSince: NOW - 1_801 }))).rejects.toMatchObject({
      name: 'InstanceLost',
      message: expect.stringContaining('30 minutes'),
    });
  });

  it('has the latest sample of the usage; one that is silent keeps it', async () => {
    const usage = usageSample();
    const step = await poll(jobStatus('train', '', { usage }));
    expect(step.usage).toEqual(usage);
    expect((await poll(silence(), step)).usage).toEqual(usage);
    expect(await poll(jobStatus('install', ''), jobStep('install'))).not.toHaveProperty('usage');
  });

  it('forgets the silence with the next answer', async () => {
    expect(await poll(jobStatus('train', ''), jobStep('train', { silentSince: 5 }))).toMatchObject({
      silentSince: null,
    });
  });

  it.each(['AccessDenied', 'RunnerBroken'] as const)(
    '%s ends the run: no instance gets well by waiting',
    async (name) => {
      await expect(poll(silence(name))).rejects.toMatchObject({ name });
    },
  );

  it('ends a training that is long over its time, whose supervisor must be gone: TrainingTimedOut', async () => {
    const most = spec.maxDuration + spec.stopGrace;
    const late = (seconds: number) => jobStatus('train', '', { startedAt: NOW - most - seconds, now: NOW });
    expect(await poll(late(29))).toMatchObject({ state: 'running' });
    await expect(poll(late(31))).rejects.toMatchObject({ name: 'TrainingTimedOut', message: /supervisor/ });
    expect(await poll({ ...late(31), state: 'stopped' })).toMatchObject({ state: 'stopped' });
    expect(await poll({ ...late(31), job: 'install' }, jobStep('install'))).toMatchObject({ state: 'running' });
  });

  it('counts maxDuration for all attempts together', async () => {
    const most = spec.maxDuration - 3_600 + spec.stopGrace;
    const late = (seconds: number) => jobStatus('train', '', { startedAt: NOW - most - seconds, now: NOW });
    const second = { ...run, attempt: 2, trainedSeconds: 3_600 };
    expect(await poll(late(29), undefined, undefined, second)).toMatchObject({ state: 'running' });
    await expect(poll(late(31), undefined, undefined, second)).rejects.toMatchObject({ name: 'TrainingTimedOut' });
  });

  it('ends a training that is long over what maxCost allows: CostCapped', async () => {
    const startedAt = NOW - 600 - spec.stopGrace - 31;
    const late = jobStatus('train', '', { startedAt, now: NOW });
    const step = jobStep('train', { costCap: { seconds: 600, usedSeconds: 10 } });
    await expect(poll(late, step)).rejects.toMatchObject({ name: 'CostCapped', message: /supervisor/ });
    expect(await poll({ ...late, startedAt: startedAt + 2 }, step)).toMatchObject({ costCap: step.costCap });
  });

  it('lets a write that failed be tried again by the same state, which reads back: nothing doubled', async () => {
    const logs = new FakeLogStore();
    logs.put = (...args) =>
      FakeLogStore.prototype.put.apply(logs, args).then(() => Promise.reject(silence('ServiceUnavailable')));
    const answer = jobStatus('train', 'one\n');
    await expect(poll(answer, jobStep('train'), logs)).rejects.toMatchObject({ name: 'ServiceUnavailable' });
    logs.put = FakeLogStore.prototype.put;
    // The retry meets a silent instance; the state after it an instance that speaks.
    const ports = (next: object | Error) => fakePorts(new FakeCommands(next), logs);
    const silent = await createPoll(ports(silence()))(watchInput(jobStep('train'), secondTry));
    expect(silent.cursor).toEqual({ offset: 0, eventTime: 0, unsettled: 0 });
    const later = { ...firstTry, enteredAt: '2026-11-24T10:01:00.000Z' };
    const step = await createPoll(ports(jobStatus('train', 'one\ntwo\n')))(watchInput(silent, later));
    expect(logs.text('demo-1/train')).toBe('one\ntwo\n');
    expect(step.cursor).toEqual({ offset: 8, eventTime: Date.parse(later.enteredAt) });
  });
});

describe('Poll logs of a training', () => {
  const pollTraining = (text: string, step = jobStep('train'), logs = new FakeLogStore(), context = firstTry) =>
    createPollWithLatest(fakePorts(new FakeCommands(jobStatus('train', text)), logs))(watchInput(step, context));

  it('keeps the latest values of its metrics for the console', async () => {
    const first = await pollTraining('epoch=1 loss=0.5\nepoch=2 lo');
    expect(first.metrics?.values).toEqual([{ name: 'loss', step: 1, value: 0.5 }]);
    expect(first.metrics?.isMidLine).toBe(true);
    const silent = createPollWithLatest(fakePorts(new FakeCommands(silence())));
    expect((await silent(watchInput(first))).metrics).toEqual(first.metrics);
  });

  it('leaves the values to what polls later without reading metrics, as Finish run does', async () => {
    const first = await pollTraining('epoch=1 loss=0.5\n');
    expect((await poll(jobStatus('train', ''), first)).metrics).toEqual(first.metrics);
  });

  it('reads no metrics of an install', async () => {
    const poll = createPollWithLatest(fakePorts(new FakeCommands(jobStatus('install', 'epoch=1 loss=0.5\n'))));
    expect(await poll(watchInput(jobStep('install')))).not.toHaveProperty('metrics');
  });

  it('sends the log as ever', async () => {
    const [plain, withLatest] = [new FakeLogStore(), new FakeLogStore()];
    const text = 'epoch=1 loss=0.5\nplain\nepoch=2 lo';
    const step = await poll(jobStatus('train', text), jobStep('train'), plain);
    const { metrics, ...rest } = await pollTraining(text, jobStep('train'), withLatest);
    expect(rest).toEqual(step);
    expect(withLatest).toEqual(plain);
    expect(metrics?.values).toHaveLength(1);
  });

  it('reads what the expressions of the spec match; a run that began before there were any has none', async () => {
    const metrics = [{ name: 'score', regex: 'Score is ([0-9.]+)' }];
    const read = async (of: object) => {
      const commands = new FakeCommands(jobStatus('train', 'Score is 3\nScore is 4\nstep=5 loss=1\n'));
      const input = watchInput(jobStep('train'));
      return await createPollWithLatest(fakePorts(commands))({ ...input, spec: { ...spec, ...of } });
    };
    const loss = { name: 'loss', step: 5, value: 1 };
    const found = [{ name: 'score', step: 2, value: 4 }, loss];
    expect((await read({ metrics })).metrics?.values).toEqual(found);
    expect((await read({ metrics: undefined })).metrics?.values).toEqual([loss]);
    expect((await read({ metrics: [{ name: 'score', regex: '(' }] })).metrics?.values).toEqual([loss]);
    expect((await read({ metrics })).metrics?.values).toEqual(found);
  });

  it('does not read the end of a line whose beginning another attempt has sent', async () => {
    const step = await pollTraining(
      '1 step=5 loss=9\nstep=6 loss=1\n',
      jobStep('train'),
      new FakeLogStore(),
      secondTry,
    );
    expect(step.metrics?.values).toEqual([{ name: 'loss', step: 6, value: 1 }]);
  });
});
