import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import type { CloudWatchLogsClient } from '@aws-sdk/client-cloudwatch-logs';
import type { SFNClient } from '@aws-sdk/client-sfn';
import { afterEach, describe, expect, it } from 'vitest';
import { resultFilesOver } from '../../../aws/result-files.ts';
import type { Account } from '../../../cli/account/account.ts';
import type { Context } from '../../../cli/context.ts';
import { type MetricsOptions, showMetrics } from '../../../cli/metrics/show-metrics.ts';
import { showReport } from '../../../cli/report/show-report.ts';
import { Terminal } from '../../../cli/terminal/terminal.ts';
import { MANIFEST, runFileKey } from '../../../core/names.ts';
import { LOG_FILE, METRICS_FILE, REPORT_FILE, SUMMARY_FILE } from '../../../core/results/files.ts';
import { summarizeRun } from '../../../core/results/summarize-run.ts';
import { spiedS3 } from '../../support/fakes/memory-aws.ts';
import { endedRun, RUN_ID, SAMPLE_POINTS, STARTED_AT } from '../../support/fakes/run-results.ts';
import * as samples from '../../support/fakes/samples.ts';
import { awsError, fakeClient } from '../../support/fakes/sdk-client.ts';

const folder = mkdtempSync(join(tmpdir(), 'runctl-metrics-'));
afterEach(() => rmSync(folder, { recursive: true, force: true }));
const key = (name: string) => runFileKey(RUN_ID, name);

/** An account with a run that has ended and left these objects. */
function rig(objects = endedRun(), cloudWatch = '') {
  const { client: s3, sent } = spiedS3(objects);
  const sfn = fakeClient<SFNClient>({
    DescribeExecutionCommand: ({ executionArn }) => {
      const output = JSON.stringify({ outcome: 'succeeded', message: 'Done.' });
      const startDate = new Date(STARTED_AT);
      return { executionArn, name: RUN_ID, status: 'SUCCEEDED', startDate, input: '{}', output };
    },
  });
  const logs = fakeClient<CloudWatchLogsClient>({
    GetLogEventsCommand: ({ logStreamName, nextToken }) =>
      logStreamName === `${RUN_ID}/train`
        ? {
            events: nextToken === undefined ? [{ message: cloudWatch, timestamp: 1 }] : [],
            nextForwardToken: 'end',
          }
        : awsError('ResourceNotFoundException'),
  });
  const outputs: Readonly<Record<string, string>> = {
    ...{ machine: samples.MACHINE_ARN, bucket: 'bucket', logGroup: '/runctl/runs' },
  };
  const account = { sfn: sfn.client, s3, logs: logs.client, output: async (name: string) => outputs[name] };
  /** What a command prints, and which objects it has read. */
  async function run(command: (context: Context) => Promise<unknown>) {
    const [out, err] = [new PassThrough(), new PassThrough()] as unknown as NodeJS.WriteStream[];
    let text = '';
    out?.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
    const terminal = new Terminal({ out: out as never, err: err as never, in: process.stdin, env: {} });
    const signal = new AbortController().signal;
    const from = sent.length;
    await command({ account: account as unknown as Account, terminal, signal, folder });
    return { text, read: sent.slice(from).map(({ input }) => String(input.Key).split('/').at(-1)) };
  }
  const report = async (ids = [RUN_ID]) => {
    const { read } = await run((context) => showReport(context, ids, { output: 'report.html' }));
    return { html: readFileSync(join(folder, 'report.html'), 'utf8'), read };
  };
  return {
    objects,
    metrics: (options: MetricsOptions) => run((context) => showMetrics(context, [RUN_ID], options)),
    report,
    summarize: () => summarizeRun({ filesOf: resultFilesOver(s3, 'bucket'), now: Date.now }, RUN_ID),
  };
}

describe('the stored results of a run', () => {
  it.each<[string, MetricsOptions]>([
    ['JSON', { json: true }],
    ['CSV', { csv: true }],
    ['a table', {}],
    ['some metrics', { json: true, name: ['acc', 'lr'] }],
  ])('have the numbers that runctl metrics reads in the log: %s', async (_, options) => {
    const { metrics, summarize } = rig();
    const parsed = await metrics(options);
    await summarize();
    const stored = await metrics(options);
    expect(parsed.text).toContain('acc');
    expect(stored.text).toBe(parsed.text);
    expect(parsed.read).toContain(LOG_FILE);
    expect(stored.read).toEqual(expect.arrayContaining([SUMMARY_FILE, METRICS_FILE]));
    expect(stored.read).not.toContain(LOG_FILE);
  });

  it('have the report that runctl report makes', async () => {
    const { report, summarize } = rig();
    const made = await report();
    await summarize();
    const stored = await report();
    expect(stored.html).toBe(made.html);
    expect(made.read).toContain(LOG_FILE);
    expect(stored.read).not.toContain(LOG_FILE);
    expect(stored.read).toContain(REPORT_FILE);
  });

  it('have what a comparison of runs needs', async () => {
    const { report, summarize } = rig();
    const made = await report([RUN_ID, RUN_ID]);
    await summarize();
    const stored = await report([RUN_ID, RUN_ID]);
    expect(stored.html).toBe(made.html);
    expect(stored.read).not.toContain(LOG_FILE);
  });

  it('do not answer for expressions that they were not made with', async () => {
    const { metrics, summarize } = rig();
    await summarize();
    const { text, read } = await metrics({ csv: true, match: ['mine=acc=0\\.(\\d)'], name: ['mine'] });
    expect(text).toContain('digits-1,mine,1,7,1\n');
    expect(read).toContain(LOG_FILE);
  });

  it('of an earlier run of the same name, of a part of the log, or damaged ones are not used', async () => {
    const { metrics, report, summarize, objects } = rig();
    const expected = await metrics({ json: true });
    await summarize();
    const summary = JSON.parse(Buffer.from(objects.get(key(SUMMARY_FILE)) ?? '').toString());
    const another = { ...summary, run: { id: RUN_ID, startedAt: '2020-01-01T00:00:00Z' } };
    const cut = { ...summary, log: { ...summary.log, isWhole: false } };
    const damaged = { ...summary, metrics: { ...summary.metrics, sha256: '0'.repeat(64) } };
    for (const changed of [another, cut, damaged, { ...summary, version: 2 }, 'no summary']) {
      objects.set(key(SUMMARY_FILE), Buffer.from(JSON.stringify(changed)));
      const found = await metrics({ json: true });
      expect(found.text).toBe(expected.text);
      expect(found.read).toContain(LOG_FILE);
    }
    expect((await report()).read).toContain(LOG_FILE);
    objects.set(key(SUMMARY_FILE), Buffer.from(JSON.stringify(summary)));
    objects.set(key(REPORT_FILE), Buffer.from('<html>somebody else'));
    expect((await report()).html).toContain('The training ended.');
  });

  it('do not hide what CloudWatch has of a run whose log is not in S3', async () => {
    const { metrics, summarize } = rig(endedRun({ log: null, points: SAMPLE_POINTS }), 'epoch=1 loss=3\n');
    await summarize();
    const { text } = await metrics({ csv: true });
    expect(text).toContain('digits-1,loss,1,3,1\n');
    expect(text).toContain('digits-1,lr,1,0.1,1\n');
  });

  it('says so when the log is not the one of the manifest', async () => {
    const { metrics, objects } = rig();
    objects.set(key(LOG_FILE), endedRun({ log: 'epoch=9 loss=9' }).get(key(LOG_FILE)) ?? Buffer.alloc(0));
    expect(objects.has(key(MANIFEST))).toBe(true);
    await expect(metrics({})).rejects.toThrow(`The SHA-256 of ${key(LOG_FILE)} differs from the manifest.`);
  });
});
