import type { CloudWatchClient } from '@aws-sdk/client-cloudwatch';
import { describe, expect, it } from 'vitest';
import { type Measure, measureOver } from '../../../aws/metrics.ts';
import { OUTCOMES } from '../../../core/errors.ts';
import { headlineMetrics, pollMetrics, runMetrics } from '../../../core/notify/metrics.ts';
import { quietly } from '../../../lambdas/adapters/ports.ts';
import { createCount } from '../../../lambdas/count-runs.ts';
import { withMetrics } from '../../../lambdas/poll-logs.ts';
import { FakeExecutions } from '../../support/fakes/ports.ts';
import { execution, jobStep, MACHINE_ARN, run, watchInput } from '../../support/fakes/samples.ts';
import { awsError, fakeClient } from '../../support/fakes/sdk-client.ts';

const NOW = 1_795_000_000_000;
const values = (metrics: ReturnType<typeof runMetrics>) =>
  Object.fromEntries(metrics.map(({ name, value, outcome }) => [outcome ? `${name} ${outcome}` : name, value]));

describe('the metrics of a run', () => {
  const ended = { ...run, endedAt: '', seconds: 60 };
  const state = (name: string, seconds: number) => ({ name, entered: 1, seconds });

  it('report outcome, duration, install and queue', () => {
    const states = [
      state('Wait for instance', 7),
      state('Install requirements', 3),
      state('Watch install', 20),
      state('Watch training', 30),
    ];
    expect(values(runMetrics({ outcome: 'failed', run: ended, states }))).toEqual({
      'EndedRuns failed': 1,
      FailedRuns: 1,
      RunSeconds: 60,
      InstallSeconds: 23,
      QueueSeconds: 7,
    });
  });

  it.each(OUTCOMES)('of %s count as a failure unless people wanted it so', (outcome) => {
    const { FailedRuns } = values(runMetrics({ outcome, run: ended, states: [] }));
    expect(FailedRuns === undefined).toBe(['succeeded', 'stopped', 'skipped'].includes(outcome));
  });
});

describe('the metrics of a poll', () => {
  const step = jobStep('train', { cursor: { offset: 5, eventTime: NOW - 301_000 } });
  it.each([
    ['nothing of a job that writes', { cursor: { offset: 5, eventTime: NOW - 60_000 } }, {}],
    ['a silence', {}, { SilentSeconds: 301 }],
    ['nothing of a job that ended', { ended: true }, {}],
    ['nothing of a log that is full', { logFull: true }, {}],
    ['a job that never wrote', { cursor: { offset: 0, eventTime: 0 }, elapsed: 900 }, { SilentSeconds: 900 }],
    ['a job that has just begun', { cursor: { offset: 0, eventTime: 0 }, elapsed: 2 }, {}],
    ['a look without an answer', { pollFailures: 1, ended: true }, { PollFailures: 1 }],
  ])('report %s', (_, changes, expected) => {
    expect(values(pollMetrics(jobStep('train'), { ...step, ...changes }, NOW))).toEqual(expected);
  });

  describe('report an upload of a checkpoint', () => {
    const kept = (interval?: number) => [
      { seq: 1, series: 'best.pt', savedAt: 10, interval: 1 },
      { seq: 2, series: 'epoch-#.pt', savedAt: 10, ...(interval === undefined ? {} : { interval }) },
    ];
    const lagOf = (age: number, interval?: number) => {
      const uploading = { name: 'epoch-12.pt', bytes: 1, since: NOW / 1_000 - age };
      const checkpoints = {
        lineage: 'a',
        committed: 2,
        latest: null,
        kept: kept(interval),
        uploading,
        warnings: [],
        drainingSince: null,
      };
      const writing = { cursor: { offset: 5, eventTime: NOW } };
      return values(pollMetrics(jobStep('train'), jobStep('train', { ...writing, checkpoints }), NOW));
    };
    it.each([
      ['not within two intervals of its series', 1_190, 600, {}],
      ['after two intervals', 1_210, 600, { CheckpointLagSeconds: 1_210 }],
      ['not within five minutes, however often checkpoints are saved', 290, 10, {}],
      ['after five minutes', 310, 10, { CheckpointLagSeconds: 310 }],
      ['not within an hour while no interval is known', 3_590, undefined, {}],
      ['after an hour', 3_610, undefined, { CheckpointLagSeconds: 3_610 }],
    ])('%s', (_, age, interval, expected) => {
      expect(lagOf(age, interval)).toEqual(expected);
    });
  });

  it('never fail the poll', async () => {
    const looks = withMetrics(
      () => Promise.resolve(step),
      quietly(() => Promise.reject(new Error('no'))),
      () => NOW,
    );
    expect(await looks(watchInput(jobStep('train')))).toBe(step);
  });
});

describe('the headline metrics of a poll', () => {
  const at = (step: number, value: number | null, changes = {}) =>
    jobStep('train', {
      metrics: {
        values: [
          { name: 'loss', step, value },
          { name: 'lr', step, value: 1 },
        ],
        isMidLine: false,
      },
      ...changes,
    });
  const spec = { project: 'digits', headline: ['loss', 'val_loss'] };
  const sent = (before: ReturnType<typeof at>, after: ReturnType<typeof at>, of: object = spec) =>
    headlineMetrics({ project: 'digits', ...of }, before, after);
  const loss = (value: number) => [{ name: 'loss', value, unit: 'None', project: 'digits' }];

  it('are what the spec names, of the project and not of the run, when the poll read a new value', () => {
    expect(sent(jobStep('train'), at(1, 0.5))).toEqual(loss(0.5));
    expect(sent(at(1, 0.5), at(2, 0.5))).toEqual(loss(0.5));
    expect(sent(at(1, 0.5), at(1, 0.25))).toEqual(loss(0.25));
    expect(sent(at(1, 0.5), at(1, 0.5))).toEqual([]);
  });

  it('are none without the key, as in a run that began before it was known', () => {
    expect(sent(jobStep('train'), at(1, 0.5), { headline: [] })).toEqual([]);
    expect(sent(jobStep('train'), at(1, 0.5), { headline: undefined })).toEqual([]);
    expect(sent(jobStep('install'), jobStep('install'))).toEqual([]);
  });

  it('are sent once more when the training has ended', () => {
    expect(sent(at(1, 0.5), at(1, 0.5, { ended: true }))).toEqual(loss(0.5));
  });

  it.each([[null], [1e308], [-1e308], [2 ** 361]])('leave out %s, with which CloudWatch refuses all', (value) => {
    expect(sent(at(1, 0.5), at(2, value, { ended: true }))).toEqual([]);
  });

  it.each([
    [1e-300, 0],
    [-5e-324, 0],
    [-1e100, -1e100],
  ])('report %s as %s', (value, reported) => {
    expect(sent(at(1, 0.5), at(2, value))).toEqual(loss(reported));
  });

  it('are in the call of the poll', async () => {
    const calls: unknown[] = [];
    const input = watchInput(jobStep('train'));
    const poll = withMetrics(
      () => Promise.resolve(at(1, 0.5, { pollFailures: 1 })),
      (metrics) => Promise.resolve(void calls.push(metrics)),
      () => NOW,
    );
    await poll({ ...input, spec: { ...input.spec, headline: ['loss'] } });
    expect(calls).toMatchObject([[{ name: 'PollFailures' }, { name: 'loss', project: input.spec.project }]]);
  });
});

describe('CloudWatch', () => {
  it('has the values of a project under its name', async () => {
    const { client, sent } = fakeClient<CloudWatchClient>({ PutMetricDataCommand: () => ({}) });
    await measureOver(client)([{ name: 'val_loss', value: 0.5, unit: 'None', project: 'digits' }]);
    expect(sent[0]?.input).toEqual({
      Namespace: 'runctl',
      MetricData: [
        { MetricName: 'val_loss', Value: 0.5, Unit: 'None', Dimensions: [{ Name: 'Project', Value: 'digits' }] },
      ],
    });
  });

  it('gets all of them in one call, and none in none', async () => {
    const { client, sent } = fakeClient<CloudWatchClient>({ PutMetricDataCommand: () => ({}) });
    await measureOver(client)([]);
    await measureOver(client)(runMetrics({ outcome: 'busy', run: { ...run, endedAt: '', seconds: 1 }, states: [] }));
    expect(sent).toHaveLength(1);
    expect(sent[0]?.input).toMatchObject({
      Namespace: 'runctl',
      MetricData: [
        { MetricName: 'EndedRuns', Value: 1, Unit: 'Count', Dimensions: [{ Name: 'Outcome', Value: 'busy' }] },
        { MetricName: 'FailedRuns' },
        { MetricName: 'RunSeconds', Unit: 'Seconds' },
      ],
    });
  });

  it('is named when it cannot be reached', async () => {
    const { client } = fakeClient<CloudWatchClient>({ PutMetricDataCommand: () => awsError('InternalServiceFault') });
    const put = measureOver(client)([{ name: 'RunningRuns', value: 1, unit: 'Count' }]);
    await expect(put).rejects.toThrow('cloudwatch:PutMetricData to runctl');
  });
});

describe('count-runs', () => {
  const arn = (name: string) => `arn:run:${name}`;
  async function count(status: string, listed: string[]) {
    const executions = new FakeExecutions();
    for (const name of listed) executions.states.set(arn(name), execution({ arn: arn(name), name }));
    const measured: number[] = [];
    const measure: Measure = async (metrics) => void measured.push(...metrics.map(({ value }) => value));
    const counts = createCount(executions, measure, MACHINE_ARN);
    await counts({ detail: { executionArn: arn('a'), status } });
    return measured;
  }

  it.each([
    ['RUNNING', ['a', 'b'], 2],
    ['RUNNING', ['b'], 2],
    ['SUCCEEDED', ['b'], 1],
    ['ABORTED', ['a', 'b'], 1],
    ['FAILED', [], 0],
  ])('%s, while the list has %j: %i', async (status, listed, running) => {
    expect(await count(status, listed)).toEqual([running]);
  });
});
