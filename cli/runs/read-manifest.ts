import * as z from 'zod';
import { OUTCOMES } from '../../core/errors.ts';

const text = z.string().nullable().default(null);
const file = z.object({ key: z.string(), bytes: z.number(), sha256: z.string() });
const job = z.looseObject({}).nullable().default(null);

/**
 * What the CLI reads of a manifest: the keys that it needs, so that the manifest of an older runctl, which lacks keys, and of a newer one, which
 * has more, are read as well (core/outcome/manifest-schema.ts says what is written). Whatever else is in it is kept.
 */
const keptRun = z.looseObject({
  version: z.literal(1),
  run: z.looseObject({ id: z.string(), arn: z.string(), startedAt: z.string(), endedAt: z.string() }),
  outcome: z.enum(OUTCOMES),
  message: z.string().default(''),
  next: text,
  exitCode: z.number().nullable().default(null),
  pid: z.number().nullable().default(null),
  lastLines: z.array(z.string()).default([]),
  warnings: z.array(z.string()).default([]),
  spec: z.record(z.string(), z.unknown()).nullable().default(null),
  instance: z.looseObject({ id: z.string(), type: z.string() }).nullable().default(null),
  jobs: z.object({ sync: job, install: job, train: job }).default({ sync: null, install: null, train: null }),
  outputs: z
    .looseObject({
      archive: file.nullable().default(null),
      count: z.number().default(0),
      files: z.array(z.object({ path: z.string(), bytes: z.number(), sha256: z.string() })).default([]),
    })
    .default({ archive: null, count: 0, files: [] }),
  logs: z.array(file.extend({ job: z.enum(['sync', 'install', 'train']) })).default([]),
});

export type KeptRun = z.infer<typeof keptRun>;

/** null: it is not one that can be read. */
export function readManifest(json: string): KeptRun | null {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    return null;
  }
  return keptRun.safeParse(value).data ?? null;
}
