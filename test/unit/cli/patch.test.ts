import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, realpath, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Packed, packFiles, packFolder } from '../../../cli/archive/pack.ts';
import { PackCache } from '../../../cli/archive/pack-cache.ts';
import { listFiles } from '../../../cli/archive/pack-list.ts';
import { lengthOf, planParts, segmentsOf } from '../../../core/archive/assemble.ts';
import { COMPRESSOR, compressMember } from '../../../core/archive/compress.ts';
import { decodePatch, encodePatch, InvalidPatch, type PatchHeader } from '../../../core/archive/patch.ts';
import { assembled, BASE, content, LATER, LIMITS, playSequence, sequence } from '../../support/patches.ts';

describe('a patch', () => {
  let work: string;
  let project: string;
  beforeEach(async () => {
    work = await realpath(await mkdtemp(join(tmpdir(), 'runctl patch ')));
    project = join(work, 'project');
    await mkdir(project);
  });
  afterEach(() => rm(work, { recursive: true, force: true }));

  it('gives the archive of a full push, after any edits and faults, with the cache and without it', {
    timeout: 120_000,
  }, async () => {
    const property = fc.asyncProperty(sequence, async (rounds) => void (await playSequence(work, rounds)));
    await fc.assert(property, { numRuns: 12 });
  });

  it('takes from the last archive what has not changed, without reading it', async () => {
    await writeFile(join(project, 'train.py'), 'print(1)\n');
    await writeFile(join(project, 'large.bin'), content(300_000, 1));
    const archive = join(work, 'a.tar.gz');
    const first = await packFolder(project, archive, LATER());
    await first.keep(null);
    const listing = await listFiles(project);
    await rm(join(project, 'train.py'));
    await rm(join(project, 'large.bin'));
    expect((await packFiles(project, listing, archive, LATER())).archive).toEqual(first.archive);
    // What was packed without secrets says nothing about small files with them.
    const again = await packFiles(project, listing, archive, { ...LATER(), includeSecrets: true });
    expect(again.files.map(({ name }) => name)).toEqual(['large.bin']);
  });

  it('checks names beside those of the last archive', async () => {
    await writeFile(join(project, 'train.py'), 'print(1)\n');
    const archive = join(work, 'a.tar.gz');
    await (await packFolder(project, archive, LATER())).keep(null);
    await writeFile(join(project, 'Train.py'), 'print(2)\n');
    await expect(packFolder(project, archive, LATER())).rejects.toThrow(/differ only in case/);
  });

  it('keeps the last archive again only when it, or where it is stored, has changed', async () => {
    await writeFile(join(project, 'train.py'), 'print(1)\n');
    const archive = join(work, 'a.tar.gz');
    const names = ['last.tar.gz', 'last.json'];
    const inodes = () =>
      Promise.all(names.map(async (name) => (await stat(join(project, '.runctl/archive', name))).ino));
    const pack = async (versionId: string) =>
      await (await packFolder(project, archive, LATER())).keep({ bucket: 'b', key: 'archives/p/k', versionId });
    await pack('v1');
    const first = await inodes();
    await pack('v1');
    expect(await inodes()).toEqual(first);
    await pack('v2');
    expect((await inodes()).map((ino, index) => ino === first[index])).toEqual([true, false]);
    const cache = await PackCache.open(project);
    expect(cache?.storedIn({ bucket: 'b', project: 'p' })?.versionId).toBe('v2');
    await cache?.close();
    await writeFile(join(project, 'train.py'), 'print(2)\n');
    await pack('v2');
    expect((await inodes())[0]).not.toBe(first[0]);
  });

  it('finds an edit of the same size in the same second', async () => {
    const path = join(project, 'train.py');
    await writeFile(path, 'print(1)\n');
    const archive = join(work, 'a.tar.gz');
    const { mtime, atime } = await stat(path);
    const first = await packFolder(project, archive);
    await first.keep(null);
    await writeFile(path, 'print(2)\n');
    await utimes(path, atime, mtime);
    const second = await packFolder(project, archive);
    expect(second.archive.sha256).not.toBe(first.archive.sha256);
  });

  it('of an archive whose cached copy is damaged is made of the files', async () => {
    await writeFile(join(project, 'train.py'), 'print(1)\n');
    const archive = join(work, 'a.tar.gz');
    const first = await packFolder(project, archive, LATER());
    for (const name of ['last.tar.gz', 'last.json']) {
      await first.keep(null);
      const cached = join(project, '.runctl/archive', name);
      const bytes = await readFile(cached);
      bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] as number) ^ 1;
      await writeFile(cached, bytes);
      expect((await packFolder(project, archive, LATER())).archive).toEqual(first.archive);
    }
  });

  /** Packs with the last archive, as a push does, and passes the result to `use` before it is closed. */
  const packWithCache = async (archive: string, use: (packed: Packed, cache: PackCache) => Promise<void>) => {
    const cache = await PackCache.open(project);
    if (cache === null) throw new Error('there is no last archive');
    try {
      await use(await packFiles(project, await listFiles(project), archive, { ...LATER(), cache }), cache);
    } finally {
      await cache.close();
    }
  };
  const flip = async (at: number) => {
    const cached = join(project, '.runctl/archive/last.tar.gz');
    const bytes = await readFile(cached);
    bytes[at] = (bytes[at] as number) ^ 1;
    await writeFile(cached, bytes);
  };

  it('makes the archive of unchanged files only when it is needed, also from a copy that is damaged', async () => {
    await writeFile(join(project, 'train.py'), 'print(1)\n');
    await writeFile(join(project, 'large.bin'), content(300_000, 1));
    const first = await packFolder(project, join(work, 'a.tar.gz'), LATER());
    const expected = await readFile(join(work, 'a.tar.gz'));
    await first.keep(null);
    const archive = join(work, 'b.tar.gz');
    await packWithCache(archive, async (packed) => {
      expect(packed.archive).toEqual(first.archive);
      expect(existsSync(archive)).toBe(false);
      expect(await packed.file()).toBe(archive);
      expect(await readFile(archive)).toEqual(expected);
    });
    await flip(expected.length - 100);
    await packWithCache(archive, async (packed) => {
      expect(await readFile(await packed.file())).toEqual(expected);
      await packed.keep(null);
    });
    expect(await readFile(join(project, '.runctl/archive/last.tar.gz'))).toEqual(expected);
  });

  it('is refused when the copy is damaged and the files have changed since they were packed', async () => {
    await writeFile(join(project, 'train.py'), 'print(1)\n');
    await (await packFolder(project, join(work, 'a.tar.gz'), LATER())).keep(null);
    await flip(20);
    await packWithCache(join(work, 'b.tar.gz'), async (packed) => {
      await writeFile(join(project, 'train.py'), 'print(2)\n');
      await expect(packed.file()).rejects.toThrow('Files changed while they were being packed');
    });
  });

  it('takes nothing from a copy whose other members are damaged', async () => {
    await writeFile(join(project, 'a.py'), content(200_000, 1));
    await writeFile(join(project, 'train.py'), 'print(1)\n');
    await writeFile(join(project, 'z.bin'), content(200_000, 2));
    await (await packFolder(project, join(work, 'a.tar.gz'), LATER())).keep(null);
    await writeFile(join(project, 'train.py'), 'print(2)\n');
    const whole = await packFiles(project, await listFiles(project), join(work, 'w.tar.gz'), { cache: null });
    await flip(1_000);
    await packWithCache(join(work, 'b.tar.gz'), async (packed) => {
      expect(packed.archive).toEqual(whole.archive);
      expect(await readFile(await packed.file())).toEqual(await readFile(join(work, 'w.tar.gz')));
    });
  });

  it('leaves the kept archive alone when the next one is written to the same path', async () => {
    await writeFile(join(project, 'train.py'), 'print(1)\n');
    const archive = join(work, 'a.tar.gz');
    await (await packFolder(project, archive, LATER())).keep(null);
    const kept = await readFile(join(project, '.runctl/archive/last.tar.gz'));
    await writeFile(join(project, 'train.py'), 'print(2)\n');
    await packFolder(project, archive, LATER());
    expect(await readFile(join(project, '.runctl/archive/last.tar.gz'))).toEqual(kept);
    expect(await readFile(archive)).not.toEqual(kept);
  });

  it('of an archive whose cached index has another digit is made of the files', async () => {
    await writeFile(join(project, 'train.py'), 'print(1)\n');
    await writeFile(join(project, 'large.bin'), content(200_000, 1));
    const archive = join(work, 'a.tar.gz');
    const first = await packFolder(project, archive, LATER());
    await first.keep(null);
    const index = join(project, '.runctl/archive/last.json');
    const text = await readFile(index, 'latin1');
    const origin = /("[\w-]{22}",\{"first":)(\d)/;
    expect(text).toMatch(origin);
    await writeFile(
      index,
      text.replace(origin, (_, before: string, digit: string) => before + (Number(digit) ^ 1)),
    );
    expect((await packFolder(project, archive, LATER())).archive).toEqual(first.archive);
  });

  it('that anybody has written is refused, or makes what it says', async () => {
    const members = ['first\n', 'second\n'].map((text) => compressMember(Buffer.from(text)));
    const base = Buffer.concat(members);
    const number = fc.integer({ min: -5, max: base.length + 5 });
    const part = fc.oneof(
      fc.tuple(fc.constant('keep' as const), number, number),
      fc.tuple(fc.constant('whole' as const), number),
      fc.tuple(fc.constant('make' as const), fc.array(number, { maxLength: 7 })),
    );
    const source = fc.oneof(fc.tuple(number, number, number), fc.constant([0, members[0]?.length ?? 0, 6] as const));
    await fc.assert(
      fc.asyncProperty(
        fc.array(part, { maxLength: 4 }),
        fc.array(source, { maxLength: 3 }),
        number,
        async (parts, sources, bytes) => {
          const header = {
            compressor: COMPRESSOR,
            base: { ...BASE, bytes: base.length },
            sha256: '0'.repeat(64),
            bytes,
            sources,
            parts,
          };
          const patch = encodePatch({
            header: header as unknown as PatchHeader,
            literals: Buffer.from('abc'),
            members: Buffer.from('abc'),
          });
          try {
            const segments = await segmentsOf(decodePatch(patch, LIMITS), (start, end) =>
              Promise.resolve(base.subarray(start, end)),
            );
            expect(segments.reduce((sum, segment) => sum + lengthOf(segment), 0)).toBe(bytes);
          } catch (error) {
            expect(error).toBeInstanceOf(InvalidPatch);
          }
        },
      ),
      { numRuns: 2_000 },
    );
  });

  it('that was cut off or damaged anywhere is refused, or makes another archive', async () => {
    const patch = encodePatch({
      header: {
        compressor: COMPRESSOR,
        base: { ...BASE, bytes: 9 },
        sha256: '0'.repeat(64),
        bytes: 7,
        sources: [],
        parts: [
          ['keep', 1, 5],
          ['whole', 3],
        ],
      },
      literals: Buffer.alloc(0),
      members: Buffer.from('abc'),
    });
    for (let length = 0; length < patch.length; length += 1)
      expect(() => decodePatch(patch.subarray(0, length), LIMITS), `${length}`).toThrow(InvalidPatch);
    expect(() => decodePatch(patch, { archiveBytes: 6 })).toThrow('6 are allowed');
  });

  it.each([
    [
      'one line of each of three files',
      2_000,
      async (root: string) => {
        for (const index of [3, 40, 77]) {
          const path = join(root, `src/f${index}.py`);
          await writeFile(path, (await readFile(path, 'latin1')).replace('a', 'lr = 0.0003\n'), 'latin1');
        }
      },
    ],
    ['a folder that was renamed', 20_000, (root: string) => rename(join(root, 'src'), join(root, 'lib'))],
    [
      'a byte in the middle of a large file',
      1_000,
      async (root: string) => {
        const bytes = await readFile(join(root, 'large.bin'));
        bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] as number) ^ 1;
        await writeFile(join(root, 'large.bin'), bytes);
      },
    ],
    [
      'a beginning of a large file',
      2_500,
      async (root: string) => {
        await writeFile(
          join(root, 'large.bin'),
          Buffer.concat([content(1_024, 5), await readFile(join(root, 'large.bin'))]),
        );
      },
    ],
  ])('of %s takes less than %d bytes', async (_, most, change) => {
    await mkdir(join(project, 'src'));
    for (let index = 0; index < 100; index += 1)
      await writeFile(join(project, `src/f${index}.py`), content(9_000 + index, index));
    await writeFile(join(project, 'large.bin'), content(1_000_000, 7));
    await writeFile(join(project, 'train.py'), 'print(1)\n');
    const pack = async () => {
      const packed = await packFolder(project, join(work, 'a.tar.gz'));
      return { ...packed, file: await readFile(join(work, 'a.tar.gz')) };
    };
    const base = await pack();
    await change(project);
    const next = await pack();
    const { patch, bytes } = await assembled(base, next, true);
    expect(bytes.equals(next.file)).toBe(true);
    expect(patch.length).toBeLessThan(most);
  });

  it('is sent in parts that S3 takes: none but the last is below 5 MiB', () => {
    const length = fc.integer({ min: 1, max: 30 });
    const segment = fc.tuple(fc.boolean(), length);
    const sent = Buffer.alloc(30 * 512 * 1024);
    fc.assert(
      fc.property(fc.array(segment, { minLength: 1, maxLength: 40 }), (shape) => {
        let at = 0;
        const segments = shape.map(([kept, size]) => {
          const bytes = size * 512 * 1024;
          if (!kept) return { bytes: sent.subarray(0, bytes) };
          at += bytes;
          return { start: at - bytes, end: at };
        });
        const parts = planParts(segments);
        const sizeOf = (part: (typeof parts)[number]) =>
          'copy' in part ? part.copy.end - part.copy.start : part.send.reduce((sum, one) => sum + lengthOf(one), 0);
        for (const part of parts.slice(0, -1)) expect(sizeOf(part)).toBeGreaterThanOrEqual(5 * 1024 * 1024);
        const flat = parts.flatMap((part) => ('copy' in part ? [part.copy] : part.send));
        const total = (list: readonly (typeof flat)[number][]) => list.reduce((sum, one) => sum + lengthOf(one), 0);
        expect(total(flat)).toBe(total(segments));
        const kept = flat.filter((one) => 'start' in one);
        for (const [index, one] of kept.entries()) if (index > 0) expect(one.start).toBe(kept[index - 1]?.end);
      }),
      { numRuns: 300 },
    );
  });
});
