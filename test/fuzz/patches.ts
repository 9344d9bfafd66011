/**
 * Plays random sequences of edits with faults: `npm run fuzz:patches [-- <sequences> [<seed>]]`, 10,000 by default. Exit
 * code 1, and the sequence, for an archive that is not the one of a full push. Takes an hour and more.
 */
import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { playSequence, sequence } from '../support/patches.ts';

const REPORT_MS = 30_000;
const [count = '10000', seed = String(Date.now() % 2 ** 31)] = process.argv.slice(2);
const work = await realpath(await mkdtemp(join(tmpdir(), 'runctl fuzz ')));
let [played, compared, reported] = [0, 0, performance.now()];
const report = (what: string) =>
  process.stdout.write(`${what}: ${played} of ${count} sequences, ${compared} archives compared, seed ${seed}\n`);

const property = fc.asyncProperty(sequence, async (rounds) => {
  compared += await playSequence(work, rounds);
  played += 1;
  if (performance.now() - reported < REPORT_MS) return;
  reported = performance.now();
  report('so far');
});
try {
  const result = await fc.check(property, { numRuns: Number(count), seed: Number(seed) });
  report(result.failed ? 'DIFFERENT' : '0 differences');
  if (result.failed) {
    process.stdout.write(`${JSON.stringify(result.counterexample)}\n${String(result.errorInstance)}\n`);
    process.exitCode = 1;
  }
} finally {
  await rm(work, { recursive: true, force: true });
}
