import assert from 'node:assert/strict';
import { REPORT_FILE, SUMMARY_FILE } from '../core/results/files.ts';
import { readSummary } from '../core/results/summary-schema.ts';
import { sha256 } from './account-runs.ts';
import type { Claim } from './claim.ts';
import { INSTANCE_CLAIMS } from './instance-claims.ts';
import { checkPermissions } from './permissions.ts';

/** The lines that train.py prints. */
function lines(): string {
  return Array.from({ length: 5_000 }, (_, number) => `line ${number}: äöü ✓ ${'x'.repeat(number % 97)}\n`).join('');
}

export const CLAIMS: readonly Claim[] = [
  {
    name: 'success',
    statement: 'A run whose script exits with 0 succeeds. CloudWatch and S3 have identical copies of its log.',
    onAwsOnly: false,
    minutes: { instance: 2 },
    async check(runs) {
      const run = await runs.waitForEnd(await runs.start(['lines', '']));
      assert.deepEqual([run.status, run.ending.outcome, run.ending.exitCode ?? 0], ['SUCCEEDED', 'succeeded', 0]);
      const expected = lines();
      assert.equal(sha256(await runs.log(run, 'train')), sha256(expected), 'the log in CloudWatch');
      assert.equal(sha256(await runs.wholeLog(run, 'train')), sha256(expected), 'the log in S3');
      return `${run.runId}: ${Buffer.byteLength(expected)} bytes of log, identical in both`;
    },
  },
  {
    name: 'failure',
    statement:
      'A run whose script exits with 3 fails with TrainingFailed and exit code 3. Its report and its summary are stored.',
    onAwsOnly: false,
    minutes: { instance: 2 },
    async check(runs) {
      const run = await runs.waitForEnd(await runs.start(['exit', '3']));
      assert.deepEqual([run.status, run.error, run.ending.exitCode], ['FAILED', 'TrainingFailed', 3]);
      assert.equal((await runs.manifest(run)).outcome, 'failed');
      const summary = readSummary((await runs.awaitFile(run.runId, SUMMARY_FILE)).toString('utf8'));
      assert.equal(summary?.log?.isWhole, true, 'the summary');
      assert.notEqual(await runs.file(run.runId, REPORT_FILE), null, 'the report');
      return `${run.runId}: ${run.error}, exit code 3, with a report`;
    },
  },
  {
    name: 'queue and stop',
    statement:
      'A second run waits for the instance. When the first is stopped, it gets SIGTERM and its checkpoint is kept.',
    onAwsOnly: false,
    minutes: { instance: 2 },
    async check(runs) {
      const first = await runs.start(['wait', '1800']);
      await runs.waitForLog(first, 'waiting');
      const second = await runs.start(['lines', '']);
      await runs.stop(first);
      const [stopped, queued] = [await runs.waitForEnd(first), await runs.waitForEnd(second)];
      const manifest = await runs.manifest(first);
      assert.deepEqual([stopped.status, manifest.outcome, queued.status], ['ABORTED', 'stopped', 'SUCCEEDED']);
      assert.match(await runs.wholeLog(first, 'train'), /saved\n$/);
      assert.notEqual(await runs.file(first.runId, 'outputs.tar.gz'), null, 'its outputs');
      return `${first.runId} stopped with its checkpoint, then ${second.runId}`;
    },
  },
  {
    name: 'skip',
    statement: 'A run with ifBusy: skip does not train on a busy instance.',
    onAwsOnly: false,
    minutes: { instance: 2 },
    async check(runs) {
      const first = await runs.start(['wait', '1800']);
      try {
        await runs.waitForLog(first, 'waiting');
        const run = await runs.waitForEnd(await runs.start(['lines', ''], { ifBusy: 'skip' }));
        assert.deepEqual([run.status, run.ending.outcome], ['FAILED', 'skipped']);
        return `${run.runId}: ${run.error}`;
      } finally {
        await runs.stop(first);
        await runs.manifest(first);
      }
    },
  },
  {
    name: 'permissions',
    statement:
      'The role of start-training may send only the runctl documents, and only to instances tagged runctl=enabled.',
    onAwsOnly: true,
    minutes: { instance: 0 },
    check: (runs) => checkPermissions(runs),
  },
  ...INSTANCE_CLAIMS,
];
