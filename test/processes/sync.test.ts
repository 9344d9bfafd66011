import { lstatSync, readdirSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { useSyncSetup } from '../support/instance/sync-setup.ts';
import { archive, tarGz } from '../support/instance/tarball.ts';

const syncSetup = useSyncSetup();

/** Names under which files of the person's are kept: the time in them differs. */
function timeless(names: readonly string[]): string[] {
  return names.map((name) => name.replace(/\.local-\d{8}T\d{6}Z/, '.local-<time>'));
}

describe('a first sync', () => {
  it('brings the code and says what it did and verified', async () => {
    const instance = syncSetup();
    const code = {
      'train.py': 'print(1)\n',
      'lib/a.py': 'a = 1\n',
      'requirements.txt': 'numpy\n',
      'data/x.csv': '1,2\n',
    };
    const bytes = archive(code);

    const { code: exit, log, phases, result } = await instance.sync(bytes);

    expect({ exit, log }).toMatchObject({ exit: 0 });
    expect(instance.tree()).toEqual({ ...code, lib: '<folder>', data: '<folder>' });
    expect(phases).toEqual(['downloading', 'extracting', 'verifying', 'applying']);
    expect(result).toMatchObject({ files: 4, bytes: 25, added: 4, changed: 0, removed: 0, kept: [], pythonFiles: 2 });
    expect(result.cached).toBe(false);
    expect(log).toContain(`Fetching the archive: ${bytes.length} bytes`);
    expect(log).toMatch(/^Fetched .* in .* s \(.*\/s\)$/m);
    expect(log).toContain(`SHA-256 verified: ${result.sha256}`);
    expect(log).toMatch(/^Extracted 4 files, 25 bytes in /m);
    expect(log).toContain('Tree verified: 4 files, 25 bytes, regular files and folders only');
    expect(log).toContain(`Applied to ${instance.project}: 4 added, 0 changed, 0 removed, 0 unchanged, 0 copies kept`);
    expect(log).toContain('Python files (2):\n  lib/a.py  6 bytes\n  train.py  9 bytes\n');
    expect(log).toContain('Verified: script train.py exists');
    expect(log).toContain(`Verified: training folder ${instance.project} exists`);
    expect(log).toContain('Verified: requirements.txt exists');
    expect(readdirSync(instance.own).sort()).toEqual(['lock', 'manifest.json']);
  });

  it('takes the single top folder off, and drops owners and odd modes', async () => {
    const instance = syncSetup();
    const bytes = tarGz([
      { name: 'digits-1.0/', type: '5', mode: 0o2777 },
      { name: 'digits-1.0/train.py', data: 'x', mode: 0o6777, uid: 0 },
      { name: './digits-1.0/-rf', data: 'y', mode: 0o1066 },
      { name: 'digits-1.0/empty', type: '5', mode: 0o700 },
    ]);

    const { log } = await instance.sync(bytes, { fields: { strip: 'digits-1.0' } });

    expect(log).toContain('(top folder "digits-1.0" taken off)');
    expect(instance.tree()).toEqual({ 'train.py': 'x', '-rf': 'y', empty: '<folder>' });
    const mode = (name: string) => (lstatSync(join(instance.project, name)).mode & 0o7777).toString(8);
    expect([mode('train.py'), mode('-rf'), mode('empty'), mode('.')]).toEqual(['755', '644', '755', '755']);
    expect(lstatSync(join(instance.project, 'train.py')).uid).toBe(process.getuid?.());
  });

  it('says that there is nothing to install, and refuses an archive without the script', async () => {
    const instance = syncSetup();
    expect((await instance.sync(archive({ 'train.py': '' }))).log).toContain('requirements.txt is missing');

    const run = await instance.sync(archive({ 'main.py': 'new' }));

    expect(run).toMatchObject({ code: 1, result: { error: { name: 'SyncFailed' } } });
    expect(run.result.error?.message).toContain('script train.py is not in the archive (Python files: main.py)');
    expect(instance.tree()).toEqual({ 'train.py': '' });
    expect(readdirSync(instance.own).sort()).toEqual(['lock', 'manifest.json']);
  });
});

describe('a later sync', () => {
  it('adds, changes and removes what it brought, and leaves what it did not bring', async () => {
    const instance = syncSetup();
    await instance.sync(
      archive({ 'train.py': '1', 'same.py': 's', 'gone/a.py': 'a', 'gone/deep/b.py': 'b', 'half/c.py': 'c' }),
    );
    instance.write('outputs/model.bin', 'weights');
    instance.write('half/mine.txt', 'mine');
    instance.write('half/__pycache__/c.cpython-311.pyc', 'bytecode');
    const inode = lstatSync(join(instance.project, 'same.py')).ino;

    const { log, result } = await instance.sync(archive({ 'train.py': '2', 'same.py': 's', 'new/d.py': 'd' }));

    expect(instance.tree()).toEqual({
      'train.py': '2',
      'same.py': 's',
      new: '<folder>',
      'new/d.py': 'd',
      half: '<folder>',
      'half/mine.txt': 'mine',
      outputs: '<folder>',
      'outputs/model.bin': 'weights',
    });
    expect(result).toMatchObject({ added: 1, changed: 1, removed: 3, kept: [] });
    expect(log).toContain('1 added, 1 changed, 3 removed, 1 unchanged, 0 copies kept');
    expect(lstatSync(join(instance.project, 'same.py')).ino).toBe(inode);
  });

  it('keeps what the person changed beside, and names it', async () => {
    const instance = syncSetup();
    await instance.sync(archive({ 'train.py': '1', 'a.py': '1', 'dir/b.py': '1', 'c.py': '1' }));
    instance.write('a.py', 'edited');
    instance.write('dir/b.py', 'edited too');
    instance.write('own.py', 'never synced');
    utimesSync(join(instance.project, 'c.py'), 1, 1); // touched, with the same content: not changed

    const { log, result } = await instance.sync(archive({ 'train.py': '1', 'a.py': '2', 'own.py': '2', 'c.py': '2' }));

    expect(timeless(result.kept).sort()).toEqual(['a.py', 'dir/b.py', 'own.py'].map((name) => `${name}.local-<time>`));
    for (const name of result.kept) expect(log).toContain(`Kept a copy: ${name}`);
    const kept = Object.fromEntries(result.kept.map((name) => [timeless([name])[0], instance.read(name)]));
    expect(kept).toEqual({
      'a.py.local-<time>': 'edited',
      'dir/b.py.local-<time>': 'edited too',
      'own.py.local-<time>': 'never synced',
    });
    expect([instance.read('a.py'), instance.read('own.py'), instance.read('c.py')]).toEqual(['2', '2', '2']);
  });

  it('handles a file that becomes a folder, and a folder that becomes a file', async () => {
    const instance = syncSetup();
    await instance.sync(archive({ 'train.py': '1', a: 'file', 'b/x.py': 'x', 'c/y.py': 'y' }));
    instance.write('c/mine', 'mine');
    instance.write('b/x.py', 'edited');

    const { result } = await instance.sync(archive({ 'train.py': '1', 'a/z.py': 'z', b: 'file', c: 'file' }));

    const tree = Object.fromEntries(Object.entries(instance.tree()).map(([name, text]) => [timeless([name])[0], text]));
    expect(tree).toEqual({
      'train.py': '1',
      a: '<folder>',
      'a/z.py': 'z',
      b: 'file',
      'b_x.py.local-<time>': 'edited',
      c: 'file',
      'c.local-<time>': '<folder>',
      'c.local-<time>/mine': 'mine',
    });
    expect(timeless(result.kept).sort()).toEqual(['b_x.py.local-<time>', 'c.local-<time>']);
  });

  it('makes a file of the same size newer by a second, so that Python compiles it again', async () => {
    const instance = syncSetup();
    await instance.sync(archive({ 'train.py': '1' }));
    const file = join(instance.project, 'train.py');
    const later = Math.floor(Date.now() / 1000) + 1000; // as if the next sync came within the second
    utimesSync(file, later, later);

    expect(await instance.sync(archive({ 'train.py': '2' }))).toMatchObject({ result: { changed: 1, kept: [] } });

    expect(lstatSync(file).mtimeMs / 1000).toBe(later + 1);
  });
});

describe('the same archive again', () => {
  it('costs no download, and the tree is checked', async () => {
    const instance = syncSetup();
    const bytes = archive({ 'train.py': '1', 'lib/a.py': 'a' });
    await instance.sync(bytes);

    const { log, result } = await instance.sync(bytes);

    expect(instance.requests).toBe(1);
    expect(result).toMatchObject({ cached: true, files: 2, added: 0, changed: 0, removed: 0, pythonFiles: 2 });
    expect(log).toContain('This archive is already in place');
    expect(log).toContain('Verified: script train.py exists');
  });

  it('is fetched again when a file was changed or is missing', async () => {
    const instance = syncSetup();
    const bytes = archive({ 'train.py': '1', 'lib/a.py': 'a' });
    await instance.sync(bytes);
    instance.write('lib/a.py', 'b');

    const { result } = await instance.sync(bytes);

    expect(instance.requests).toBe(2);
    expect(result).toMatchObject({ cached: false, changed: 1 });
    expect(instance.read('lib/a.py')).toBe('a');
    expect(instance.read(result.kept[0] as string)).toBe('b');
  });
});
