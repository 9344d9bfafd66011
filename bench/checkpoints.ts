import { join } from 'node:path';
import { benchCheckpointDelay } from './checkpoint-delay.ts';
import { writeRandom } from './checkpoint-sender.ts';
import { benchCheckpointSpeed } from './checkpoint-speed.ts';
import { benchCheckpointSteps } from './checkpoint-steps.ts';
import type { CloudBench } from './measure.ts';
import type { Section } from './report.ts';

/** What checkpoints cost: until they are in S3, on the line, and of the training. */
export async function benchCheckpoints(bench: CloudBench): Promise<Section[]> {
  const { state, work, say, checkpointMb } = bench;
  const file = join(work, 'checkpoint.npy');
  const bytes = checkpointMb * 1e6;
  say(`writing ${checkpointMb} MB`);
  await writeRandom(file, bytes);
  const speed = await benchCheckpointSpeed({ state, work, file, bytes }, say);
  const steps = await benchCheckpointSteps({ work, file, credentials: state.credentials }, say);
  return [await benchCheckpointDelay(bench), speed, steps];
}
