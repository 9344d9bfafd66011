import { deflateRawSync, inflateRawSync } from 'node:zlib';
import * as z from 'zod/mini';
import { COMPRESSOR } from './compress.ts';

/**
 * A patch describes an archive by an earlier one, its base: bytes of the base that are kept, whole members that are new,
 * and members to be made again from content of the base and new content. It is one object:
 * `RUNCTLP1`, the lengths of two sections (32 bits, big endian), the sections `header` (JSON) and `literals` (new content),
 * both raw deflate, and the bytes of whole members.
 */
const MAGIC = Buffer.from('RUNCTLP1');
const PREFIX_BYTES = MAGIC.length + 8;
/** What a header may inflate to: about 100,000 parts. */
const HEADER_BYTES_MAX = 16 * 1024 * 1024;
/** What new content may inflate to, and members together that are made again: they are held in memory. */
export const REBUILT_BYTES_MAX = 64 * 1024 * 1024;
/** Content of one member: members of runctl have 512 KiB at most. */
export const MEMBER_CONTENT_MAX = 1024 * 1024;

const count = z.int().check(z.nonnegative());
const headerSchema = z.strictObject({
  /** What made the members of the archive; another one would make other bytes. */
  compressor: z.string(),
  base: z.strictObject({ key: z.string(), versionId: z.nullable(z.string()), bytes: count }),
  /** The archive that results. */
  sha256: z.string().check(z.regex(/^[0-9a-f]{64}$/)),
  bytes: count,
  /** Members of the base whose content is copied from: offset and length in the base, and bytes of content. */
  sources: z.array(z.tuple([count, count, count])),
  parts: z.array(
    z.union([
      /** Bytes of the base, from and to. */
      z.tuple([z.literal('keep'), count, count]),
      /** Bytes of a whole member that follow in the patch. */
      z.tuple([z.literal('whole'), count]),
      /** A member to be made: triples of source (-1: new content), offset in it, and length. */
      z.tuple([z.literal('make'), z.array(z.int())]),
    ]),
  ),
});

export type PatchHeader = z.infer<typeof headerSchema>;
export type PatchPart = PatchHeader['parts'][number];

export interface Patch {
  readonly header: PatchHeader;
  /** New content of all members that are made, in their order. */
  readonly literals: Buffer;
  /** Whole members, in their order. */
  readonly members: Buffer;
}

/** A patch that no client of ours has made. */
export class InvalidPatch extends Error {
  override readonly name = 'InvalidPatch';
}

export function encodePatch({ header, literals, members }: Patch): Buffer {
  const sections = [Buffer.from(JSON.stringify(header)), literals].map((bytes) => deflateRawSync(bytes, { level: 9 }));
  const prefix = Buffer.alloc(PREFIX_BYTES);
  MAGIC.copy(prefix);
  sections.forEach((section, index) => {
    prefix.writeUInt32BE(section.length, MAGIC.length + 4 * index);
  });
  return Buffer.concat([prefix, ...sections, members]);
}

/**
 * Reads a patch, which anybody may have written: afterwards every number in it is within its bounds.
 * @param limits of the archive that results
 * @throws InvalidPatch
 */
export function decodePatch(bytes: Buffer, limits: { readonly archiveBytes: number }): Patch {
  if (bytes.length < PREFIX_BYTES || !bytes.subarray(0, MAGIC.length).equals(MAGIC))
    throw new InvalidPatch('it is not a patch');
  const [headerLength, literalsLength] = [bytes.readUInt32BE(MAGIC.length), bytes.readUInt32BE(MAGIC.length + 4)];
  const literalsAt = PREFIX_BYTES + headerLength;
  if (literalsAt + literalsLength > bytes.length) throw new InvalidPatch('it is cut off');
  const header = readHeader(inflate(bytes.subarray(PREFIX_BYTES, literalsAt), HEADER_BYTES_MAX));
  const literals = inflate(bytes.subarray(literalsAt, literalsAt + literalsLength), REBUILT_BYTES_MAX);
  const patch = { header, literals, members: bytes.subarray(literalsAt + literalsLength) };
  checkBounds(patch, limits.archiveBytes);
  return patch;
}

function inflate(section: Buffer, maxOutputLength: number): Buffer {
  try {
    return inflateRawSync(section, { maxOutputLength });
  } catch {
    throw new InvalidPatch(`a section is damaged, or larger than ${maxOutputLength} bytes`);
  }
}

function readHeader(bytes: Buffer): PatchHeader {
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString('utf8'));
  } catch {
    throw new InvalidPatch('its header is not JSON');
  }
  const result = headerSchema.safeParse(value);
  if (!result.success)
    throw new InvalidPatch(`its header is not as expected at ${result.error.issues[0]?.path.join('.')}`);
  return result.data;
}

function checkBounds({ header, literals, members }: Patch, archiveBytes: number): void {
  const { base, sources, parts, bytes } = header;
  const expect = (holds: boolean, what: string) => {
    if (!holds) throw new InvalidPatch(what);
  };
  expect(header.compressor === COMPRESSOR, `it was made for ${header.compressor}, and this version has ${COMPRESSOR}`);
  expect(bytes <= archiveBytes, `the archive would have ${bytes} bytes, and ${archiveBytes} are allowed`);
  for (const [offset, length, content] of sources) {
    expect(length > 0 && offset + length <= base.bytes, 'a source is outside the base');
    expect(content <= MEMBER_CONTENT_MAX, 'a source is too large');
  }
  expect(
    sources.reduce((sum, [, , content]) => sum + content, 0) <= REBUILT_BYTES_MAX,
    'its sources are too large together',
  );
  let whole = 0;
  let fresh = 0;
  let made = 0;
  let known = 0;
  for (const part of parts) {
    if (part[0] === 'keep') {
      expect(part[1] < part[2] && part[2] <= base.bytes, 'a part is outside the base');
      known += part[2] - part[1];
    } else if (part[0] === 'whole') whole += part[1];
    else {
      const content = checkOperations(part[1], sources, expect);
      made += content.all;
      fresh += content.fresh;
    }
  }
  expect(known + whole <= bytes, 'its parts are longer than the archive');
  expect(made <= REBUILT_BYTES_MAX, 'the members to be made are too large together');
  expect(whole === members.length, 'the members in it are not as long as the header says');
  expect(fresh === literals.length, 'the new content in it is not as long as the header says');
}

function checkOperations(
  operations: readonly number[],
  sources: PatchHeader['sources'],
  expect: (holds: boolean, what: string) => void,
): { all: number; fresh: number } {
  expect(operations.length > 0 && operations.length % 3 === 0, 'a member to be made has no whole operations');
  let all = 0;
  let fresh = 0;
  for (const [source, offset, length] of triplesOf(operations)) {
    expect(length > 0 && offset >= 0, 'an operation has a length or an offset that is not possible');
    if (source === -1) fresh += length;
    else expect(offset + length <= (sources[source]?.[2] ?? -1), 'an operation is outside its source');
    all += length;
    expect(all <= MEMBER_CONTENT_MAX, 'a member to be made is too large');
  }
  return { all, fresh };
}

/** Source (-1: new content), offset in it, and length of each operation. */
function* triplesOf(operations: readonly number[]): Generator<[number, number, number]> {
  for (let index = 0; index < operations.length; index += 3)
    yield operations.slice(index, index + 3) as [number, number, number];
}

/**
 * The content of the members to be made, in their order.
 * @param sources the content of the header's sources, each as long as the header says
 */
export function* madeContents({ header, literals }: Patch, sources: readonly Buffer[]): Generator<Buffer> {
  let at = 0;
  for (const part of header.parts) {
    if (part[0] !== 'make') continue;
    const pieces: Buffer[] = [];
    for (const [source, offset, length] of triplesOf(part[1])) {
      if (source === -1) {
        pieces.push(literals.subarray(at, at + length));
        at += length;
      } else pieces.push((sources[source] as Buffer).subarray(offset, offset + length));
    }
    yield Buffer.concat(pieces);
  }
}
