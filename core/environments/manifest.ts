import * as z from 'zod/mini';

const size = z.int().check(z.nonnegative());
const hash = z.string().check(z.regex(/^[0-9a-f]{64}$/));

/** An environment that is in S3 as a whole. */
const environmentManifest = z.object({
  version: z.literal(1),
  project: z.string(),
  /** SHA-256 of all that an install depends on, as the instance computed it. */
  key: hash,
  run: z.object({ id: z.string(), startedAt: z.string() }),
  /** Of the archive: its parts, one after another. */
  sha256: hash,
  bytes: size,
  packages: size,
  /** ISO 8601, UTC. */
  storedAt: z.string(),
  parts: z.array(z.object({ key: z.string(), versionId: z.nullable(z.string()), bytes: size, etag: z.string() })),
});
export type EnvironmentManifest = z.infer<typeof environmentManifest>;

/** @returns null for another version's, or one that is damaged */
export function readEnvironmentManifest(text: string): EnvironmentManifest | null {
  try {
    return environmentManifest.safeParse(JSON.parse(text)).data ?? null;
  } catch {
    return null;
  }
}

/** What an install says of the environment that it installed into; the job's process wrote it. */
const installed = z.object({
  key: hash,
  restored: z.boolean(),
  sha256: z.nullable(hash),
});
export type InstalledEnvironment = z.infer<typeof installed>;

/** @param result of the job `install`. @returns null: it has none that could be stored */
export function installedEnvironment(result: unknown): InstalledEnvironment | null {
  const { environment } = (result ?? {}) as { environment?: unknown };
  return installed.safeParse(environment).data ?? null;
}
