import { appendFile, mkdir, open, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { packFolder } from '../cli/archive/pack.ts';
import { buildPatch } from '../core/archive/build-patch.ts';
import { type Member, memberStarts } from '../core/archive/members.ts';
import { FetchingInstance } from './fetched.ts';
import { timed } from './processes.ts';
import { randomBytes, writeProject } from './project.ts';
import { atMost, type Section } from './report.ts';

const FILES = 2_000;
const BYTES = 32 * 1024 * 1024;
const LARGE_BYTES = 100 * 1024 * 1024;

/** An edit of a project, and how many bytes it may take: those that rsync 3.5 took for the same edit, or fewer. */
interface Case {
  readonly name: string;
  readonly most: number;
  readonly edit: (folder: string) => Promise<void>;
}

const SMALL: readonly Case[] = [
  { name: 'no change', most: 2_000, edit: () => Promise.resolve() },
  {
    name: 'three files, one line each',
    most: 5_000,
    edit: async (folder) => {
      for (const index of [21, 702, 1_983]) {
        const path = join(folder, `pkg${index % 20}`, `part${index % 7}`, `module${index}.py`);
        const lines = (await readFile(path, 'utf8')).split('\n');
        lines[lines.length >> 1] = '    learning_rate = 0.0003  # changed';
        await writeFile(path, lines.join('\n'));
      }
    },
  },
  {
    name: '500 files in 5 renamed folders',
    most: 120_000,
    edit: async (folder) => {
      await mkdir(join(folder, 'moved'));
      for (let index = 1; index <= 5; index += 1)
        await rename(join(folder, `pkg${index}`), join(folder, 'moved', `pkg${index}`));
    },
  },
];

const LARGE: readonly Case[] = [
  {
    name: '1 byte in 100 MB',
    most: 82_102,
    edit: async (folder) => {
      const file = await open(join(folder, 'large.bin'), 'r+');
      await file.write('x', LARGE_BYTES / 2);
      await file.close();
    },
  },
  {
    name: '1 MB appended to 100 MB',
    most: 1_120_681,
    edit: (folder) => appendFile(join(folder, 'large.bin'), randomBytes(1024 * 1024, 5)),
  },
  {
    name: '1 KB inserted at the start of 100 MB',
    most: 146_536,
    edit: async (folder) => {
      const path = join(folder, 'large.bin');
      await writeFile(path, Buffer.concat([randomBytes(1_024, 6), await readFile(path)]));
    },
  },
];

/** Measures how much is sent after edits of a project, beside rsync where the machine has it. */
export async function benchPatches(work: string, say: (line: string) => void, signal: AbortSignal): Promise<Section[]> {
  say('patches of edited projects');
  const small = join(work, 'edited');
  await writeProject(small, FILES, BYTES);
  const large = join(work, 'large');
  await mkdir(large);
  await writeFile(join(large, 'train.py'), 'print(1)\n');
  await writeFile(join(large, 'large.bin'), randomBytes(LARGE_BYTES, 3));
  return [
    { title: `Bytes sent after an edit of ${FILES} files, 32 MB`, rows: await edits(small, SMALL, work, signal) },
    { title: 'Bytes sent after an edit of a file of random bytes', rows: await edits(large, LARGE, work, signal) },
  ];
}

async function edits(
  folder: string,
  cases: readonly Case[],
  work: string,
  signal: AbortSignal,
): Promise<Section['rows']> {
  const copy = `${folder}.rsync`;
  let base = await pack(folder, join(work, 'base.tar.gz'));
  const instance = new FetchingInstance(`${folder}.home`);
  await instance.sync(base);
  await rsync(folder, copy);
  const rows = [];
  for (const { name, most, edit } of cases) {
    signal.throwIfAborted();
    await edit(folder);
    const next = await pack(folder, join(work, 'next.tar.gz'));
    const value =
      next.sha256 === base.sha256 ? 0 : (await buildPatch({ ...base, key: 'base', versionId: 'v' }, next)).length;
    const theirs = await rsync(folder, copy);
    const note = theirs === null ? 'rsync is not installed here' : `rsync: ${theirs.toLocaleString('en-US')} bytes`;
    rows.push({ name, value, unit: 'bytes' as const, target: atMost(most), note });
    const fetched = await instance.sync(next);
    rows.push({ name: `${name}: fetched by the instance`, value: fetched, unit: 'bytes' as const, target: null });
    base = next;
  }
  return rows;
}

async function pack(folder: string, file: string) {
  const { archive } = await packFolder(folder, file);
  return { ...archive, file, read: readerOf(await readFile(file), archive.members) };
}

function readerOf(bytes: Buffer, members: readonly Member[]) {
  const starts = memberStarts(members);
  return (index: number) => {
    const at = starts[index] ?? 0;
    return Promise.resolve(bytes.subarray(at, at + (members[index]?.bytes ?? 0)));
  };
}

/** @returns the bytes that two rsync processes exchange, in both directions; null without rsync */
async function rsync(from: string, to: string): Promise<number | null> {
  try {
    const { stdout } = await timed('rsync', ['-az', '--no-whole-file', '--delete', '--stats', `${from}/`, `${to}/`]);
    const numbers = [...stdout.matchAll(/^Total bytes (?:sent|received): ([\d,]+)$/gm)];
    return numbers.reduce((sum, [, text = '']) => sum + Number(text.replaceAll(',', '')), 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}
