import { gunzipSync, gzipSync } from 'node:zlib';
import * as z from 'zod/mini';
import type { Member } from './members.ts';

/** What a function that verified an archive writes down about it. */
export interface ArchiveIndex {
  readonly key: string;
  readonly versionId: string | null;
  /** Hex. */
  readonly sha256: string;
  readonly bytes: number;
  readonly members: readonly Member[];
}

/** What an index may unpack to: the members of the largest archive take 6 MB. */
const BYTES_MAX = 32 * 1024 * 1024;
const count = z.int().check(z.nonnegative());
const schema = z.object({
  key: z.string(),
  versionId: z.nullable(z.string()),
  sha256: z.string(),
  bytes: count,
  members: z.array(z.tuple([count, count, z.string()])),
});

export function encodeIndex(index: ArchiveIndex): Buffer {
  const members = index.members.map(({ bytes, content, digest }) => [bytes, content, digest]);
  return gzipSync(JSON.stringify({ ...index, members }), { level: 9 });
}

/** Null for what no function of this version has written. */
export function decodeIndex(bytes: Uint8Array): ArchiveIndex | null {
  try {
    const text = gunzipSync(bytes, { maxOutputLength: BYTES_MAX }).toString('utf8');
    const result = schema.safeParse(JSON.parse(text));
    if (!result.success) return null;
    const members = result.data.members.map(([length, content, digest]) => ({ bytes: length, content, digest }));
    return { ...result.data, members };
  } catch {
    return null;
  }
}
