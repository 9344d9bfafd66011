import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import type { CloudWatchLogsClient } from '@aws-sdk/client-cloudwatch-logs';
import type { S3Client } from '@aws-sdk/client-s3';
import type { SFNClient } from '@aws-sdk/client-sfn';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { executionsOver } from '../../../aws/executions.ts';
import type { Context } from '../../../cli/context.ts';
import { Runs } from '../../../cli/runs/find.ts';
import { pullRun } from '../../../cli/runs/pull.ts';
import { reportOn } from '../../../cli/runs/report.ts';
import { RunStore } from '../../../cli/runs/store.ts';
import { Terminal } from '../../../cli/terminal/terminal.ts';
import { awsError, fakeClient } from '../../support/fakes/sdk-client.ts';

/**
 * Two runs of runctl 0.1.0 as its local cloud kept them (commit c9545d5): executions, histories, objects, logs. One succeeded, one ended with
 * exit code 3. A stack that is deployed over keeps them, and the command of this version reads them.
 */
interface Kept {
  readonly executions: readonly (Record<string, unknown> & { executionArn: string; name: string })[];
  readonly histories: Readonly<Record<string, readonly (Record<string, unknown> & { timestamp: string })[]>>;
  /** base64 by key. */
  readonly objects: Readonly<Record<string, string>>;
  readonly logs: Readonly<Record<string, readonly object[]>>;
}
const file = new URL('../../support/fixtures/runs-0.1.0.json', import.meta.url);
const kept = JSON.parse(readFileSync(file, 'utf8')) as Kept;
const GOOD = 'old-20261126-162700-516f';
const BAD = 'old-20261126-162721-2416';

/** @param forgotten Step Functions has deleted the executions, as it does after 90 days */
function account(forgotten = false) {
  const dated = (execution: Kept['executions'][number]) => ({
    ...execution,
    startDate: new Date(Number(execution.startDate) * 1_000 || String(execution.startDate)),
    stopDate: new Date(Number(execution.stopDate) * 1_000 || String(execution.stopDate)),
  });
  const executions = forgotten ? [] : kept.executions.map(dated);
  const sfn = fakeClient<SFNClient>({
    ListExecutionsCommand: () => ({ executions: [...executions].reverse() }),
    DescribeExecutionCommand: ({ executionArn }) =>
      executions.find((one) => one.executionArn === executionArn) ?? awsError('ExecutionDoesNotExist'),
    GetExecutionHistoryCommand({ executionArn, reverseOrder }) {
      const found = executions.find((one) => one.executionArn === executionArn);
      if (!found) return awsError('ExecutionDoesNotExist');
      const events = (kept.histories[found.name] ?? []).map((event) => ({
        ...event,
        timestamp: new Date(Number(event.timestamp) * 1_000 || event.timestamp),
      }));
      return { events: reverseOrder ? events.reverse() : events };
    },
  });
  const s3 = fakeClient<S3Client>({
    GetObjectCommand({ Key }) {
      const object = kept.objects[String(Key)];
      if (object === undefined) return awsError('NoSuchKey');
      const bytes = Buffer.from(object, 'base64');
      const Body = Object.assign(Readable.from([bytes]), { transformToString: async () => bytes.toString() });
      return { Body, ContentLength: bytes.length };
    },
    ListObjectsV2Command: () => ({
      CommonPrefixes: [GOOD, BAD].map((id) => ({ Prefix: `runs/${id}/` })),
    }),
  });
  const logs = fakeClient<CloudWatchLogsClient>({
    GetLogEventsCommand: ({ logStreamName }) => ({
      events: kept.logs[String(logStreamName)] ?? [],
      nextForwardToken: 'f',
      nextBackwardToken: 'b',
    }),
  });
  const machine = String(kept.executions[0]?.stateMachineArn);
  const runs = new Runs({ executions: executionsOver(sfn.client), store: new RunStore(s3.client, 'bucket'), machine });
  return { runs, sources: { runs, logs: logs.client, logGroup: '/runctl/runs' } };
}

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'runctl-old-'));
});
afterEach(() => rmSync(folder, { recursive: true }));
const old = async () => ({ value: 'old', from: 'runctl.yaml' });

describe('runs of runctl 0.1.0', () => {
  it('are listed', async () => {
    const listed: unknown[] = [];
    for await (const run of account().runs.list('old')) listed.push(run);
    expect(listed).toMatchObject([
      { id: BAD, project: 'old', outcome: 'failed', script: 'train.py' },
      { id: GOOD, project: 'old', outcome: 'succeeded', instance: expect.stringMatching(/^i-/) },
    ]);
  });

  it.each([
    ['their execution', false],
    ['their manifest alone', true],
  ])('are shown by %s', async (_, forgotten) => {
    const { runs, sources } = account(forgotten);
    const good = await reportOn(sources, await runs.find(GOOD, old));
    expect(JSON.stringify(good.lastLine)).toContain('trained');
    expect(good).toMatchObject({
      ending: { outcome: 'succeeded', exitCode: 0 },
      project: 'old',
      script: 'train.py',
    });
    expect(await reportOn(sources, await runs.find(BAD, old))).toMatchObject({
      ending: { outcome: 'failed', exitCode: 3, next: expect.any(String), lastLines: ['trained'] },
    });
  });

  it.each([
    ['their execution', false],
    ['their manifest alone', true],
  ])('are pulled by %s', async (_, forgotten) => {
    const { runs } = account(forgotten);
    const io = new PassThrough() as unknown as NodeJS.WriteStream;
    const terminal = new Terminal({ out: io, err: io, in: process.stdin, env: {} });
    const context = { terminal, signal: new AbortController().signal, folder } as unknown as Context;
    for (const id of [GOOD, BAD]) {
      expect(await pullRun(context, runs, await runs.find(id, old), { unpack: true })).toMatchObject({
        id,
        outputs: 1,
      });
      const pulled = join(folder, 'runctl-runs', id);
      expect(readFileSync(join(pulled, 'outputs/model.txt'), 'utf8')).toBe('weights\n');
      expect(readFileSync(join(pulled, 'train.log'), 'utf8')).toBe('trained\n');
      expect(existsSync(join(pulled, 'manifest.json'))).toBe(true);
    }
  });
});
