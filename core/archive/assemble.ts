import { gunzipSync } from 'node:zlib';
import { compressMember } from './compress.ts';
import { InvalidPatch, madeContents, type Patch } from './patch.ts';

/** S3 takes no smaller part of a multipart upload, except for the last one (S3 User Guide, "Multipart upload limits"). */
export const PART_BYTES_MIN = 5 * 1024 * 1024;
/** Sources that are so close to each other are read in one request. */
const GAP_BYTES = 256 * 1024;

/** A stretch of the archive: bytes of the base, or bytes at hand. */
export type Segment = { readonly start: number; readonly end: number } | { readonly bytes: Buffer };

/** Reads bytes of the base; `end` is exclusive. */
export type ReadRange = (start: number, end: number) => Promise<Buffer>;

/**
 * What the archive of a patch consists of.
 * @throws InvalidPatch when the base is not what the patch says
 */
export async function segmentsOf(patch: Patch, readRange: ReadRange): Promise<Segment[]> {
  const made = madeContents(patch, await readSources(patch, readRange));
  const segments: Segment[] = [];
  let whole = 0;
  let total = 0;
  const add = (segment: Segment) => {
    segments.push(segment);
    total += lengthOf(segment);
  };
  for (const part of patch.header.parts) {
    if (part[0] === 'keep') add({ start: part[1], end: part[2] });
    else if (part[0] === 'whole') {
      add({ bytes: patch.members.subarray(whole, whole + part[1]) });
      whole += part[1];
    } else add({ bytes: compressMember(made.next().value as Buffer) });
  }
  if (total !== patch.header.bytes)
    throw new InvalidPatch(`its parts make ${total} bytes, and the archive should have ${patch.header.bytes}`);
  return segments;
}

export function lengthOf(segment: Segment): number {
  return 'bytes' in segment ? segment.bytes.length : segment.end - segment.start;
}

async function readSources({ header }: Patch, readRange: ReadRange): Promise<Buffer[]> {
  const contents = new Map<number, Buffer>();
  const sorted = [...header.sources.entries()].sort(([, a], [, b]) => a[0] - b[0]);
  while (sorted.length > 0) {
    // One request for those that are close to each other.
    const group = [sorted.shift() as (typeof sorted)[number]];
    const start = group[0]?.[1][0] ?? 0;
    let end = start + (group[0]?.[1][1] ?? 0);
    while (sorted[0] !== undefined && sorted[0][1][0] <= end + GAP_BYTES && sorted[0][1][0] - start < PART_BYTES_MIN) {
      const next = sorted.shift() as (typeof sorted)[number];
      group.push(next);
      end = Math.max(end, next[1][0] + next[1][1]);
    }
    const bytes = await readRange(start, end);
    for (const [number, [offset, length, content]] of group)
      contents.set(number, unpack(bytes.subarray(offset - start, offset - start + length), content));
  }
  return header.sources.map((_, number) => contents.get(number) as Buffer);
}

function unpack(member: Buffer, length: number): Buffer {
  try {
    const content = gunzipSync(member, { maxOutputLength: length });
    if (content.length === length) return content;
  } catch {
    // Not a member: the same mistake.
  }
  throw new InvalidPatch('a source is not a member of the base with the length that it names');
}

/** A part of a multipart upload: copied by S3 from the base, or sent. */
export type Part =
  | { readonly copy: { readonly start: number; readonly end: number } }
  | { readonly send: readonly Segment[] };

/** Divides an archive into parts: what is kept is copied by S3 where a part may be as small as that. */
export function planParts(segments: readonly Segment[]): Part[] {
  const parts: Part[] = [];
  let sent: Segment[] = [];
  let bytes = 0;
  const send = (segment: Segment) => {
    if (lengthOf(segment) === 0) return;
    sent.push(segment);
    bytes += lengthOf(segment);
  };
  const close = () => {
    if (bytes > 0) parts.push({ send: sent });
    sent = [];
    bytes = 0;
  };
  for (const segment of segments) {
    if ('bytes' in segment) {
      send(segment);
      if (bytes >= PART_BYTES_MIN) close();
      continue;
    }
    // What was collected before is filled up with the beginning of what is kept.
    const missing = bytes === 0 ? 0 : Math.max(PART_BYTES_MIN - bytes, 0);
    const { start, end } = segment;
    if (end - start - missing < PART_BYTES_MIN) {
      send(segment);
      if (bytes >= PART_BYTES_MIN) close();
      continue;
    }
    send({ start, end: start + missing });
    close();
    parts.push({ copy: { start: start + missing, end } });
  }
  close();
  return parts;
}
