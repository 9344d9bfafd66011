import * as z from 'zod/mini';

const size = z.int().check(z.nonnegative());
const hash = z.string().check(z.regex(/^[0-9a-f]{32}$/));

/** The list of a checkpoint's files, as the instance has sent it: its keys are behind the run's prefix and the number. */
const fileList = z.object({
  seq: size,
  name: z.string(),
  files: z
    .array(
      z.object({
        path: z.string().check(z.minLength(1), z.maxLength(4_096)),
        bytes: size,
        parts: z.array(z.object({ key: z.string().check(z.minLength(1)), bytes: size, etag: hash })),
      }),
    )
    .check(z.maxLength(1_000)),
});
export type FileList = z.infer<typeof fileList>;

/** @returns null for a list that is not one of this runner's */
export function readFileList(text: string): FileList | null {
  return parse(fileList, text);
}

const checkpointManifest = z.object({
  version: z.literal(1),
  project: z.string(),
  lineage: z.string(),
  seq: size,
  run: z.object({ id: z.string(), startedAt: z.string() }),
  /** Path in the project of the file or folder. */
  name: z.string(),
  format: z.string(),
  /** Its format is not known: nothing but the quiet says that it is complete. */
  marked: z.boolean(),
  bytes: size,
  /** ISO 8601, UTC. */
  modified: z.string(),
  committedAt: z.string(),
  files: z.array(
    z.object({
      path: z.string(),
      bytes: size,
      parts: z.array(z.object({ key: z.string(), versionId: z.nullable(z.string()), bytes: size, etag: z.string() })),
    }),
  ),
});
/** A committed checkpoint. It never changes. */
export type CheckpointManifest = z.infer<typeof checkpointManifest>;

/** @returns null for another version's, or one that is damaged */
export function readCheckpointManifest(text: string): CheckpointManifest | null {
  return parse(checkpointManifest, text);
}

const latestCheckpoint = z.object({
  version: z.literal(1),
  seq: size,
  name: z.string(),
  format: z.string(),
  bytes: size,
  run: z.string(),
  committedAt: z.string(),
});
/** What latest.json says. */
export type LatestCheckpoint = z.infer<typeof latestCheckpoint>;

export function readLatest(text: string): LatestCheckpoint | null {
  return parse(latestCheckpoint, text);
}

const lineageOfRun = z.object({ version: z.literal(1), lineage: z.string(), base: size });

/** What lineage.json of a run says that continues another one. */
export function readLineage(text: string): z.infer<typeof lineageOfRun> | null {
  return parse(lineageOfRun, text);
}

export function latestOf(manifest: CheckpointManifest): LatestCheckpoint {
  const { seq, name, format, bytes, run, committedAt } = manifest;
  return { version: 1, seq, name, format, bytes, run: run.id, committedAt };
}

function parse<T extends z.ZodMiniType>(schema: T, text: string): z.output<T> | null {
  try {
    return z.parse(schema, JSON.parse(text));
  } catch {
    return null;
  }
}
