import { createHash } from 'node:crypto';
import { gunzipSync } from 'node:zlib';
import { expect, it } from 'vitest';
import { runFileKey } from '../../core/names.ts';
import { Cloud } from '../support/cloud/cloud.ts';
import { tarGz } from './archives.ts';

/** Pieces of log end wherever 12 MB end: inside characters too. Blank lines, and a last line without its end. */
const SCRIPT = `import sys
lines = "".join(f"step {i} " + "größer → " * 30 + "\\n" * (1 + i % 2) for i in range(1000))
for _ in range(70):
    sys.stdout.write(lines)
sys.stdout.write("the end")
`;
const sha256 = (bytes: Uint8Array | string) => createHash('sha256').update(bytes).digest('hex');

it('a job that writes 28 MB at once has the same log on the instance, in CloudWatch and in S3, in a few polls', async () => {
  const cloud = await Cloud.connect();
  const archive = await cloud.put('archives/burst.tar.gz', await tarGz({ 'train.py': SCRIPT }));
  const run = await cloud.finished(await cloud.start({ instance: cloud.instanceId, archive, project: 'burst' }));
  expect(run).toMatchObject({ status: 'SUCCEEDED', output: { warnings: [] } });
  const file = cloud.jobFile(run.id, 'train', 'log');
  expect(Buffer.byteLength(file)).toBeGreaterThan(2 * 12_000_000);
  const copy = await cloud.object(runFileKey(run.id, 'train.log.gz'));
  const copies = [sha256(await cloud.log(run.id, 'train')), sha256(gunzipSync(copy ?? Buffer.alloc(0)))];
  expect(copies).toEqual([sha256(file), sha256(file)]);
  // In SSM's answers it would have taken 28 and more.
  expect((await cloud.manifest(run.arn)).polls).toBeLessThan(15);
});
