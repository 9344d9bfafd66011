import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { Readable } from 'node:stream';
import { crc32, deflateRawSync, gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { memberDigest } from '../../../../core/archive/members.ts';
import { chunked, END, file, names, refusal, tgz, verify } from './build.ts';

const tar = Buffer.concat([file('train.py', 'print("hello")\n'.repeat(200)), END]);
const good = gzipSync(tar);

/** A gzip member with every optional header field. */
function ornate(content: Buffer): Buffer {
  const head = Buffer.concat([
    Buffer.from([0x1f, 0x8b, 8, 0x1f, 1, 2, 3, 4, 0, 3]),
    Buffer.from([5, 0]),
    Buffer.from('extra'),
    Buffer.from('code.tar\0a comment\0'),
  ]);
  const check = Buffer.alloc(2);
  check.writeUInt16LE(crc32(head) & 0xffff);
  const trailer = Buffer.alloc(8);
  trailer.writeUInt32LE(crc32(content), 0);
  trailer.writeUInt32LE(content.length, 4);
  return Buffer.concat([head, check, deflateRawSync(content), trailer]);
}

function flipped(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[at] = (copy[at] ?? 0) ^ 0xff;
  return copy;
}

describe('a good gzip file', () => {
  it('is reported with digest and sizes, whatever the chunks', async () => {
    for (const size of [1, 2, 7, 511, 512, 513, good.length - 1, good.length, 1 << 20]) {
      expect(await verify(chunked(good, size))).toEqual({
        sha256: createHash('sha256').update(good).digest('hex'),
        bytes: good.length,
        expandedBytes: tar.length,
        members: [{ bytes: good.length, content: tar.length, digest: memberDigest(good) }],
        files: [{ name: 'train.py', size: 3000 }],
        topFolder: null,
        captured: new Map(),
        digests: new Map(),
        git: null,
      });
    }
  });

  it('may have optional header fields', async () => {
    expect(await names(ornate(tar))).toEqual(['train.py']);
    for (const size of [1, 13]) expect((await verify(chunked(ornate(tar), size))).files).toHaveLength(1);
  });

  it('may be several members that hold one tar, cut anywhere, empty ones among them', async () => {
    for (const cut of [1, 100, 511, 512, 513, 700, tar.length - 1024, tar.length - 1]) {
      const members = [tar.subarray(0, cut), Buffer.alloc(0), tar.subarray(cut)];
      const body = Buffer.concat(members.map((member) => gzipSync(member)));
      for (const size of [1, 18, 10_000]) expect((await verify(chunked(body, size))).expandedBytes).toBe(tar.length);
    }
  });

  it('may be padded with zeros', async () => {
    expect(await names(Buffer.concat([good, Buffer.alloc(1)]))).toEqual(['train.py']);
    expect(await names(Buffer.concat([good, Buffer.alloc(200_000)]))).toEqual(['train.py']);
    expect((await verify(chunked(Buffer.concat([good, Buffer.alloc(600)]), 1))).files).toHaveLength(1);
  });
});

describe('what is not a gzip file', () => {
  const pad = Buffer.alloc(600, 7);
  const rows: readonly [what: string, bytes: Buffer, said: string][] = [
    ['zip', Buffer.concat([Buffer.from('PK\x03\x04'), pad]), 'a zip file'],
    ['zstd', Buffer.concat([Buffer.from([0x28, 0xb5, 0x2f, 0xfd]), pad]), 'a zstd file'],
    ['xz', Buffer.concat([Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0]), pad]), 'an xz file'],
    ['bzip2', Buffer.concat([Buffer.from('BZh91AY&SY'), pad]), 'a bzip2 file'],
    ['7-Zip', Buffer.concat([Buffer.from([0x37, 0x7a, 0xbc, 0xaf, 0x27, 0x1c]), pad]), 'a 7-Zip file'],
    ['plain tar', tar, 'a tar that is not compressed'],
    ['a script', Buffer.from('#!/usr/bin/env python3\nprint(1)\n'), 'text ("#!/usr/bin/env python3\\np"…)'],
    ['noise', Buffer.from([0, 1, 2, 3]), 'unknown data (00 01 02 03 …)'],
    ['one byte', Buffer.from('x'), 'text ("x"…)'],
    ['half a magic', Buffer.from([0x1f, 0x8c, 0, 0]), 'unknown data (1f 8c 00 00 …)'],
    ['compress', Buffer.from([0x1f, 0x9d, 0, 0]), 'packed by compress'],
  ];
  it.each(rows)('%s is refused by its name', async (_what, bytes, said) => {
    const error = await refusal(bytes);
    expect(error.name).toBe('ArchiveNotGzip');
    expect(error.message).toContain(said);
    expect(error.message).toContain('tar czf');
    expect((await refusal(chunked(bytes, 1))).message).toBe(error.message);
  });

  it('zero bytes are refused', async () => {
    expect(await refusal(Buffer.alloc(0))).toMatchObject({ name: 'ArchiveEmpty', what: 'The upload has no bytes' });
    expect((await refusal(Readable.from([Buffer.alloc(0)]))).name).toBe('ArchiveEmpty');
  });
});

describe('a damaged gzip file', () => {
  it('cut anywhere is refused as truncated, with the byte', async () => {
    const source = ornate(tar);
    for (let length = 1; length < source.length; length++) {
      const error = await refusal(source.subarray(0, length));
      expect([length, error.name, error.at]).toEqual([length, 'ArchiveTruncated', { in: 'upload', byte: length }]);
    }
  });

  it('with another content than its checksum says is refused', async () => {
    for (const at of [good.length - 8, good.length - 5, good.length - 4, good.length - 1]) {
      expect(await refusal(flipped(good, at))).toMatchObject({
        name: 'ArchiveCorrupt',
        message: expect.stringContaining('CRC-32'),
        at: { in: 'upload', byte: good.length - 8 },
      });
    }
  });

  it('with damaged data or header is refused', async () => {
    const data = Buffer.concat([good.subarray(0, 10), Buffer.alloc(40, 0xff), good.subarray(50)]);
    expect(await refusal(data)).toMatchObject({ name: 'ArchiveCorrupt', message: expect.stringContaining('damaged') });
    for (const at of [2, 3, 14, 25]) expect((await refusal(flipped(ornate(tar), at))).name).toBe('ArchiveCorrupt');
    for (const [at, byte] of [
      [2, 7],
      [3, 0x20],
    ] as const) {
      const odd = Buffer.from(good);
      odd[at] = byte;
      expect((await refusal(odd)).message).toContain('gzip header is damaged');
    }
    const endless = Buffer.concat([Buffer.from([0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 3]), Buffer.alloc(300_000, 65)]);
    expect((await refusal(endless)).message).toContain('header does not end');
  });

  it('with something after its end is refused, with the byte', async () => {
    for (const garbage of ['x', 'garbage'.repeat(5000), '\x1f', '\x1f\x8c', '\0\0\0x', `${'\0'.repeat(70_000)}\x01`]) {
      const bytes = Buffer.from(garbage, 'latin1');
      const body = Buffer.concat([good, bytes]);
      const error = await refusal(body);
      if (garbage === '\x1f') {
        expect(error.name).toBe('ArchiveTruncated');
        continue;
      }
      expect(error).toMatchObject({
        name: 'ArchiveTrailingData',
        at: { in: 'upload', byte: good.length + bytes.findIndex((byte) => byte !== 0) },
      });
      expect((await refusal(chunked(body, 500))).message).toBe(error.message);
    }
  });

  it('with a member after zero padding is refused: programs differ in reading it', async () => {
    const body = Buffer.concat([good, Buffer.alloc(10), gzipSync('')]);
    expect(await refusal(body)).toMatchObject({ name: 'ArchiveTrailingData', at: { byte: good.length + 10 } });
  });

  it('with a damaged second member is refused', async () => {
    const member = gzipSync(Buffer.alloc(512));
    expect((await refusal(Buffer.concat([good, flipped(member, member.length - 1)]))).name).toBe('ArchiveCorrupt');
    expect((await refusal(Buffer.concat([good, member.subarray(0, -1)]))).name).toBe('ArchiveTruncated');
  });
});

describe('a second archive after the end of the first', () => {
  it.each([
    ['gzip after gzip', Buffer.concat([good, good]), tar.length],
    ['tar after tar in one gzip', gzipSync(Buffer.concat([tar, tar])), tar.length],
    ['after one block of zeros only', gzipSync(Buffer.concat([tar.subarray(0, -512), tar])), tar.length - 512],
    ['after a lot of zeros', gzipSync(Buffer.concat([tar, Buffer.alloc(350_000), tar])), tar.length + 350_000],
  ])('%s is refused', async (_what, body, byte) => {
    const error = await refusal(body);
    expect(error).toMatchObject({ name: 'ArchiveTrailingData', at: { in: 'tar', byte } });
    expect(error.message).toContain('one archive');
  });
});

describe('the source of the bytes', () => {
  it('is destroyed when the archive is refused', async () => {
    const source = Readable.from(chunked(tgz(file('../x')), 100));
    const closed = once(source, 'close');
    await refusal(source);
    await closed;
    expect(source.destroyed).toBe(true);
  });

  it('is not asked for more than the refusal takes', async () => {
    let asked = 0;
    async function* endless() {
      yield tgz(file('../x'));
      for (; ; asked++) yield Buffer.alloc(100_000);
    }
    expect((await refusal(endless())).name).toBe('ArchiveUnsafeName');
    expect(asked).toBeLessThan(2);
  });

  it('fails with its own error, not with one of the archive', async () => {
    async function* failing() {
      yield good.subarray(0, 40);
      throw new Error('connection reset');
    }
    await expect(verify(failing())).rejects.toThrow('connection reset');
  });
});
