import assert from 'node:assert/strict';
import { type AccountRuns, sha256 } from './account-runs.ts';
import { denied } from './denied.ts';

/** Something that is said of runctl, and how it is found out on an account. */
export interface Claim {
  readonly name: string;
  readonly says: string;
  /** Not on a local cloud: it has no such service, or decides nothing. */
  readonly onAwsOnly: boolean;
  /** @returns what was seen, in a few words. @throws AssertionError when it is not so */
  prove(runs: AccountRuns): Promise<string>;
}

/** As train.py writes them. */
function lines(): string {
  return Array.from({ length: 5_000 }, (_, number) => `line ${number}: äöü ✓ ${'x'.repeat(number % 97)}\n`).join('');
}

export const CLAIMS: readonly Claim[] = [
  {
    name: 'success',
    says: 'A run that ends with 0 succeeds; CloudWatch and S3 have its log to the byte.',
    onAwsOnly: false,
    async prove(runs) {
      const run = await runs.ended(await runs.start(['lines', '']));
      assert.deepEqual([run.status, run.ending.outcome, run.ending.exitCode ?? 0], ['SUCCEEDED', 'succeeded', 0]);
      const wanted = lines();
      assert.equal(sha256(await runs.log(run, 'train')), sha256(wanted), 'the log in CloudWatch');
      assert.equal(sha256(await runs.wholeLog(run, 'train')), sha256(wanted), 'the log in S3');
      return `${run.runId}: ${Buffer.byteLength(wanted)} bytes of log, the same in both`;
    },
  },
  {
    name: 'failure',
    says: "A run whose script ends with 3 fails, and says so: the error's name, the exit code.",
    onAwsOnly: false,
    async prove(runs) {
      const run = await runs.ended(await runs.start(['exit', '3']));
      assert.deepEqual([run.status, run.error, run.ending.exitCode], ['FAILED', 'TrainingFailed', 3]);
      assert.equal((await runs.manifest(run)).outcome, 'failed');
      return `${run.runId}: ${run.error}, exit code 3`;
    },
  },
  {
    name: 'queue and stop',
    says: 'A second run waits for the instance; the first, when it is stopped, gets TERM, and its checkpoint is kept.',
    onAwsOnly: false,
    async prove(runs) {
      const first = await runs.start(['wait', '1800']);
      await runs.printed(first, 'waiting');
      const second = await runs.start(['lines', '']);
      await runs.stop(first);
      const [stopped, waited] = [await runs.ended(first), await runs.ended(second)];
      const manifest = await runs.manifest(first);
      assert.deepEqual([stopped.status, manifest.outcome, waited.status], ['ABORTED', 'stopped', 'SUCCEEDED']);
      assert.match(await runs.wholeLog(first, 'train'), /saved\n$/);
      assert.notEqual(await runs.file(first.runId, 'outputs.tar.gz'), null, 'its outputs');
      return `${first.runId} stopped with its checkpoint, then ${second.runId}`;
    },
  },
  {
    name: 'skip',
    says: 'A run that is to skip a busy instance does not train.',
    onAwsOnly: false,
    async prove(runs) {
      const first = await runs.start(['wait', '1800']);
      try {
        await runs.printed(first, 'waiting');
        const run = await runs.ended(await runs.start(['lines', ''], { ifBusy: 'skip' }));
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
    says: 'The role that starts trainings may send our documents to instances with the tag runctl=enabled, and nothing else to any.',
    onAwsOnly: true,
    prove: (runs) => denied(runs),
  },
];
