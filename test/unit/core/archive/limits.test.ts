import { randomBytes } from 'node:crypto';
import { constants, crc32, deflateRawSync, gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { DEFAULT_CAPS } from '../../../../core/archive/caps.ts';
import { Gunzip } from '../../../../core/archive/gunzip.ts';
import { chunked, END, file, folder, gnuLong, header, pax, refusal, tgz, V7, verify } from './build.ts';

const MiB = 1024 * 1024;
const GZIP_HEADER = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3]);

/** A piece of a deflate stream that needs nothing before it, so that it may come again and again. */
function piece(bytes: Buffer, level = 9): Buffer {
  return deflateRawSync(bytes, { finishFlush: constants.Z_FULL_FLUSH, level });
}

const megabyteOfZeros = piece(Buffer.alloc(MiB));
const zeros = Buffer.concat(Array.from({ length: 64 }, () => megabyteOfZeros));

/** A gzip stream of `first` and then zeros without end. */
async function* bomb(first: Buffer): AsyncGenerator<Buffer> {
  yield GZIP_HEADER;
  yield piece(first);
  for (;;) yield zeros;
}

/** The processor time that something takes, in milliseconds: the machine may have other work. */
async function timed<T>(work: Promise<T>): Promise<[T, number]> {
  const start = process.cpuUsage();
  const result = await work;
  const { user, system } = process.cpuUsage(start);
  return [result, (user + system) / 1000];
}

describe('a bomb', { timeout: 120_000 }, () => {
  const base256 = (size: number) => {
    const field = Buffer.alloc(12);
    field[0] = 0x80;
    field.writeBigUInt64BE(BigInt(size), 4);
    return field;
  };

  it('that says it has 10 GB is refused by its header', async () => {
    const body = bomb(header({ name: 'zeros.bin', size: base256(10e9) }));
    const [error] = await timed(refusal(body));
    expect(error).toMatchObject({ name: 'ArchiveTooLarge', at: { in: 'tar', byte: 0 } });
    expect(error.message).toContain('With "zeros.bin" (9.3 GiB) it is over 2.0 GiB unpacked');
  });

  it('is refused by its ratio before it is large, whether in a file, after the end mark or instead of a tar', async () => {
    const gigabyte = header({ name: 'zeros.bin', size: 2 ** 30 });
    for (const first of [gigabyte, Buffer.concat([file('a.py'), END]), Buffer.alloc(512)]) {
      const [error, milliseconds] = await timed(refusal(bomb(first)));
      expect(error).toMatchObject({ name: 'ArchiveTooLarge', message: expect.stringContaining('more than 200 times') });
      expect(milliseconds).toBeLessThan(5000);
    }
  });

  it('within the ratio is refused at the cap, and memory stays flat', async () => {
    const before = process.memoryUsage.rss();
    const caps = { ratio: 2000, expandedBytes: 500 * MiB };
    const [error, milliseconds] = await timed(refusal(bomb(Buffer.concat([file('a.py'), END])), caps));
    expect(error).toMatchObject({
      name: 'ArchiveTooLarge',
      message: expect.stringContaining('over 500.0 MiB unpacked'),
    });
    expect(milliseconds).toBeLessThan(20_000);
    expect(process.memoryUsage.rss() - before).toBeLessThan(200 * MiB);
  });

  it('in one chunk is no different', async () => {
    const chunks: Buffer[] = [];
    for await (const chunk of bomb(header({ name: 'zeros.bin', size: 2 ** 30 }))) {
      chunks.push(chunk);
      if (chunks.length > 20) break;
    }
    const [error, milliseconds] = await timed(refusal(chunked(Buffer.concat(chunks), 1e9)));
    expect(error.message).toContain('more than 200 times');
    expect(milliseconds).toBeLessThan(5000);
  });

  it('made of a million entries is refused at the cap', async () => {
    const entries = Buffer.concat(Array.from({ length: 25_000 }, (_, index) => file(`f${index}`, '')));
    const error = await refusal(tgz(entries));
    expect(error).toMatchObject({
      name: 'ArchiveTooLarge',
      message: expect.stringContaining('more than 20000 entries'),
    });
    expect(error.message).toContain('"f20000" is one more');
  });

  it('made of empty gzip members is refused', async () => {
    const members = Buffer.concat(Array.from({ length: 11 }, () => gzipSync('')));
    await new Gunzip(() => {}, 11).write(members);
    await expect(new Gunzip(() => {}, 10).write(members)).rejects.toMatchObject({
      name: 'ArchiveTooLarge',
      message: expect.stringContaining('more than 10 gzip members'),
    });
  });
});

describe('caps', { timeout: 120_000 }, () => {
  it('accept values that are exactly equal to them', async () => {
    const tar = Buffer.concat([file('a/b/one.py', 'x'.repeat(600)), file('two.py'), END]);
    const body = gzipSync(tar);
    const exact = { compressedBytes: body.length, expandedBytes: tar.length, entries: 4, depth: 3, nameBytes: 10 };
    expect((await verify(body, exact)).files).toHaveLength(2);
    for (const cap of ['compressedBytes', 'expandedBytes', 'entries', 'depth', 'nameBytes'] as const) {
      const error = await refusal(body, { ...exact, [cap]: exact[cap] - 1 });
      expect([cap, error.name]).toEqual([cap, 'ArchiveTooLarge']);
      expect(error.next).toContain(`raise the cap \`${cap}\``);
    }
  });

  it('count implied folders, root entries and global headers as entries', async () => {
    for (const parts of [
      [file('a/b/c/d')],
      [folder('./'), folder('./'), folder('.'), file('d')],
      [...Array.from({ length: 3 }, () => pax({ comment: 'x' }, 'g')), file('d')],
    ]) {
      expect((await verify(tgz(...parts), { entries: 4 })).files).toHaveLength(1);
      expect((await refusal(tgz(...parts), { entries: 3 })).name).toBe('ArchiveTooLarge');
    }
  });

  it('of ratio leaves small archives alone', async () => {
    expect((await verify(tgz(file('zeros', Buffer.alloc(30 * MiB))))).files).toHaveLength(1);
    expect((await refusal(tgz(file('zeros', Buffer.alloc(33 * MiB))))).message).toContain('more than 200 times');
  });
});

describe('memory', { timeout: 180_000 }, () => {
  it('stays flat while 5,000 files and 500 MB pass by the default caps', async () => {
    // Incompressible, so that the upload is as large. The same bytes again: they are what takes the time.
    const files = Array.from({ length: 50 }, (_, index) => file(`project/old/f${index}.bin`, randomBytes(100_000)));
    async function* upload() {
      yield GZIP_HEADER;
      let checksum = 0;
      let size = 0;
      const add = (bytes: Buffer, level: number) => {
        checksum = crc32(bytes, checksum);
        size += bytes.length;
        return piece(bytes, level);
      };
      for (let round = 0; round < 100; round++) {
        for (const old of files) {
          const name = `project/r${round}/${old.toString('latin1', 12, 30).replace(/\0.*/, '')}`;
          yield* chunked(add(Buffer.concat([header({ name, size: 100_000 }), old.subarray(512)]), 0), 16_384);
        }
      }
      yield add(END, 9);
      const trailer = Buffer.from([3, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
      trailer.writeUInt32LE(checksum, 2);
      trailer.writeUInt32LE(size, 6);
      yield trailer;
    }
    const before = process.memoryUsage.rss();
    const report = await verify(upload());
    expect(report.files).toHaveLength(5000);
    expect(report.bytes).toBeGreaterThan(500e6);
    expect(report.bytes).toBeLessThan(DEFAULT_CAPS.compressedBytes / 2);
    expect(report.expandedBytes).toBeLessThan(DEFAULT_CAPS.expandedBytes / 4);
    expect(process.memoryUsage.rss() - before).toBeLessThan(250 * MiB);
  });

  it('is bounded where content is kept: extension headers, captured files', async () => {
    const before = process.memoryUsage.rss();
    for (const type of ['x', 'g', 'L', 'K']) {
      expect((await refusal(tgz(header({ name: 'a', type, size: 2 ** 30 })))).name).toBe('ArchiveTooLarge');
    }
    expect((await refusal(tgz(header({ name: 'runctl.yaml', size: 2 ** 30, magic: V7 })))).name).toBe(
      'ArchiveTruncated',
    );
    expect((await refusal(tgz(gnuLong('x'.repeat(2 * MiB)), file('a')))).name).toBe('ArchiveTooLarge');
    expect(process.memoryUsage.rss() - before).toBeLessThan(200 * MiB);
  });
});
