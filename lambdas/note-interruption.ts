import * as z from 'zod/mini';
import { createRunFiles } from '../aws/run-files.ts';
import { interruptionKey } from '../core/names.ts';
import type { RunFiles } from '../core/outcome/write-manifest.ts';
import type { SpotNotice } from '../core/protocol/answers.ts';
import { entry } from './adapters/entry.ts';
import { requireEnv } from './adapters/environment.ts';
import { logger } from './adapters/logger.ts';

/** EC2 takes the instance two minutes after its event (EC2 User Guide, "Spot Instance interruption notices"). */
const AFTER_EVENT_MS = 120_000;

const warning = z.object({
  time: z.iso.datetime(),
  detail: z.object({
    'instance-id': z.string().check(z.regex(/^i-[0-9a-f]{8,17}$/)),
    'instance-action': z.enum(['terminate', 'stop', 'hibernate']),
  }),
});

/** Notes the event in the bucket, where Plan attempt reads it when the instance is lost. Idempotent: the newest stays. */
export function createNote(files: Pick<RunFiles, 'write'>) {
  return async (event: unknown): Promise<{ instance: string }> => {
    const { data, error } = warning.safeParse(event);
    if (!data) throw new Error(`not an interruption warning of EC2: ${z.prettifyError(error)}`);
    const { 'instance-id': instance, 'instance-action': action } = data.detail;
    const notice: SpotNotice = { action, time: (Date.parse(data.time) + AFTER_EVENT_MS) / 1_000 };
    await files.write(interruptionKey(instance), JSON.stringify(notice), { onlyFirst: false });
    logger.info('EC2 takes an instance back', { instance, action });
    return { instance };
  };
}

export const handler = entry(
  (event: { id?: string }) => event.id ?? 'unknown',
  () => createNote(createRunFiles(requireEnv('uploadBucket'))),
);
