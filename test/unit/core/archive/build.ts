import { gzipSync } from 'node:zlib';
import { ArchiveError, type ArchiveReport, DEFAULT_CAPS, verifyArchive } from '../../../../core/archive/verify.ts';

/** A tar made byte by byte: whatever no packing program would write can be written here. */
export interface HeaderFields {
  readonly name?: string | Buffer;
  readonly prefix?: string | Buffer;
  readonly type?: string;
  /** The number field itself when a buffer or text is given. */
  readonly size?: number | string | Buffer;
  readonly mode?: string;
  readonly mtime?: string | Buffer;
  readonly link?: string;
  /** `ustar\0` + `00` (the default), `ustar  \0` (GNU) or eight NULs (V7). */
  readonly magic?: string;
  /** Written instead of the right checksum. */
  readonly checksum?: string;
  /** Bytes written over the finished block, before its checksum is made. */
  readonly patch?: { readonly at: number; readonly bytes: Buffer };
}

export const USTAR = 'ustar\x0000';
export const GNU = 'ustar  \0';
export const V7 = '\0'.repeat(8);
/** The end mark: two blocks of zeros. */
export const END = Buffer.alloc(1024);

export function header(fields: HeaderFields): Buffer {
  const block = Buffer.alloc(512);
  const put = (value: string | Buffer, at: number, length: number) => {
    const bytes = typeof value === 'string' ? Buffer.from(value) : value;
    if (bytes.length > length) throw new Error(`${bytes.length} bytes do not fit ${length}`);
    bytes.copy(block, at);
  };
  const { size = 0, magic = USTAR } = fields;
  put(fields.name ?? 'train.py', 0, 100);
  put(fields.mode ?? '0000644\0', 100, 8);
  put('0001750\0', 108, 8);
  put('0001750\0', 116, 8);
  put(typeof size === 'number' ? octal(size, 12) : size, 124, 12);
  put(fields.mtime ?? '14707372640\0', 136, 12);
  put(fields.type ?? '0', 156, 1);
  put(fields.link ?? '', 157, 100);
  put(magic, 257, 8);
  put(fields.prefix ?? '', 345, 155);
  if (fields.patch) put(fields.patch.bytes, fields.patch.at, 512 - fields.patch.at);
  put(fields.checksum ?? checksum(block), 148, 8);
  return block;
}

export function octal(value: number, length: number): string {
  return `${value.toString(8).padStart(length - 1, '0')}\0`;
}

/** The checksum field of a header block, as text. */
export function checksum(block: Buffer): string {
  let sum = 8 * 32;
  for (const [index, byte] of block.entries()) if (index < 148 || index >= 156) sum += byte;
  return `${sum.toString(8).padStart(6, '0')}\0 `;
}

/** Content padded to whole blocks. */
export function padded(content: string | Buffer): Buffer {
  const bytes = Buffer.from(content);
  return Buffer.concat([bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512)]);
}

export function file(name: string | Buffer, content: string | Buffer = 'x = 1\n', fields: HeaderFields = {}): Buffer {
  return Buffer.concat([header({ name, size: Buffer.byteLength(content), ...fields }), padded(content)]);
}

export function folder(name: string, fields: HeaderFields = {}): Buffer {
  return header({ name, type: '5', mode: '0000755\0', ...fields });
}

export function paxRecord(key: string, value: string | Buffer): Buffer {
  const rest = Buffer.concat([Buffer.from(` ${key}=`), Buffer.from(value), Buffer.from('\n')]);
  let length = rest.length;
  while (length !== rest.length + String(length).length) length = rest.length + String(length).length;
  return Buffer.concat([Buffer.from(String(length)), rest]);
}

/** A PAX header: `x` speaks about the next entry, `g` about the rest of the archive. */
export function pax(records: Record<string, string | Buffer> | Buffer, type: 'x' | 'g' = 'x'): Buffer {
  const body = Buffer.isBuffer(records)
    ? records
    : Buffer.concat(Object.entries(records).map(([key, value]) => paxRecord(key, value)));
  return Buffer.concat([header({ name: 'PaxHeaders/x', type, size: body.length }), padded(body)]);
}

/** A GNU header with the next entry's long name (`L`) or link target (`K`). */
export function gnuLong(name: string | Buffer, type: 'L' | 'K' = 'L'): Buffer {
  const body = Buffer.concat([Buffer.from(name), Buffer.alloc(1)]);
  return Buffer.concat([header({ name: '././@LongLink', type, size: body.length, magic: GNU }), padded(body)]);
}

export function tgz(...parts: readonly Buffer[]): Buffer {
  return gzipSync(Buffer.concat([...parts, END]));
}

export async function* chunked(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let start = 0; start < bytes.length; start += size) yield bytes.subarray(start, start + size);
}

export const CAPTURE = { names: ['runctl.yaml', 'pyproject.toml'], maxBytes: 1024 };

export function verify(
  body: Buffer | AsyncIterable<Uint8Array>,
  caps: Partial<typeof DEFAULT_CAPS> = {},
): Promise<ArchiveReport> {
  const source = Buffer.isBuffer(body) ? chunked(body, 10_000) : body;
  return verifyArchive(source, { caps: { ...DEFAULT_CAPS, ...caps }, capture: CAPTURE });
}

/** Names of the files of an archive that must be good. */
export async function names(body: Buffer): Promise<string[]> {
  return (await verify(body)).files.map(({ name }) => name);
}

/** The error that an archive must be refused with. */
export async function refusal(
  body: Buffer | AsyncIterable<Uint8Array>,
  caps: Partial<typeof DEFAULT_CAPS> = {},
): Promise<ArchiveError> {
  try {
    await verify(body, caps);
  } catch (error) {
    if (error instanceof ArchiveError) return error;
    throw error;
  }
  throw new Error('the archive was not refused');
}
