import { join } from 'node:path';
import type { LocalState } from '../local/cloud/state.ts';
import { benchCheckpointDelay } from './checkpoint-delay.ts';
import { writeRandom } from './checkpoint-sender.ts';
import { benchCheckpointSpeed } from './checkpoint-speed.ts';
import { benchCheckpointSteps } from './checkpoint-steps.ts';
import type { BenchCloud } from './cloud.ts';
import type { Section } from './report.ts';

/** What checkpoints cost: until they are in S3, on the line, and of the training. */
export async function benchCheckpoints(
  { cloud, state }: { cloud: BenchCloud; state: LocalState },
  { work, checkpointMb }: { work: string; checkpointMb: number },
  say: (line: string) => void,
  signal: AbortSignal,
): Promise<Section[]> {
  const file = join(work, 'checkpoint.npy');
  const bytes = checkpointMb * 1e6;
  say(`writing ${checkpointMb} MB`);
  await writeRandom(file, bytes);
  const speed = await benchCheckpointSpeed({ state, work, file, bytes }, say);
  const steps = await benchCheckpointSteps({ work, file, credentials: state.credentials }, say);
  return [await benchCheckpointDelay(cloud, work, say, signal), speed, steps];
}
