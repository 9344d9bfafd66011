import { gzipSync } from 'node:zlib';

/** One tar entry. A test can set any of its fields to a wrong value. */
export interface Entry {
  readonly name: string | Buffer;
  readonly data?: string | Uint8Array;
  /** The type flag: `0` a file, `5` a folder, `1` a hard link, `2` a symbolic link, … */
  readonly type?: string;
  readonly mode?: number;
  readonly uid?: number;
  readonly link?: string;
  /** The size in the header. Default: the length of the data. */
  readonly size?: number;
  /** The checksum in the header, instead of the correct one. */
  readonly checksum?: number;
}

const BLOCK = 512;
export const END = Buffer.alloc(2 * BLOCK);

function octal(value: number, width: number): string {
  return `${value.toString(8).padStart(width - 1, '0')}\0`;
}

/** One entry's header and data, padded to whole blocks. */
export function block(entry: Entry): Buffer {
  const data = Buffer.from(entry.data ?? '');
  const header = Buffer.alloc(BLOCK);
  Buffer.from(entry.name).copy(header, 0, 0, 100);
  header.write(octal(entry.mode ?? 0o644, 8), 100);
  header.write(octal(entry.uid ?? 1000, 8), 108);
  header.write(octal(1000, 8), 116);
  header.write(octal(entry.size ?? data.length, 12), 124);
  header.write(octal(1_700_000_000, 12), 136);
  header.write(' '.repeat(8), 148);
  header.write(entry.type ?? '0', 156);
  header.write(entry.link ?? '', 157);
  header.write('ustar\x0000', 257);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${(entry.checksum ?? sum).toString(8).padStart(6, '0')}\0 `, 148);
  return Buffer.concat([header, data, Buffer.alloc((BLOCK - (data.length % BLOCK)) % BLOCK)]);
}

/** A PAX header for the entry that follows. */
export function pax(records: Readonly<Record<string, string>>, type = 'x'): Entry {
  const data = Object.entries(records).map(([key, value]) => {
    const rest = Buffer.byteLength(` ${key}=${value}\n`);
    let length = rest + String(rest).length;
    if (rest + String(length).length !== length) length += 1;
    return `${length} ${key}=${value}\n`;
  });
  return { name: 'PaxHeaders/x', type, data: data.join('') };
}

export function tar(entries: readonly Entry[]): Buffer {
  return Buffer.concat([...entries.map(block), END]);
}

export function tarGz(entries: readonly Entry[]): Buffer {
  return gzipSync(tar(entries));
}

/** An archive of these files: name to content. */
export function archive(files: Readonly<Record<string, string | Uint8Array>>): Buffer {
  return tarGz(Object.entries(files).map(([name, data]) => ({ name, data })));
}
