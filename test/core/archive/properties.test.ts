import { gunzipSync, gzipSync } from 'node:zlib';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ARCHIVE_ERROR_NAMES, ArchiveError, type ArchiveReport } from '../../../core/archive/verify.ts';
import { checksum, chunked, END, file, folder, GNU, gnuLong, header, padded, pax, tgz, V7, verify } from './build.ts';
import { readWithPython } from './python-reader.ts';

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

describe('generated archives', () => {
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

const sample = Buffer.concat([
  pax({ comment: '0123456789abcdef0123456789abcdef01234567' }, 'g'),
  folder('./'),
  file('./train.py', 'print(1)\n'.repeat(90)),
  Buffer.concat([pax({ path: `${'long/'.repeat(30)}x.py` }), file('short')]),
  Buffer.concat([gnuLong(`${'gnu/'.repeat(40)}y.py`), file('other', 'y', { magic: GNU })]),
  folder('old/', { magic: V7, type: '\0' }),
  file('old/z.py', 'z', { magic: V7, type: '\0', prefix: '' }),
  padded(''),
  END,
]);

describe('damaged archives', () => {
  it('cut at every block are refused, or nothing is missing', async () => {
    const whole = await judge(gzipSync(sample));
    for (let length = 0; length < sample.length; length += 512) {
      const report = await judge(gzipSync(sample.subarray(0, length)));
      if (length >= sample.length - 512) expect(report).toMatchObject({ files: 'files' in whole ? whole.files : [] });
      else expect(report).toBeInstanceOf(ArchiveError);
    }
  });

  it('with any bit of the gzip file flipped are refused, or read the same', async () => {
    const body = gzipSync(sample);
    const whole = await judge(body);
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: body.length * 8 - 1 }), async (bit) => {
        const damaged = Buffer.from(body);
        damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        const report = await judge(damaged);
        if ('files' in report && 'files' in whole) expect(report.files).toEqual(whole.files);
      }),
      { numRuns: 1500 },
    );
  });

  it('of random bytes are refused', async () => {
    const seeds = [Buffer.alloc(0), gzipSync(sample).subarray(0, 30), Buffer.from([0x1f, 0x8b, 8, 0])];
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...seeds), fc.uint8Array({ maxLength: 2000 }), async (seed, noise) => {
        expect(await judge(Buffer.concat([seed, noise]))).toBeInstanceOf(ArchiveError);
        expect(await judge(gzipSync(noise))).toBeInstanceOf(ArchiveError);
      }),
    );
  });
});

describe('a second reader', () => {
  /** Bytes of headers changed, their checksums made right again: what survives is read alike, or it is no use judging it. */
  const changed = fc
    .array(
      fc.record({ at: fc.nat({ max: sample.length - 1 }), byte: fc.constantFrom(...'\0 /.0157xgLKS\x80\xff9a') }),
      {
        minLength: 1,
        maxLength: 4,
      },
    )
    .map((changes) => {
      const tar = Buffer.from(sample);
      for (const { at, byte } of changes) {
        tar.write(byte, at, 'latin1');
        const block = tar.subarray(at - (at % 512), at - (at % 512) + 512);
        if (block.toString('latin1', 257, 262) === 'ustar') block.write(checksum(block), 148, 'latin1');
      }
      return gzipSync(tar);
    });

  it('sees the same files in whatever is accepted (Python’s tarfile, as on the instance)', async () => {
    const archives = fc.sample(changed, { numRuns: 1500, seed: Date.now() });
    const accepted: { body: Buffer; report: ArchiveReport }[] = [];
    for (const body of [gzipSync(sample), ...archives]) {
      const report = await judge(body);
      if ('files' in report) accepted.push({ body, report });
    }
    expect(accepted.length).toBeGreaterThan(50);
    const readings = readWithPython(accepted.map(({ body }) => body));
    for (const [index, { body, report }] of accepted.entries()) {
      const said = { files: report.files.map(({ name, size }) => [name, size]) };
      expect(readings[index], gunzipSync(body).toString('base64')).toEqual(said);
    }
  });
});
