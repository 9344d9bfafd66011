import { PassThrough, Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import type { CloudWatchLogsClient } from '@aws-sdk/client-cloudwatch-logs';
import type { S3Client } from '@aws-sdk/client-s3';
import type { SFNClient } from '@aws-sdk/client-sfn';
import { describe, expect, it } from 'vitest';
import type { Account } from '../../../../cli/account/account.ts';
import type { Context } from '../../../../cli/context.ts';
import { type MetricsOptions, showMetrics } from '../../../../cli/metrics/show-metrics.ts';
import { Terminal } from '../../../../cli/terminal/terminal.ts';
import * as samples from '../../../support/fakes/samples.ts';
import { awsError, fakeClient } from '../../../support/fakes/sdk-client.ts';

const LOG = 'start\nepoch=1 loss=0.5 acc=0.7\nepoch=2 loss=0.25 acc=0.8\nepoch=3 loss=nan acc=0.9\nepoch=4 loss=1';

function write(): { stream: NodeJS.WriteStream; text: () => string } {
  const stream = new PassThrough();
  let text = '';
  stream.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  return { stream: stream as unknown as NodeJS.WriteStream, text: () => text };
}

/** An account with the run `digits-1`. @param stored its log is in S3 as well as in CloudWatch */
function rig(statuses: readonly string[], { stored = false, pieces = [LOG], spec = {} } = {}) {
  const [out, err] = [write(), write()];
  const waiting = [...statuses];
  const left = [...pieces];
  let token = 0;
  const sfn = fakeClient<SFNClient>({
    DescribeExecutionCommand: ({ executionArn }) => {
      const status = waiting.length > 1 ? waiting.shift() : waiting[0];
      const output = JSON.stringify({ outcome: 'succeeded', message: 'Done.' });
      return { executionArn, name: 'digits-1', status, startDate: new Date(0), input: '{}', output };
    },
    GetExecutionHistoryCommand: () => ({
      events: [
        {
          type: 'TaskStateExited',
          timestamp: new Date(0),
          stateExitedEventDetails: { name: 'Verify archive', output: JSON.stringify(verified) },
        },
      ],
    }),
  });
  const verified = { ...samples.verified, spec: { ...samples.verified.spec, ...spec } };
  const s3 = fakeClient<S3Client>({
    GetObjectCommand: ({ Key }) =>
      stored && Key === 'runs/digits-1/train.log.gz' ? { Body: Readable.from(gzipSync(LOG)) } : awsError('NoSuchKey'),
  });
  const logs = fakeClient<CloudWatchLogsClient>({
    GetLogEventsCommand: () => {
      const piece = left.shift();
      if (piece !== undefined) token += 1;
      const events = piece === undefined ? [] : [{ message: piece, timestamp: 1 }];
      return { events, nextForwardToken: String(token) };
    },
  });
  const outputs: Readonly<Record<string, string>> = {
    ...{ machine: samples.MACHINE_ARN, bucket: 'bucket', logGroup: '/runctl/runs' },
  };
  const account = { sfn: sfn.client, s3: s3.client, logs: logs.client, output: async (name: string) => outputs[name] };
  const terminal = new Terminal({ out: out.stream, err: err.stream, in: process.stdin, env: {} });
  const context: Context = {
    ...{ account: account as unknown as Account, terminal, signal: new AbortController().signal, folder: '/' },
  };
  return {
    logs,
    show: async (options: MetricsOptions = {}, ids = ['digits-1']) => {
      const code = await showMetrics(context, ids, options);
      return { code, out: out.text(), err: err.text() };
    },
  };
}

describe('runctl metrics', () => {
  it('shows a table and curves of a run that is over, from the whole log in S3', async () => {
    const { show, logs } = rig(['SUCCEEDED'], { stored: true });
    const { out, code } = await show();
    expect(code).toBe(0);
    expect(out).toMatch(/METRIC +LAST +STEP +MIN +MAX +POINTS\nloss +1 +4 +0\.25 +1 +4\nacc +0\.9 +3 +0\.7 +0\.9 +3\n/);
    expect(out).toMatch(/\nloss\n {3}1 │[\u2800-\u28ff]+\n/);
    expect(logs.sent).toEqual([]);
  });

  it('does not read half a line of a run that goes on', async () => {
    const { out, err } = await rig(['RUNNING']).show({ name: ['loss'] });
    expect(out).toMatch(/loss +nan +3 +0\.25 +0\.5 +3\n/);
    expect(out).not.toContain('acc');
    expect(err).toContain('warning: loss is nan since step 3');
  });

  it('prints JSON and CSV', async () => {
    const json = JSON.parse((await rig(['SUCCEEDED']).show({ json: true })).out);
    expect(json[0]).toMatchObject({
      run: 'digits-1',
      metrics: [
        { name: 'loss', last: 1 },
        { name: 'acc', max: 0.9 },
      ],
    });
    expect(json[0].metrics[0].values[2]).toEqual({ step: 3, value: null, gap: 'nan', attempt: 1 });
    expect((await rig(['SUCCEEDED']).show({ csv: true, name: ['acc'] })).out).toBe(
      'run,metric,step,value,attempt\ndigits-1,acc,1,0.7,1\ndigits-1,acc,2,0.8,1\ndigits-1,acc,3,0.9,1\n',
    );
  });

  it('follows a run to its end, whatever pieces its log comes in', async () => {
    const pieces = [LOG.slice(0, 20), LOG.slice(20, 60), LOG.slice(60)];
    const { show } = rig(['RUNNING', 'RUNNING', 'SUCCEEDED'], { pieces });
    const { out, code } = await show({ follow: true, json: true, name: ['loss'] });
    expect(code).toBe(0);
    const lines = out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines.map(({ step, value }) => [step, value])).toEqual([
      [1, 0.5],
      [2, 0.25],
      [3, null],
      [4, 1],
    ]);
  });

  it.each([['SUCCEEDED'], ['RUNNING']])('reads what the expressions of the spec match (%s)', async (status) => {
    const spec = { metrics: [{ name: 'mine', regex: 'acc=0\\.(\\d)' }] };
    const { out } = await rig([status], { spec }).show({ csv: true, name: ['mine'] });
    expect(out).toContain('digits-1,mine,1,7,1\n');
    const { out: both } = await rig([status], { spec }).show({
      csv: true,
      name: ['mine'],
      match: ['mine=loss=0\\.(2)'],
    });
    expect(both.split('\n')).toEqual(['run,metric,step,value,attempt', 'digits-1,mine,2,2,1', '']);
  });

  it('follows a run with the expressions of its spec', async () => {
    const spec = { metrics: [{ name: 'mine', regex: 'acc=0\\.(\\d)' }] };
    const { out } = await rig(['RUNNING', 'SUCCEEDED'], { spec }).show({ csv: true, follow: true, name: ['mine'] });
    expect(out).toContain('digits-1,mine,2,8,1\n');
  });

  it('shows the headline metric of the spec first', async () => {
    const { out } = await rig(['SUCCEEDED'], { spec: { headline: ['acc'] } }).show();
    expect(out.indexOf('\nacc ')).toBeGreaterThan(0);
    expect(out.indexOf('\nacc ')).toBeLessThan(out.indexOf('\nloss '));
  });

  it('reads what an expression matches', async () => {
    const { out } = await rig(['SUCCEEDED']).show({ csv: true, match: ['mine=acc=0\\.(\\d)'], name: ['mine'] });
    expect(out).toContain('digits-1,mine,1,7,1\n');
  });

  it('says so when there is nothing, and what is wrong with options', async () => {
    const { out, err, code } = await rig(['SUCCEEDED']).show({ name: ['f1'] });
    expect([code, out]).toEqual([0, '']);
    expect(err).toContain('The log of run digits-1 has no f1 that runctl recognizes.');
    await expect(rig([]).show({ match: ['(a)'] })).rejects.toThrow('--match "(a)" has no name.');
    await expect(rig([]).show({ match: ['a=(a'] })).rejects.toThrow('is not one that RE2 accepts');
    await expect(rig([]).show({ follow: true }, ['a', 'b'])).rejects.toThrow('--follow takes one run, not 2.');
  });
});
