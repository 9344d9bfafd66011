import { gzipSync } from 'node:zlib';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ARCHIVE_ERROR_NAMES, ArchiveError, type ArchiveReport } from '../../../../core/archive/verify.ts';
import { checksum, chunked, END, file, folder, GNU, gnuLong, header, pax, tgz, verify } from './build.ts';
import { SAMPLE } from './sample.ts';

/** A part of a name that no other part can meet, whatever the case: a number makes it one of its kind. */
const part = fc.string({ unit: fc.constantFrom(...'abz.-_ ~$({é漢🧪'), minLength: 0, maxLength: 40 });
const path = fc.array(part, { minLength: 1, maxLength: 12 });

interface Entry {
  readonly path: readonly string[];
  readonly content: string;
  readonly folder: boolean;
  readonly format: 'plain' | 'pax' | 'gnu';
  readonly dot: boolean;
}

const entries = fc.array(
  fc.record({
    path,
    content: fc.string({ maxLength: 1500 }),
    folder: fc.boolean(),
    format: fc.constantFrom('plain' as const, 'pax' as const, 'gnu' as const),
    dot: fc.boolean(),
  }),
  { minLength: 1, maxLength: 12 },
);

/** An entry as some tool could have written it, and its name. */
function written(entry: Entry, index: number): { bytes: Buffer; name: string } {
  const name = entry.path.map((text, depth) => `${index}${text}${depth}`).join('/');
  const stored = `${entry.dot ? './' : ''}${name}${entry.folder ? '/' : ''}`;
  const short = Buffer.from(stored).subarray(0, 100);
  const fields = entry.format === 'gnu' ? { magic: GNU } : {};
  const body = entry.folder ? folder('', fields) : file('', entry.content, fields);
  const block = Buffer.from(body);
  short.copy(block);
  block.write(checksum(block.subarray(0, 512)), 148);
  const long = entry.format === 'gnu' ? gnuLong(stored) : pax({ path: stored, mtime: '1.5' });
  const plain = entry.format === 'plain' && Buffer.byteLength(stored) <= 100;
  return { bytes: plain ? block : Buffer.concat([long, block]), name };
}

/** Whole or refused by name: anything else is a defect. */
async function judge(body: Buffer, chunk = 10_000): Promise<ArchiveReport | ArchiveError> {
  try {
    return await verify(chunked(body, chunk));
  } catch (error) {
    if (!(error instanceof ArchiveError)) throw error;
    expect(ARCHIVE_ERROR_NAMES).toContain(error.name);
    expect(error.message).toMatch(/^[^\p{Cc}]{10,900}$/u);
    return error;
  }
}

describe('generated archives', { timeout: 120_000 }, () => {
  it('that are good pass, and report exactly their files', async () => {
    await fc.assert(
      fc.asyncProperty(entries, fc.integer({ min: 1, max: 3000 }), fc.nat(), async (all, chunk, cut) => {
        const parts = all.map(written);
        const tar = Buffer.concat([...parts.map(({ bytes }) => bytes), file('last.py'), END]);
        const at = cut % tar.length;
        const report = await judge(Buffer.concat([gzipSync(tar.subarray(0, at)), gzipSync(tar.subarray(at))]), chunk);
        const files = parts.flatMap(({ name }, index) => (all[index]?.folder ? [] : [name]));
        expect('files' in report ? report.files.map(({ name }) => name) : report).toEqual([...files, 'last.py']);
      }),
      { numRuns: 200 },
    );
  });

  it('with an attack somewhere among good entries are refused', async () => {
    const attacks: readonly ((good: string) => Buffer)[] = [
      () => file('../evil'),
      () => file('a/../../evil'),
      () => file('/evil'),
      () => Buffer.concat([pax({ path: '../evil' }), file('fine')]),
      () => Buffer.concat([gnuLong('/evil'), file('fine')]),
      () => Buffer.concat([pax({ path: 'fine' }), file('/evil')]),
      (good) => header({ name: 'evil', type: '1', link: good.slice(0, 20) }),
      () => header({ name: 'evil', type: '2', link: '/etc' }),
      () => header({ name: 'evil', type: '6' }),
      () => header({ name: 'evil', type: 'S' }),
      () => Buffer.concat([pax({ size: '0' }), file('evil', file('hidden'))]),
      () => Buffer.concat([pax({ size: '512' }), file('evil', '')]),
      () => folder('evil/', { size: 512 }),
      (good) => Buffer.concat([pax({ path: good }), file('evil')]),
      (good) => Buffer.concat([pax({ path: `${good}/x` }), file('evil')]),
      (good) => Buffer.concat([pax({ path: good.toUpperCase() }), file('evil')]),
      () => Buffer.concat([END, file('evil')]),
      () => Buffer.concat([END, Buffer.from('x')]),
      () => file('evil\n'),
      () => Buffer.alloc(512, 1),
    ];
    await fc.assert(
      fc.asyncProperty(entries, fc.constantFrom(...attacks), fc.nat(), async (all, attack, where) => {
        const parts = all.map((entry, index) => written({ ...entry, folder: false }, index));
        const at = where % (parts.length + 1);
        const bytes = parts.map((one) => one.bytes);
        bytes.splice(at, 0, attack(parts[0]?.name ?? ''));
        expect(await judge(tgz(...bytes))).toBeInstanceOf(ArchiveError);
      }),
      { numRuns: 300 },
    );
  });
});

describe('damaged archives', { timeout: 120_000 }, () => {
  it('cut at every block are refused, or nothing is missing', async () => {
    const whole = await judge(gzipSync(SAMPLE));
    for (let length = 0; length < SAMPLE.length; length += 512) {
      const report = await judge(gzipSync(SAMPLE.subarray(0, length)));
      if (length >= SAMPLE.length - 512) expect(report).toMatchObject({ files: 'files' in whole ? whole.files : [] });
      else expect(report).toBeInstanceOf(ArchiveError);
    }
  });

  it('with any bit of the gzip file flipped are refused, or read the same', async () => {
    const body = gzipSync(SAMPLE);
    const whole = await judge(body);
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: body.length * 8 - 1 }), async (bit) => {
        const damaged = Buffer.from(body);
        damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        const report = await judge(damaged);
        if ('files' in report && 'files' in whole) expect(report.files).toEqual(whole.files);
      }),
      { numRuns: 700 },
    );
  });

  it('of random bytes are refused', async () => {
    const seeds = [Buffer.alloc(0), gzipSync(SAMPLE).subarray(0, 30), Buffer.from([0x1f, 0x8b, 8, 0])];
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...seeds), fc.uint8Array({ maxLength: 2000 }), async (seed, noise) => {
        expect(await judge(Buffer.concat([seed, noise]))).toBeInstanceOf(ArchiveError);
        expect(await judge(gzipSync(noise))).toBeInstanceOf(ArchiveError);
      }),
    );
  });
});
