import { existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { noteComment } from '../../core/archive/note.ts';
import { useSyncSetup } from '../support/instance/sync-setup.ts';
import { pax, tarGz } from '../support/instance/tarball.ts';

const syncSetup = useSyncSetup();

/** An archive as `runctl` packs it: with a note of what it leaves out. */
function archiveWithout(leftOut: readonly string[], files: Readonly<Record<string, string | Buffer>>): Buffer {
  const entries = Object.entries(files).map(([name, data]) => ({ name, data }));
  return tarGz([pax({ comment: 'f'.repeat(40) }, 'g'), pax({ comment: noteComment({ leftOut }) }, 'g'), ...entries]);
}

const DATA = { 'data/a.csv': 'a', 'data/deep/b.csv': 'b', 'notes.md': 'n', 'gone.py': 'g' };

describe('a sync', () => {
  it('does not remove what the archive leaves out and the laptop still has', async () => {
    const instance = syncSetup();
    await instance.sync(archiveWithout([], { 'train.py': '1', ...DATA }));
    const { result, log } = await instance.sync(archiveWithout(['data/', 'notes.md'], { 'train.py': '2' }));
    expect(Object.keys(instance.tree()).sort()).toEqual([
      'data',
      'data/a.csv',
      'data/deep',
      'data/deep/b.csv',
      'notes.md',
      'train.py',
    ]);
    expect(result).toMatchObject({ changed: 1, removed: 1, kept: [] });
    expect(log).toContain('Not removed: 3 files that the archive leaves out');
    // They are the person's now: an archive without a note does not remove them either.
    await instance.sync(archiveWithout([], { 'train.py': '3' }));
    expect(instance.read('data/deep/b.csv')).toBe('b');
  });

  it('takes the top folder off the names that are left out, too', async () => {
    const instance = syncSetup();
    const inTop = (files: Record<string, string>) =>
      Object.fromEntries(Object.entries(files).map(([name, text]) => [`top/${name}`, text]));
    const fields = { strip: 'top' };
    await instance.sync(archiveWithout([], inTop({ 'train.py': '1', ...DATA })), { fields });
    await instance.sync(archiveWithout(['top/data/', 'notes.md'], inTop({ 'train.py': '2' })), { fields });
    expect(Object.keys(instance.tree()).filter((name) => !name.startsWith('data'))).toEqual(['train.py']);
    expect(instance.read('data/a.csv')).toBe('a');
  });

  it.each([
    ['not JSON', 'runctl note {'],
    ['a list', 'runctl note []'],
    ['names that are not text', 'runctl note {"leftOut":[3,{}]}'],
    ['another comment', 'runctl notes {"leftOut":[""]}'],
  ])('reads a note that is %s as none', async (_, comment) => {
    const instance = syncSetup();
    await instance.sync(archiveWithout([], { 'train.py': '1', ...DATA }));
    const { code } = await instance.sync(tarGz([pax({ comment }, 'g'), { name: 'train.py', data: '2' }]));
    expect(code).toBe(0);
    expect(instance.tree()).toEqual({ 'train.py': '2' });
  });

  it.each([
    [
      '101 files',
      Object.fromEntries(Array.from({ length: 101 }, (_, n) => [`d/${n}.txt`, 'x'])),
      '101 files (101 bytes)',
    ],
    ['100 MB', { 'big.bin': Buffer.alloc(100_000_001) }, '1 file (100.0 MB)'],
  ])('removes %s only when that is allowed', async (_, files, described) => {
    const instance = syncSetup();
    await instance.sync(archiveWithout([], { 'train.py': '1', ...files }));
    const before = instance.tree();
    const next = archiveWithout([], { 'train.py': '2' });
    const refused = await instance.sync(next);
    expect(refused.result.error).toEqual({
      name: 'RemovalsNotAllowed',
      message: `The sync would remove ${described} of ${instance.project} that the archive does not contain. Nothing was changed.`,
    });
    expect(refused.code).toBe(1);
    expect(instance.tree()).toEqual(before);
    const allowed = await instance.sync(next, { fields: { allowRemovals: true } });
    expect(allowed.result).toMatchObject({ removed: Object.keys(files).length, changed: 1 });
    expect(instance.tree()).toEqual({ 'train.py': '2' });
  });

  it('removes 100 files without a question', async () => {
    const instance = syncSetup();
    const files = Object.fromEntries(Array.from({ length: 100 }, (_, n) => [`${n}.txt`, 'x']));
    await instance.sync(archiveWithout([], { 'train.py': '1', ...files }));
    expect((await instance.sync(archiveWithout([], { 'train.py': '2' }))).result.removed).toBe(100);
  });
});

describe('the folders of outputs', () => {
  const fields = { folders: ['outputs', 'results/deep'] };

  it('are created, also when the code is in place already', async () => {
    const instance = syncSetup();
    const bytes = archiveWithout([], { 'train.py': '1' });
    await instance.sync(bytes, { fields: { folders: ['outputs'] } });
    expect(instance.tree()).toEqual({ 'train.py': '1', outputs: '<folder>' });
    const { result } = await instance.sync(bytes, { fields });
    expect(result.cached).toBe(true);
    expect(instance.tree()).toMatchObject({ results: '<folder>', 'results/deep': '<folder>' });
  });

  it('leave files and links in their place, and lead nowhere else', async () => {
    const instance = syncSetup();
    const elsewhere = join(instance.base, 'elsewhere');
    mkdirSync(elsewhere);
    mkdirSync(instance.project);
    writeFileSync(join(instance.project, 'outputs'), 'a file');
    symlinkSync(elsewhere, join(instance.project, 'results'));
    const { code } = await instance.sync(archiveWithout([], { 'train.py': '1' }), { fields });
    expect(code).toBe(0);
    expect(instance.tree()).toMatchObject({ outputs: 'a file', results: `-> ${elsewhere}` });
    expect(existsSync(join(elsewhere, 'deep'))).toBe(false);
  });
});
