import type { CloudWatchLogsClient } from '@aws-sdk/client-cloudwatch-logs';
import type { S3Client } from '@aws-sdk/client-s3';
import type { SFNClient } from '@aws-sdk/client-sfn';
import { describe, expect, it } from 'vitest';
import { executionsOver } from '../../../../aws/executions.ts';
import type { Account } from '../../../../cli/account/account.ts';
import { Runs } from '../../../../cli/runs/find.ts';
import { RunStore } from '../../../../cli/runs/store.ts';
import { createDesk } from '../../../../cli/ui/desk.ts';
import type { UsageSample } from '../../../../core/protocol/answers.ts';
import * as samples from '../../../support/fakes/samples.ts';
import { awsError, fakeClient } from '../../../support/fakes/sdk-client.ts';

const ARN = samples.run.arn;
const WAIT_MS = 2_000;
const FIRST = { job: null, line: 0, metrics: '', usage: '' };
const GPU = {
  index: 0,
  utilizationPercent: 93,
  memoryUsedBytes: 6,
  memoryTotalBytes: 24,
  powerWatts: 250,
  temperatureCelsius: 70,
};
const USAGE: UsageSample = {
  time: Date.parse(samples.run.startedAt) / 1_000,
  seconds: 10,
  cores: 8,
  cpuPercent: 12,
  memoryUsedBytes: 4,
  memoryTotalBytes: 16,
  diskUsedBytes: 1,
  diskTotalBytes: 2,
  diskReadBytesPerS: 0,
  diskWriteBytesPerS: 0,
  networkInBytesPerS: 0,
  networkOutBytesPerS: 0,
  job: { cpuPercent: 10, memoryBytes: 1, processes: 1 },
  gpus: [GPU],
  warning: null,
};
const exited = (name: string, output: object) => ({
  type: 'TaskStateExited',
  timestamp: new Date(Date.parse(samples.run.startedAt)),
  stateExitedEventDetails: { name, output: JSON.stringify(output) },
});

/** A run that trains, or of which S3 has nothing; `log`: the pages that CloudWatch gives. */
function setUp(log: readonly string[], status = 'RUNNING', spec: object = {}, history: Promise<void> | null = null) {
  const stopped: unknown[] = [];
  let isAway = false;
  const unlessAway = (reply: object) => (isAway ? awsError('ECONNREFUSED') : reply);
  const execution = {
    executionArn: ARN,
    name: samples.run.id,
    status,
    startDate: new Date(samples.run.startedAt),
    input: '{"project": "demo"}',
    ...(status === 'RUNNING' ? {} : { stopDate: new Date(samples.run.startedAt) }),
  };
  const events = [
    exited('Verify archive', { ...samples.verified, spec: { ...samples.spec, ...spec } }),
    exited('Find instance', samples.instance),
    exited('Start training', samples.jobStep('train', { pid: 4711, polls: 3, usage: USAGE })),
  ];
  const sfn = fakeClient<SFNClient>({
    ListExecutionsCommand: () => unlessAway({ executions: [execution] }),
    DescribeExecutionCommand: ({ executionArn }) =>
      unlessAway(executionArn === ARN ? execution : awsError('ExecutionDoesNotExist')),
    GetExecutionHistoryCommand: ({ reverseOrder }) => {
      const reply = unlessAway({ events: reverseOrder ? [...events].reverse() : events });
      return history === null ? reply : history.then(() => reply);
    },
    StopExecutionCommand: ({ executionArn }) => {
      stopped.push(executionArn);
      return {};
    },
  });
  const logs = fakeClient<CloudWatchLogsClient>({
    GetLogEventsCommand: ({ logStreamName, nextToken, startFromHead }) => {
      const page = startFromHead ? Number(nextToken ?? 0) : 0;
      const text = String(logStreamName).endsWith('/train') ? log[page] : undefined;
      const next = String(text === undefined ? page : page + 1);
      return unlessAway({
        events: text === undefined ? [] : [{ message: text, timestamp: 1 }],
        nextForwardToken: next,
      });
    },
  });
  const s3 = fakeClient<S3Client>({
    GetObjectCommand: () => awsError('NoSuchKey'),
    ListObjectsV2Command: () => ({}),
  });
  const runs = new Runs({
    executions: executionsOver(sfn.client),
    store: new RunStore(s3.client, 'bucket'),
    machine: samples.MACHINE_ARN,
  });
  const context = { account: {} as Account, folder: '/nowhere', signal: new AbortController().signal };
  const desk = createDesk(
    context,
    { runs, logs: logs.client, logGroup: '/runctl/runs' },
    { region: 'eu-central-1', project: { value: 'demo', from: 'runctl.yaml' } },
  );
  const leave = () => {
    isAway = true;
  };
  return { desk, calls: () => sfn.sent.length + logs.sent.length, stopped, leave };
}

const LOG = ['{"step": 1, "loss": 0.5, "val_loss": 0.7}\n', '{"step": 2, "loss": 0.25, "val_loss": NaN}\nhalf'];

describe('a run on the page', () => {
  it('has its state, the lines of its log, and its metrics as drawings', async () => {
    const { desk } = setUp(LOG);
    const view = await desk.run(samples.run.id, FIRST, WAIT_MS);
    expect(view.status).toMatchObject({ id: samples.run.id, outcome: null, pid: 4711, job: 'train' });
    expect(view.status).not.toHaveProperty('manifest');
    expect(view.costSoFarUsd).toBeGreaterThan(0);
    expect(view.log).toMatchObject({ job: 'train', total: 2, lines: [{ number: 1 }, { number: 2 }] });
    expect(view.metrics.series?.map(({ name, last, gap }) => [name, last, gap])).toEqual([
      ['loss', 0.25, null],
      ['val_loss', null, 'nan'],
    ]);
    expect(view.metrics.series?.[0]?.svg).toMatch(/^<svg /);
  });

  it('says how busy its GPU is', async () => {
    const { desk } = setUp(LOG);
    const { usage } = await desk.run(samples.run.id, FIRST, WAIT_MS);
    expect(usage).toMatchObject({ gpus: [93], cpuPercent: 12, memoryPercent: 25 });
    expect(usage?.curves?.map(({ name }) => name)).toEqual(['GPU', 'GPU memory', 'CPU and memory of the instance']);
  });

  it('is sent to a page that has it already in what is new alone', async () => {
    const { desk } = setUp(LOG);
    const first = await desk.run(samples.run.id, FIRST, WAIT_MS);
    const has = { job: 'train', line: first.log.total, metrics: first.metrics.version, usage: '' } as const;
    const next = await desk.run(samples.run.id, has, WAIT_MS);
    expect([next.log.lines, next.metrics.series]).toEqual([[], null]);
    const other = await desk.run(samples.run.id, { ...has, job: 'sync' }, WAIT_MS);
    expect(other.log).toEqual({ job: 'sync', lines: [], total: 0 });
  });

  it('is read once for all pages', async () => {
    const { desk, calls } = setUp(LOG);
    await desk.run(samples.run.id, FIRST, WAIT_MS);
    const once = calls();
    await Promise.all(Array.from({ length: 20 }, () => desk.run(samples.run.id, FIRST, WAIT_MS)));
    expect(calls()).toBe(once);
    expect(once).toBeLessThan(15);
  });

  it('stays as it was when AWS does not answer', async () => {
    const { desk, leave } = setUp(LOG);
    await desk.run(samples.run.id, FIRST, WAIT_MS);
    leave();
    await new Promise((resolve) => setTimeout(resolve, 2_100));
    const view = await desk.run(samples.run.id, FIRST, WAIT_MS);
    expect(view.trouble?.message).toContain('logs:GetLogEvents');
    expect([view.status?.pid, view.log.total]).toEqual([4711, 2]);
  });

  it('has the metrics that its spec describes, and first those that it chooses', async () => {
    const spec = { metrics: [{ name: 'mine', regex: '"loss": ([0-9.]+)' }], headline: ['val_loss', 'mine'] };
    let answer: () => void = () => undefined;
    const history = new Promise<void>((resolve) => {
      answer = resolve;
    });
    const { desk } = setUp(LOG, 'RUNNING', spec, history);
    // What is read before the spec is known would lack them.
    await desk.run(samples.run.id, FIRST, 100);
    answer();
    const series = async () => (await desk.run(samples.run.id, FIRST, WAIT_MS)).metrics.series;
    await expect
      .poll(async () => (await series())?.map(({ name, last }) => [name, last]), { timeout: 10_000 })
      .toEqual([
        ['val_loss', null],
        ['mine', 0.25],
        ['loss', 0.25],
      ]);
  });

  it('is not found by the name of none', async () => {
    const { desk } = setUp(LOG);
    await expect(desk.run('other', FIRST, WAIT_MS)).rejects.toMatchObject({ name: 'CliError', exitCode: 2 });
  });

  it('is stopped by the code of runctl stop', async () => {
    const { desk, stopped } = setUp(LOG);
    expect(await desk.stop(samples.run.id)).toMatchObject({ state: 'stopping', isKept: false });
    expect(stopped).toEqual([ARN]);
  });

  it('says why it cannot be downloaded', async () => {
    const { desk } = setUp(LOG, 'FAILED');
    expect(await desk.pull(samples.run.id)).toMatchObject({ state: 'running' });
    await expect
      .poll(async () => (await desk.run(samples.run.id, FIRST, WAIT_MS)).pull)
      .toMatchObject({ state: 'failed', text: expect.stringContaining('has no manifest'), result: null });
  });
});

describe('the list of the page', () => {
  it('has the latest metric and the cost of an active run, and asks little for more pages', async () => {
    const { desk, calls } = setUp(LOG);
    await desk.list(false, WAIT_MS);
    await expect.poll(async () => (await desk.list(false, WAIT_MS)).runs[0]?.costSoFarUsd).toBeGreaterThan(0);
    const before = calls();
    const lists = await Promise.all(Array.from({ length: 20 }, () => desk.list(false, WAIT_MS)));
    expect(calls()).toBe(before);
    expect(lists[0]).toMatchObject({
      project: 'demo',
      isPartial: false,
      trouble: null,
      runs: [{ id: samples.run.id, kind: 'active' }],
    });
    expect((await desk.list(true, WAIT_MS)).project).toBeNull();
  });
});
