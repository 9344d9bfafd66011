import { gunzipSync, gzipSync } from 'node:zlib';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ArchiveError, type ArchiveReport } from '../../core/archive/verify.ts';
import { type Reader, readAgain } from '../support/second-readers.ts';
import { checksum, END, file, folder, gnuLong, header, pax, paxRecord, verify } from '../unit/core/archive/build.ts';
import { SAMPLE } from '../unit/core/archive/sample.ts';

interface Accepted {
  readonly body: Buffer;
  readonly report: ArchiveReport;
}

async function accepted(bodies: readonly Buffer[]): Promise<Accepted[]> {
  const all: Accepted[] = [];
  for (const body of bodies) {
    try {
      all.push({ body, report: await verify(body) });
    } catch (error) {
      if (!(error instanceof ArchiveError)) throw error;
    }
  }
  return all;
}

/** Bytes of a good tar changed, and the checksums of its headers made right again: a careful attacker's work. */
const changed = fc
  .array(
    fc.record({
      block: fc.nat({ max: SAMPLE.length / 512 - 1 }),
      // Where meaning lies: the whole block at times, else type, size, name and prefix.
      at: fc.oneof(
        fc.nat({ max: 511 }),
        fc.constantFrom(0, 1, 2, 124, 134, 135, 156, 257, 263, 345),
        fc.nat({ max: 24 }),
      ),
      byte: fc.constantFrom(...'\0 /.0123457xgLKSV=\n\x80\xff9a'),
    }),
    { minLength: 1, maxLength: 4 },
  )
  .map((changes) => {
    const tar = Buffer.from(SAMPLE);
    for (const { block, at, byte } of changes) {
      tar.write(byte, block * 512 + at, 'latin1');
      const bytes = tar.subarray(block * 512, block * 512 + 512);
      // The blocks of this tar that are headers have a mode; contents have none there.
      if (/^0000(644|755)/.test(bytes.toString('latin1', 100, 108))) bytes.write(checksum(bytes), 148, 'latin1');
    }
    return gzipSync(tar);
  });

/** Entries and extension headers in any order: most make no sense. */
const jumbled = fc
  .array(
    fc.constantFrom(
      file('a.py'),
      file('b.py', 'x'.repeat(600)),
      folder('d/'),
      folder('d'),
      file('d/', ''),
      header({ name: 'v7/', type: '\0', magic: '\0'.repeat(8) }),
      header({ name: 'v7', type: '\0' }),
      pax({ path: 'p.py' }),
      pax({ path: 'dir/' }),
      pax({ path: 'p.py', size: '6' }),
      pax({ size: '600' }),
      pax({ size: '0' }),
      pax(Buffer.concat([paxRecord('path', 'q.py'), paxRecord('path', 'r.py')])),
      pax(Buffer.from('12 path=s.py\nrubbish')),
      pax({ 'GNU.sparse.name': 'sparse.py' }),
      pax({ comment: 'x' }, 'g'),
      pax({ path: 'global.py' }, 'g'),
      gnuLong('l.py'),
      gnuLong('m.py\0n.py'),
      gnuLong('k', 'K'),
      Buffer.alloc(512),
    ),
    { minLength: 1, maxLength: 7 },
  )
  .map((parts) => gzipSync(Buffer.concat([...parts, END])));

describe('whatever is accepted, the same files are seen', { timeout: 120_000 }, () => {
  it.each<[Reader, string]>([
    ['runner', 'the runner, which unpacks it'],
    ['tarfile', 'Python’s tarfile'],
  ])('by %s: %s', async (reader) => {
    const bodies = [gzipSync(SAMPLE), ...fc.sample(changed, 600), ...fc.sample(jumbled, 600)];
    const all = await accepted(bodies);
    expect(all.length).toBeGreaterThan(100);
    const readings = readAgain(
      reader,
      all.map(({ body }) => body),
    );
    for (const [index, { body, report }] of all.entries()) {
      const ours = { files: report.files.map(({ name, size }) => [name, size]) };
      expect(readings[index], `the tar, in base64: ${gunzipSync(body).toString('base64')}`).toEqual(ours);
    }
  });
});
