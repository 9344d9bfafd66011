import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { mayMount } from '../support/instance/mounts.ts';
import { type SyncRun, type SyncSetup, treeOf, useSyncSetup } from '../support/instance/sync-setup.ts';
import { archive } from '../support/instance/tarball.ts';

const syncSetup = useSyncSetup();
const OLD = { 'train.py': '1', 'lib/a.py': '1', 'lib/b.py': '1' };
const NO_MOUNT = 'needs root, to mount a small disk';
const NEW = { 'train.py': '2', 'lib/a.py': '2' };

/** A setup with the old code, and a folder outside of everything that must never change. */
async function withOutside(): Promise<{ instance: SyncSetup; outside: string }> {
  const instance = syncSetup();
  await instance.sync(archive(OLD));
  const outside = join(instance.base, 'outside');
  mkdirSync(outside);
  for (const name of ['a.py', 'b.py', 'train.py']) writeFileSync(join(outside, name), '1');
  return { instance, outside };
}

function expectRefused(run: SyncRun, message: string | RegExp): void {
  expect(run).toMatchObject({ code: 1, result: { error: { name: 'SyncFailed' } } });
  expect(run.result.error?.message).toMatch(message);
}

describe('through a symbolic link nothing is written, and nothing removed', () => {
  const UNTOUCHED = { 'a.py': '1', 'b.py': '1', 'train.py': '1' };

  it("when the project's folder is one", async () => {
    const { instance, outside } = await withOutside();
    rmSync(instance.project, { recursive: true });
    symlinkSync(outside, instance.project);

    expectRefused(await instance.sync(archive(NEW)), "The project's folder is a symbolic link.");

    expect(treeOf(outside)).toEqual(UNTOUCHED);
    expect(readlinkSync(instance.project)).toBe(outside);
  });

  it('when a folder on the way to a file is one', async () => {
    const { instance, outside } = await withOutside();
    renameSync(join(instance.project, 'lib'), join(instance.base, 'lib'));
    symlinkSync(outside, join(instance.project, 'lib'));

    expectRefused(await instance.sync(archive(NEW)), 'folder lib of the project is a symbolic link');

    expect(treeOf(outside)).toEqual(UNTOUCHED);
    expect(instance.tree()).toEqual({ 'train.py': '1', lib: `-> ${outside}` });
  });

  it('when the new code no longer has that folder', async () => {
    const { instance, outside } = await withOutside();
    rmSync(join(instance.project, 'lib'), { recursive: true });
    symlinkSync(outside, join(instance.project, 'lib'));

    expect(await instance.sync(archive({ 'train.py': '2' }))).toMatchObject({ code: 0, result: { removed: 0 } });

    expect(treeOf(outside)).toEqual(UNTOUCHED);
    expect(instance.tree()).toEqual({ 'train.py': '2', lib: `-> ${outside}` });
  });

  it('when the file itself is one: the link is kept beside', async () => {
    const { instance, outside } = await withOutside();
    rmSync(join(instance.project, 'train.py'));
    symlinkSync(join(outside, 'train.py'), join(instance.project, 'train.py'));

    const { result } = await instance.sync(archive(NEW));

    expect(instance.read('train.py')).toBe('2');
    expect(readlinkSync(join(instance.project, result.kept[0] as string))).toBe(join(outside, 'train.py'));
    expect(treeOf(outside)).toEqual(UNTOUCHED);
  });

  it("when the sync's own folder is one", async () => {
    const { instance, outside } = await withOutside();
    renameSync(join(instance.home, '.runctl'), join(instance.base, 'runctl'));
    symlinkSync(outside, join(instance.home, '.runctl'));

    expectRefused(await instance.sync(archive(NEW)), /\.runctl in .* is not a folder, or is a symbolic link/);

    expect(treeOf(outside)).toEqual(UNTOUCHED);
    expect(instance.read('train.py')).toBe('1');
  });

  it('when links were planted where the sync keeps its files', async () => {
    const { instance, outside } = await withOutside();
    for (const name of ['staging', 'old', 'archive', 'next.json', 'next.json.new', 'journal.json.new'])
      symlinkSync(name === 'staging' || name === 'old' ? outside : join(outside, 'a.py'), join(instance.own, name));

    expect(await instance.sync(archive(NEW))).toMatchObject({ code: 0 });

    expect(treeOf(outside)).toEqual(UNTOUCHED);
    expect(instance.tree()).toEqual({ ...NEW, lib: '<folder>' });
    expect(readdirSync(instance.own).sort()).toEqual(['lock', 'manifest.json']);
  });
});

describe('the place of the code', () => {
  it('is refused when a file has its name', async () => {
    const instance = syncSetup();
    writeFileSync(instance.project, 'a file');
    expectRefused(await instance.sync(archive(NEW)), `${instance.project} is not a folder: move it away`);
    expect(readFileSync(instance.project, 'utf8')).toBe('a file');
  });

  it('may be an empty folder, or one that no sync made', async () => {
    const instance = syncSetup();
    instance.write('notes.txt', 'mine');
    instance.write('train.py', '2');

    const { result } = await instance.sync(archive(NEW));

    expect(result).toMatchObject({ added: 1, kept: [] });
    expect(instance.tree()).toEqual({ ...NEW, lib: '<folder>', 'notes.txt': 'mine' });
  });

  it('is brought anew when it was removed', async () => {
    const instance = syncSetup();
    const bytes = archive(NEW);
    await instance.sync(bytes);
    rmSync(instance.project, { recursive: true });

    expect(await instance.sync(bytes)).toMatchObject({ code: 0, result: { cached: false, added: 2 } });

    expect(instance.tree()).toEqual({ ...NEW, lib: '<folder>' });
  });

  it('takes one sync after the other', async () => {
    const instance = syncSetup();
    const both = [archive(OLD), archive(NEW)];

    const runs = await Promise.all(both.map((bytes) => instance.sync(bytes)));

    expect(runs.map(({ code }) => code)).toEqual([0, 0]);
    expect([OLD, NEW].map((code) => ({ ...code, lib: '<folder>' }))).toContainEqual(instance.tree());
  });

  it('is cleared of what a killed sync left', async () => {
    const instance = syncSetup();
    mkdirSync(join(instance.own, 'staging', 'deep'), { recursive: true });
    writeFileSync(join(instance.own, 'staging', 'deep', 'x'), 'x');
    writeFileSync(join(instance.own, 'archive'), 'half');
    mkdirSync(join(instance.own, 'old'));

    expect(await instance.sync(archive(NEW))).toMatchObject({ code: 0 });

    expect(readdirSync(instance.own).sort()).toEqual(['lock', 'manifest.json']);
  });

  it('names a folder that only root can write, and leaves the old code', async ({ skip }) => {
    if (process.getuid?.() !== 0) skip('needs root, to make a folder of root’s in the home of somebody else');
    const instance = syncSetup();
    chmodSync(instance.base, 0o755);
    chownSync(instance.home, 65534, 65534);
    const before = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'];
    expect(await instance.sync(archive(OLD), { before })).toMatchObject({ code: 0 });
    expect(lstatSync(join(instance.project, 'train.py')).uid).toBe(65534);
    chownSync(join(instance.project, 'lib'), 0, 0);

    expectRefused(
      await instance.sync(archive(NEW), { before }),
      "the project's folder lib cannot be written by this user",
    );

    expect(instance.tree()).toEqual({ ...OLD, lib: '<folder>' });
  });
});

describe('a full disk', () => {
  /** Runs with a home on a disk of so many bytes. */
  async function onDisk(bytes: number, test: (instance: SyncSetup) => Promise<void>): Promise<void> {
    const outer = syncSetup();
    mkdirSync(join(outer.base, 'disk'));
    const disk = join(outer.base, 'disk');
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes}`, 'runctl-test', disk]);
    try {
      await test(syncSetup(join(disk, 'home')));
    } finally {
      execFileSync('umount', [disk]);
    }
  }
  const noise = (bytes: number) =>
    execFileSync('head', ['-c', String(bytes), '/dev/urandom'], { maxBuffer: 2 * bytes });

  const TOO_MUCH: [string, Record<string, string | Uint8Array>, RegExp][] = [
    [
      'for the archive',
      { 'data.bin': noise(3_000_000) },
      /^The disk of .* is full: 3\.0 MB needed to fetch the archive, .* free, .* missing/,
    ],
    [
      'for what it unpacks to',
      { 'data.bin': 'x'.repeat(5_000_000) },
      /full: 5\.0 MB needed to unpack the archive, .* missing/,
    ],
    [
      'for its many small files, which only shows on the way',
      Object.fromEntries(Array.from({ length: 700 }, (_, at) => [`${at}.py`, 'x'])),
      /full: 2\.9 MB needed to unpack the archive, .* free, .* missing\. The code there is as it was/,
    ],
  ];
  it.for(TOO_MUCH)(
    '%s ends as DiskFull, says how much is missing, and leaves the old code',
    async ([what, files, message], { skip }) => {
      if (!mayMount()) skip(NO_MOUNT);
      await onDisk(2_000_000, async (instance) => {
        await instance.sync(archive({ 'train.py': 'old' }));

        const { code, result, log, phases } = await instance.sync(archive({ 'train.py': 'new', ...files }));

        expect({ code, log }).toMatchObject({ code: 1 });
        expect(result.error).toMatchObject({ name: 'DiskFull', message: expect.stringMatching(message) });
        // What can be known before is: nothing is unpacked in vain.
        expect(phases.includes('extracting')).toBe(what.includes('on the way'));
        expect(instance.tree()).toEqual({ 'train.py': 'old' });
        expect(readdirSync(instance.own).sort()).toEqual(['lock', 'manifest.json']);
        expect(await instance.sync(archive({ 'train.py': 'small' }))).toMatchObject({ code: 0 });
      });
    },
  );

  it('may be that of the project alone: staging lies on it', async ({ skip }) => {
    if (!mayMount()) skip(NO_MOUNT);
    const instance = syncSetup();
    mkdirSync(instance.project);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2000000', 'runctl-test', instance.project]);
    try {
      expect(await instance.sync(archive(OLD))).toMatchObject({ code: 0 });
      expect(await instance.sync(archive(NEW))).toMatchObject({ code: 0, result: { changed: 2, removed: 1 } });
      expect(await instance.sync(archive(NEW))).toMatchObject({ code: 0, result: { cached: true } });
      expect([instance.read('train.py'), instance.read('lib/a.py')]).toEqual(['2', '2']);
      expect(existsSync(join(instance.project, '.runctl/digits/sync/manifest.json'))).toBe(true);
      expect(existsSync(join(instance.home, '.runctl'))).toBe(false);
      const refused = await instance.sync(archive({ ...NEW, '.runctl/x': '' }));
      expect(refused.result.error).toMatchObject({
        name: 'ArchiveUnsafe',
        message: expect.stringContaining('.runctl'),
      });
    } finally {
      execFileSync('umount', [instance.project]);
    }
  });

  it('mounted below the project is named: code cannot be put there whole', async ({ skip }) => {
    if (!mayMount()) skip(NO_MOUNT);
    const instance = syncSetup();
    await instance.sync(archive(OLD));
    execFileSync('mount', ['-t', 'tmpfs', 'runctl-test', join(instance.project, 'lib')]);
    try {
      expectRefused(await instance.sync(archive(NEW)), "the project's folder lib is a separate filesystem");
      expect(instance.read('train.py')).toBe('1');
    } finally {
      execFileSync('umount', [join(instance.project, 'lib')]);
    }
  });
});
