import * as z from 'zod/mini';
import { LOG_CHUNK_PREFIX, runFolder } from '../names.ts';

/** A larger file is sent in parts: a single PUT takes no more. */
const WHOLE_BYTES = 5_000_000_000;
/** 10,000 parts, which S3 joins at most, are 671 GB. */
const PART_BYTES = 64 * 1024 * 1024;
/** Of the packed outputs. */
export const MAX_OUTPUT_BYTES = 500_000_000_000;

/** How files are sent that one PUT does not take. Implemented in aws/output-parts.ts. */
export interface OutputParts extends PartSizes {
  /** The right to POST objects whose keys have this beginning. */
  grant(prefix: string): Promise<{ readonly url: string; readonly fields: Readonly<Record<string, string>> }>;
  /**
   * Makes one object of the parts, as far as it comes until `until` (epoch ms). Idempotent.
   * @param uploadId of the call before; null: this is the first
   * @returns the id for the next call; null: the object is there
   * @throws PartsBroken when the parts are not what the instance has sent
   */
  join(parts: SentParts, to: string, uploadId: string | null, until: number): Promise<string | null>;
}

export interface PartSizes {
  readonly wholeBytes: number;
  readonly partBytes: number;
}

export interface SentParts {
  /** Of the keys of the parts, with a slash at its end. */
  readonly prefix: string;
  /** Of the whole file. */
  readonly bytes: number;
  /** Of the object that lists them. */
  readonly listEtag: string;
}

/** The parts are not what the instance has sent. */
export class PartsBroken extends Error {
  override readonly name = 'PartsBroken';
}

/** Sizes may be smaller in tests: `<whole>,<part>`. */
export function partSizes(text: string | undefined): PartSizes {
  const [wholeBytes = WHOLE_BYTES, partBytes = PART_BYTES] = text?.split(',').map(Number) ?? [];
  return { wholeBytes, partBytes };
}

/** Parts of a run's file on their way. They expire after a day, as log does. */
export function partsPrefix(runId: string, name: string): string {
  return `${LOG_CHUNK_PREFIX}${runFolder(runId)}/parts/${name}/`;
}

/** Behind the prefix. */
export const PARTS_LIST = 'parts.json';

/** @param number the first is 1, as S3 counts */
export function partKey(prefix: string, number: number): string {
  return `${prefix}${String(number - 1).padStart(5, '0')}`;
}

const list = z.object({
  bytes: z.int().check(z.positive()),
  partBytes: z.int().check(z.positive()),
  etags: z.array(z.string().check(z.regex(/^[0-9a-f]{32}$/))).check(z.maxLength(10_000)),
});
export type PartList = z.infer<typeof list>;

/** The parts that an instance has sent. @throws PartsBroken when they do not make a file of this size */
export function readPartList(text: string, bytes: number): PartList {
  let parsed: PartList;
  try {
    parsed = z.parse(list, JSON.parse(text));
  } catch {
    throw new PartsBroken('the list of parts is not understood');
  }
  if (parsed.bytes !== bytes || Math.ceil(bytes / parsed.partBytes) !== parsed.etags.length)
    throw new PartsBroken('the parts have another size than the file');
  return parsed;
}
