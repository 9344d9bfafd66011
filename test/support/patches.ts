import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { type Packed, packFiles } from '../../cli/archive/pack.ts';
import { listFiles } from '../../cli/archive/pack-list.ts';
import { type ReadRange, type Segment, segmentsOf } from '../../core/archive/assemble.ts';
import { buildPatch } from '../../core/archive/build-patch.ts';
import { decodePatch, InvalidPatch } from '../../core/archive/patch.ts';

export const LIMITS = { archiveBytes: 2 ** 30 };
export const BASE = { key: 'archives/demo/base.tar.gz', versionId: 'v1' };
/** Files that were written just now are not recognized later. */
export const LATER = () => ({ now: Date.now() + 10_000 });

/** A packed project, and the archive's bytes. */
export type PackedBytes = Omit<Packed, 'file'> & { readonly file: Buffer };

/** What may happen to a project between two runs. */
const edit = fc.oneof(
  fc.record({ kind: fc.constant('write' as const), file: fc.nat(30), bytes: fc.nat(40_000), seed: fc.nat() }),
  fc.record({ kind: fc.constant('line' as const), file: fc.nat(30), at: fc.double({ min: 0, max: 1, noNaN: true }) }),
  fc.record({
    kind: fc.constant('large' as const),
    at: fc.double({ min: 0, max: 1, noNaN: true }),
    bytes: fc.nat(3_000),
  }),
  fc.record({ kind: fc.constant('remove' as const), file: fc.nat(30) }),
  fc.record({ kind: fc.constant('move' as const) }),
);
type Edit = typeof edit extends fc.Arbitrary<infer T> ? T : never;

/** What may go wrong in a round; `at` is where, as a share. */
const fault = fc.record({
  kind: fc.constantFrom(
    'none',
    'none',
    'cut base',
    'other base',
    'cut patch',
    'changed patch',
    'changed cache',
    'no cache',
  ),
  at: fc.double({ min: 0, max: 0.999, noNaN: true }),
});

/** Rounds of edits, each with a fault. */
export const sequence = fc.array(fc.record({ edits: fc.array(edit, { maxLength: 6 }), fault }), {
  minLength: 2,
  maxLength: 5,
});
export type Sequence = typeof sequence extends fc.Arbitrary<infer T> ? T : never;

/** Bytes of which a part compresses: the same for the same seed. */
export function content(bytes: number, seed: number): Buffer {
  let state = seed;
  return Buffer.from(
    Array.from({ length: bytes }, (_, index) => {
      if (index % 3 !== 0) return 0x61 + (index % 7);
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return state >>> 24;
    }),
  );
}

async function apply(project: string, change: Edit, root: string): Promise<void> {
  const names = (await readdir(project, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile() && !entry.parentPath.includes('.runctl'))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
  const chosen = 'file' in change ? names[change.file % Math.max(names.length, 1)] : undefined;
  if (change.kind === 'write') {
    const path = join(project, root, `f${change.file}.py`);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, content(change.bytes, change.seed));
  } else if (change.kind === 'line' && chosen !== undefined) {
    const text = await readFile(chosen);
    const at = Math.floor(text.length * change.at);
    await writeFile(chosen, Buffer.concat([text.subarray(0, at), Buffer.from('lr = 3\n'), text.subarray(at)]));
  } else if (change.kind === 'large') {
    const path = join(project, 'large.bin');
    const old = await readFile(path).catch(() => content(200_000, 1));
    const at = Math.floor(old.length * change.at);
    await writeFile(path, Buffer.concat([old.subarray(0, at), content(change.bytes, at), old.subarray(at)]));
  } else if (change.kind === 'remove' && chosen !== undefined && names.length > 1) await rm(chosen);
  else if (change.kind === 'move') await rename(join(project, 'src'), join(project, 'moved')).catch(() => undefined);
}

export interface Assembled {
  readonly patch: Buffer;
  readonly bytes: Buffer;
  readonly segments: readonly Segment[];
}

/**
 * Makes an archive of a base and a patch, as the command and the function do.
 * @param change what becomes of the patch, and of the stored base, on the way
 */
export async function assembled(
  base: PackedBytes,
  next: PackedBytes,
  withContent: boolean,
  change: { patch?: (bytes: Buffer) => Buffer; base?: (bytes: Buffer) => Buffer } = {},
): Promise<Assembled> {
  const made = await buildPatch(
    { ...base.archive, ...BASE, read: withContent ? reader(base) : null },
    { ...next.archive, read: reader(next) },
  );
  const patch = change.patch?.(made) ?? made;
  const stored = change.base?.(base.file) ?? base.file;
  const range: ReadRange = (start, end) => Promise.resolve(stored.subarray(start, end));
  const segments = await segmentsOf(decodePatch(patch, LIMITS), range);
  const bytes = Buffer.concat(
    segments.map((segment) => ('bytes' in segment ? segment.bytes : stored.subarray(segment.start, segment.end))),
  );
  return { patch, bytes, segments };
}

/** Reads the members of an archive. */
export function reader({ archive, file }: PackedBytes) {
  return (index: number) => {
    const start = archive.members.slice(0, index).reduce((sum, { bytes }) => sum + bytes, 0);
    return Promise.resolve(file.subarray(start, start + (archive.members[index]?.bytes ?? 0)));
  };
}

const flipped = (bytes: Buffer, at: number): Buffer => {
  const copy = Buffer.from(bytes);
  const index = Math.floor(at * copy.length);
  copy[index] = (copy[index] as number) ^ 1;
  return copy;
};

/**
 * Plays a sequence in the folder `work`. In each round the archive that was packed with the cache, and those that are
 * assembled of patches, have to be the one that is packed of the files alone. What a fault changes may also be refused.
 * @returns the number of archives that were assembled and compared
 * @throws with what differs
 */
export async function playSequence(work: string, rounds: Sequence): Promise<number> {
  const project = join(work, 'project');
  await rm(project, { recursive: true, force: true });
  await mkdir(join(project, 'src'), { recursive: true });
  await writeFile(join(project, 'train.py'), 'print(1)\n');
  const archive = join(work, 'cached.tar.gz');
  let base: PackedBytes | null = null;
  let compared = 0;
  for (const [round, { edits, fault: broken }] of rounds.entries()) {
    for (const change of edits) await apply(project, change, round === 0 ? 'src' : '.');
    if (base !== null) await breakCache(project, broken);
    const listing = await listFiles(project);
    const packed: Packed = await packFiles(project, listing, archive, LATER());
    await packed.keep(null);
    const next: PackedBytes = { ...packed, file: await readFile(archive) };
    await packFiles(project, listing, archive, { cache: null });
    if (!(await readFile(archive)).equals(next.file)) throw new Error('the cache makes another archive');
    for (const withContent of base === null ? [] : [true, false]) {
      await compare(base as PackedBytes, next, withContent, broken);
      compared += 1;
    }
    base = next;
  }
  return compared;
}

async function breakCache(project: string, { kind, at }: Sequence[number]['fault']): Promise<void> {
  const folder = join(project, '.runctl', 'archive');
  if (kind === 'no cache') await rm(folder, { recursive: true });
  if (kind !== 'changed cache') return;
  const file = join(folder, at < 0.5 ? 'last.tar.gz' : 'last.json');
  await writeFile(file, flipped(await readFile(file), (at * 2) % 1));
}

async function compare(
  base: PackedBytes,
  next: PackedBytes,
  withContent: boolean,
  { kind, at }: Sequence[number]['fault'],
): Promise<void> {
  const cut = (bytes: Buffer) => bytes.subarray(0, Math.floor(bytes.length * at));
  const flip = (bytes: Buffer) => flipped(bytes, at);
  const faults = {
    'cut base': { base: cut },
    'other base': { base: flip },
    'cut patch': { patch: cut },
    'changed patch': { patch: flip },
  } as const;
  const change = kind in faults ? faults[kind as keyof typeof faults] : null;
  try {
    const { bytes } = await assembled(base, next, withContent, change ?? {});
    if (bytes.equals(next.file)) return;
    // Verify archive compares the digest: only other bytes with the same one would be taken.
    const digest = createHash('sha256').update(bytes).digest('hex');
    if (change === null || digest === next.archive.sha256) throw new Error('a patch makes another archive');
  } catch (error) {
    if (change === null || !(error instanceof InvalidPatch)) throw error;
  }
}
