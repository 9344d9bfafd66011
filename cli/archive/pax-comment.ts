const BLOCK = 512;
/** Offsets of the fields of a ustar header. */
const FIELD = { name: 0, mode: 100, uid: 108, gid: 116, size: 124, mtime: 136, checksum: 148, type: 156, magic: 257 };

/**
 * A PAX global header with a comment, as `git archive` writes at the start of an archive. tar-stream cannot write one.
 * @param comment ASCII
 */
export function globalHeader(comment: string, mtime: Date): Buffer {
  const body = paxRecord(comment);
  const blocks = Buffer.alloc(BLOCK + Math.ceil(body.length / BLOCK) * BLOCK);
  blocks.write('pax_global_header', FIELD.name, 'latin1');
  blocks.write(octal(0o644, 7), FIELD.mode, 'latin1');
  blocks.write(octal(0, 7), FIELD.uid, 'latin1');
  blocks.write(octal(0, 7), FIELD.gid, 'latin1');
  blocks.write(octal(body.length, 11), FIELD.size, 'latin1');
  blocks.write(octal(mtime.getTime() / 1_000, 11), FIELD.mtime, 'latin1');
  blocks.write(' '.repeat(8), FIELD.checksum, 'latin1');
  blocks.write('g', FIELD.type, 'latin1');
  blocks.write('ustar\u000000', FIELD.magic, 'latin1');
  blocks.write(`${octal(sum(blocks.subarray(0, BLOCK)), 6)}\0 `, FIELD.checksum, 'latin1');
  blocks.write(body, BLOCK, 'latin1');
  return blocks;
}

/** `<length> comment=<text>`: the length counts its own digits. */
function paxRecord(comment: string): string {
  const record = ` comment=${comment}\n`;
  const length = record.length + String(record.length).length;
  return `${record.length + String(length).length}${record}`;
}

function octal(value: number, digits: number): string {
  return value.toString(8).padStart(digits, '0');
}

function sum(bytes: Uint8Array): number {
  return bytes.reduce((total, byte) => total + byte, 0);
}
