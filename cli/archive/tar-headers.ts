const BLOCK = 512;
/** Offsets of the fields of a ustar header. */
const FIELD = { name: 0, mode: 100, uid: 108, gid: 116, size: 124, mtime: 136, checksum: 148, type: 156, magic: 257 };
/** Any fixed time will do. Zip tools can represent 1980 too, and epoch 0 makes some tools warn. */
const MTIME_S = Date.UTC(1980, 0, 1) / 1_000;
/** What 11 octal digits hold; larger sizes are written in base 256, as GNU tar does. */
const OCTAL_SIZE_MAX = 0o77777777777;
const NAME_BYTES_MAX = 100;

export const END_OF_ARCHIVE: Buffer = Buffer.alloc(2 * BLOCK);

/**
 * The blocks before a file's content. A name that the header itself cannot hold is in a PAX header before it.
 * @param size bytes of the content
 */
export function fileHeader({ name, size, executable }: { name: string; size: number; executable: boolean }): Buffer {
  const mode = executable ? 0o755 : 0o644;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: all of ASCII
  if (/^[\x00-\x7f]*$/.test(name) && name.length <= NAME_BYTES_MAX) return header({ name, size, mode, type: '0' });
  const records = record('path', name);
  return Buffer.concat([
    header({ name: 'PaxHeader', size: records.length, mode, type: 'x' }),
    records,
    padding(records.length),
    header({ name: 'PaxHeader', size, mode, type: '0' }),
  ]);
}

/** A PAX global header with a comment, as `git archive` writes at the start of an archive. */
export function commentHeader(comment: string): Buffer {
  const records = record('comment', comment);
  const first = header({ name: 'pax_global_header', size: records.length, mode: 0o644, type: 'g' });
  return Buffer.concat([first, records, padding(records.length)]);
}

/** The zeros after content of `size` bytes, up to a whole block. */
export function padding(size: number): Buffer {
  return END_OF_ARCHIVE.subarray(0, (BLOCK - (size % BLOCK)) % BLOCK);
}

/** A record of a PAX header: its length, which counts its own digits, then `key=value`. */
function record(key: string, value: string): Buffer {
  const rest = Buffer.byteLength(` ${key}=${value}\n`);
  let length = rest + String(rest).length;
  if (String(length).length > String(rest).length) length = rest + String(length).length;
  return Buffer.from(`${length} ${key}=${value}\n`);
}

function header({
  name,
  size,
  mode,
  type,
}: {
  name: string;
  size: number;
  mode: number;
  type: '0' | 'g' | 'x';
}): Buffer {
  const block = Buffer.alloc(BLOCK);
  block.write(name, FIELD.name, 'latin1');
  block.write(octal(mode, 7), FIELD.mode, 'latin1');
  block.write(octal(0, 7), FIELD.uid, 'latin1');
  block.write(octal(0, 7), FIELD.gid, 'latin1');
  if (size <= OCTAL_SIZE_MAX) block.write(octal(size, 11), FIELD.size, 'latin1');
  else {
    block[FIELD.size] = 0x80;
    block.writeBigUInt64BE(BigInt(size), FIELD.size + 4);
  }
  block.write(octal(MTIME_S, 11), FIELD.mtime, 'latin1');
  block.write(' '.repeat(8), FIELD.checksum, 'latin1');
  block.write(type, FIELD.type, 'latin1');
  block.write('ustar\u000000', FIELD.magic, 'latin1');
  block.write(`${octal(sum(block), 6)}\0 `, FIELD.checksum, 'latin1');
  return block;
}

function octal(value: number, digits: number): string {
  return value.toString(8).padStart(digits, '0');
}

function sum(bytes: Uint8Array): number {
  let total = 0;
  for (const byte of bytes) total += byte;
  return total;
}
