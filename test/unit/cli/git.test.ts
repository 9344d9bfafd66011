import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { packFiles } from '../../../cli/archive/pack.ts';
import { type Listing, type ListOptions, listFiles } from '../../../cli/archive/pack-list.ts';

let work: string;
let folder: string;
beforeEach(() => {
  work = realpathSync(mkdtempSync(join(tmpdir(), 'runctl git ')));
  folder = join(work, 'project');
  mkdirSync(folder);
  // The configuration of whoever runs the tests must not matter.
  vi.stubEnv('GIT_CONFIG_GLOBAL', join(work, 'gitconfig'));
  vi.stubEnv('GIT_CONFIG_NOSYSTEM', '1');
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(work, { recursive: true });
});

function put(files: Readonly<Record<string, string>>, top = folder): void {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(top, name)), { recursive: true });
    writeFileSync(join(top, name), text);
  }
}
const gitIn = (cwd: string, ...args: string[]) =>
  execFileSync('git', ['-c', 'user.name=a', '-c', 'user.email=a@b', '-c', 'protocol.file.allow=always', ...args], {
    cwd,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  }).trim();
const git = (...args: string[]) => gitIn(folder, ...args);
/** Makes the folder a repository whose commit has the files. */
function commit(files: Readonly<Record<string, string>>, top = folder): string {
  put(files, top);
  if (!existsSync(join(top, '.git'))) gitIn(top, 'init', '-q');
  gitIn(top, 'add', '--force', '.');
  gitIn(top, 'commit', '-qm', 'a commit');
  return gitIn(top, 'rev-parse', 'HEAD');
}
const list = async (inside = folder, options: ListOptions = {}): Promise<Listing> => await listFiles(inside, options);
const names = async (inside = folder, options: ListOptions = {}) =>
  (await list(inside, options)).files.map(({ name }) => name);

describe('in a git work tree, git says what belongs', () => {
  it('tracked files, also those that .gitignore matches, and what git distinguishes by case', async () => {
    commit({ 'train.py': '', '.gitignore': 'MANIFEST\nModels/\n*.LOG\nconfigs/\n' });
    commit({ 'manifest/a.py': '', 'models/b.py': '', 'keep.log': '', 'configs/forced.yaml': '' });
    put({ MANIFEST: '', 'x.LOG': '', 'configs/local.yaml': '' });
    expect(await names()).toEqual([
      '.gitignore',
      'configs/forced.yaml',
      'keep.log',
      'manifest/a.py',
      'models/b.py',
      'train.py',
    ]);
    expect(await list()).toMatchObject({ git: { dirty: false, differences: [] }, warnings: [] });
  });

  it('not what .git/info/exclude, core.excludesFile and a .gitignore above the folder exclude', async () => {
    const sub = join(folder, 'sub');
    commit({ '.gitignore': 'private.txt\n/sub/local/\n', 'sub/train.py': '' });
    put({ '.git/info/exclude': 'notes.md\n', 'sub/private.txt': '', 'sub/notes.md': '', 'sub/local/a': '' });
    put({ mine: '*.scratch\n', gitconfig: `[core]\n\texcludesFile = ${join(work, 'mine')}\n` }, work);
    put({ 'sub/a.scratch': '', 'sub/new.py': '' });
    expect(await names(sub)).toEqual(['new.py', 'train.py']);
  });

  it('then .runctlignore excludes files, and includes what git ignores, also inside an ignored folder', async () => {
    commit({ '.gitignore': '*.log\n/data/\nvendor/\n', 'train.py': '', 'docs/a.md': '', 'sub/b.py': '' });
    put({ '.runctlignore': 'docs/\n*.LOG\n!important.log\n!/data/keep.csv\n!vendor/\n' });
    put({ 'x.log': '', 'important.log': '', 'data/keep.csv': '', 'data/big.csv': '', 'vendor/lib/c.py': '' });
    put({ 'data/.venv/pyvenv.cfg': '', 'data/.venv/keep.csv': '', 'vendor/__pycache__/c.pyc': '', 'y.LOG': '' });
    put({ 'sub/.runctlignore': 'b.py\n!sub.log\n', 'sub/sub.log': '' });
    expect(await names()).toEqual([
      '.gitignore',
      '.runctlignore',
      'data/keep.csv',
      'important.log',
      'sub/.runctlignore',
      'sub/sub.log',
      'train.py',
      'vendor/lib/c.py',
    ]);
  });

  it('honors a .runctlignore and a runctl.yaml that git ignores', async () => {
    commit({ 'train.py': '', 'notes.md': '' });
    put({ '.git/info/exclude': 'runctl.yaml\n.runctlignore\n', '.runctlignore': 'notes.md\n', 'runctl.yaml': '' });
    expect(await names()).toEqual(['runctl.yaml', 'train.py']);
    expect((await list()).git?.differences).toEqual(['1 not tracked', '1 tracked but not packed']);
  });

  it('except for environments and caches that are not tracked', async () => {
    commit({ 'train.py': '', 'node_modules/tracked.js': '', 'venv/pyvenv.cfg': '' });
    put({
      'node_modules/other.js': '',
      'venv/x.py': '',
      'env/pyvenv.cfg': '',
      'env/x.py': '',
      '__pycache__/a.pyc': '',
    });
    put({ '.runctl/state.json': '', 'runctl-runs/a/x.txt': '' });
    expect(await names()).toEqual(['node_modules/tracked.js', 'train.py', 'venv/pyvenv.cfg']);
    expect((await list()).git?.dirty).toBe(false);
  });

  it('in linked work trees, and where variables of a hook name another repository', async () => {
    const head = commit({ '.gitignore': 'x\n', 'train.py': '' });
    const tree = join(work, 'linked');
    git('worktree', 'add', '-q', tree);
    put({ x: '', 'new.py': '' }, tree);
    vi.stubEnv('GIT_DIR', join(work, 'nowhere'));
    vi.stubEnv('GIT_INDEX_FILE', join(work, 'nowhere', 'index'));
    expect(await names(tree)).toEqual(['.gitignore', 'new.py', 'train.py']);
    expect((await list(tree)).git).toEqual({ commit: head, dirty: true, differences: ['1 not tracked'] });
  });

  it('a linked work tree inside the folder is another copy of it, and not packed', async () => {
    commit({ 'train.py': '' });
    git('worktree', 'add', '-q', 'trees/feature');
    expect(await list()).toMatchObject({
      files: [{ name: 'train.py' }],
      warnings: ['trees/feature was not packed: it is another work tree of a repository.'],
      git: { dirty: false },
    });
  });

  it('.runctlignore ignores case where core.ignorecase says so', async () => {
    commit({ 'train.py': '', 'notes.md': '', '.runctlignore': 'NOTES.md\n' });
    expect(await names()).toEqual(['.runctlignore', 'notes.md', 'train.py']);
    git('config', 'core.ignorecase', 'true');
    expect(await names()).toEqual(['.runctlignore', 'train.py']);
  });

  it('names with spaces, quotes, newlines and letters of all scripts', async () => {
    const odd = { 'a b.py': '', 'quote".py': '', 'line\nbreak.py': '', 'größe/日本.py': '' };
    commit({ 'train.py': '' });
    put(odd);
    expect((await names()).sort()).toEqual([...Object.keys(odd), 'train.py'].sort());
    writeFileSync(Buffer.concat([Buffer.from(`${folder}/a`), Buffer.from([0xff]), Buffer.from('.py')]), '');
    await expect(list()).rejects.toThrow('is not UTF-8');
  });

  it('links: a tracked link to a folder is packed with what git lists there, not with what git ignores', async () => {
    commit({ '.gitignore': 'big/\n*.bin\n.env\n', 'train.py': '', 'lib/a.py': '' });
    put({ 'lib/a.bin': '', 'big/data': '', '.env': 'A=1' });
    for (const [name, target] of Object.entries({ library: 'lib', 'main.py': 'train.py', data: 'big', conf: '.env' }))
      symlinkSync(target, join(folder, name));
    git('add', 'library', 'main.py');
    git('commit', '-qm', 'links');
    expect(await names()).toEqual(['.gitignore', 'lib/a.py', 'library/a.py', 'main.py', 'train.py']);
    const { git: state, warnings } = await list();
    expect(state?.dirty).toBe(false);
    expect(warnings).toEqual([
      'conf was not packed: it is a link to .env, which git does not list.',
      'data was not packed: it is a link to big, which git does not list.',
    ]);
  });

  it('a repository inside the folder is asked itself', async () => {
    commit({ 'train.py': '' });
    put({ 'third/x/new.py': '' });
    commit({ '.gitignore': '*.log\n', 'inner.py': '' }, join(folder, 'third/x'));
    put({ 'third/x/a.log': '', 'third/x/later.py': '' });
    expect(await names()).toEqual([
      'third/x/.gitignore',
      'third/x/inner.py',
      'third/x/later.py',
      'third/x/new.py',
      'train.py',
    ]);
    expect((await list()).git?.differences).toEqual(['4 not tracked']);
  });
});

describe('the commit is clean only when the archive has exactly its files', () => {
  const state = async (inside = folder) => (await list(inside)).git;

  it('and unknown outside of repositories, before the first commit, and in a folder that git ignores', async () => {
    put({ 'train.py': '' });
    expect(await state()).toBeNull();
    git('init', '-q');
    expect(await state(), 'no commit yet').toBeNull();
    commit({ '.gitignore': 'local/\n' });
    expect((await state())?.dirty).toBe(false);
    put({ 'local/train.py': '', 'local/.gitignore': '*.log\n', 'local/a.log': '' });
    expect(await state(join(folder, 'local'))).toBeNull();
    expect(await names(join(folder, 'local'))).toEqual(['.gitignore', 'train.py']);
  });

  it.each<[string, () => void, string]>([
    ['a changed file', () => put({ 'train.py': '2' }), '1 changed'],
    ['a staged one', () => git('mv', 'train.py', 'fit.py'), '2 changed'],
    ['a deleted one', () => rmSync(join(folder, 'lib.py')), '1 changed, 1 tracked but not packed'],
    ['a new one', () => put({ 'new.py': '' }), '1 not tracked'],
    [
      'one that .runctlignore excludes',
      () => put({ '.git/info/exclude': '.r*\n', '.runctlignore': 'lib.py\n' }),
      '1 tracked but not packed',
    ],
    ['a secret', () => commit({ '.env': 'A=1' }), '1 tracked but not packed'],
    [
      'one that git assumes to be unchanged',
      () => {
        git('update-index', '--assume-unchanged', 'train.py');
        put({ 'train.py': '2' });
      },
      '1 changed',
    ],
    [
      'one outside of a sparse checkout',
      () => {
        git('sparse-checkout', 'set', '--no-cone', '/train.py', '/.gitignore');
      },
      '1 tracked but not packed',
    ],
  ])('%s is a difference', async (_what, change, differences) => {
    commit({ 'train.py': '1', 'lib.py': '', '.gitignore': '' });
    expect(await state()).toMatchObject({ dirty: false });
    change();
    expect(await state()).toMatchObject({ dirty: true, differences: differences.split(', ') });
  });

  it('a file that is assumed to be unchanged, and is, is no difference', async () => {
    commit({ 'sub/train.py': '1\n', 'sub/lib.py': '' });
    git('update-index', '--assume-unchanged', 'sub/train.py');
    expect(await state(join(folder, 'sub'))).toMatchObject({ dirty: false });
  });

  it('changes elsewhere in the repository do not count for a subfolder', async () => {
    commit({ 'sub/train.py': '', 'other/a.py': '' });
    put({ 'other/a.py': '2', 'other/b.py': '' });
    expect(await state(join(folder, 'sub'))).toMatchObject({ dirty: false });
  });

  it('what turns out to be a secret while packing makes the archive dirty', async () => {
    const head = commit({ 'train.py': '', deploy: '-----BEGIN RSA PRIVATE KEY-----\nx\n' });
    const archive = join(work, 'code.tar.gz');
    const packed = await packFiles(folder, await list(), archive);
    expect(packed.git).toEqual({ commit: head, dirty: true, differences: ['1 tracked but not packed'] });
    const tar = execFileSync('gzip', ['-dc', archive]).toString('latin1');
    expect(tar).toContain(`comment=${head}-dirty\n`);
    expect(packed.secrets).toEqual(['deploy']);
  });
});

describe('what git does not bring is named', () => {
  it('a submodule that is not checked out; one that is, is packed', async () => {
    commit({ 's.py': '' }, join(work, 'sub'));
    commit({ 'train.py': '' });
    git('submodule', '--quiet', 'add', join(work, 'sub'), 'vendor/sub');
    git('commit', '-qm', 'submodule');
    const whole = await list();
    expect(whole.files.map(({ name }) => name)).toEqual(['.gitmodules', 'train.py', 'vendor/sub/s.py']);
    expect(whole).toMatchObject({ warnings: [], git: { dirty: false } });
    put({ 'vendor/sub/s.py': '2' });
    expect((await list()).git?.differences).toEqual(['1 changed']);
    const clone = join(work, 'clone');
    gitIn(work, 'clone', '-q', folder, clone);
    const { files, warnings, git: state } = await list(clone);
    expect(files.map(({ name }) => name)).toEqual(['.gitmodules', 'train.py']);
    expect(warnings).toEqual([
      expect.stringMatching(/submodule vendor\/sub is not checked out.* git submodule update --init/),
    ]);
    expect(state?.dirty).toBe(true);
  });

  it('files outside of a sparse checkout', async () => {
    commit({ 'train.py': '', 'a/x.py': '', 'b/y.py': '' });
    git('sparse-checkout', 'set', 'a');
    const { files, warnings } = await list();
    expect(files.map(({ name }) => name)).toEqual(['a/x.py', 'train.py']);
    expect(warnings).toEqual([expect.stringMatching(/^1 tracked file is outside of this sparse checkout/)]);
  });

  it('pointers of Git LFS', async () => {
    const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${'0'.repeat(64)}\nsize 12345\n`;
    commit({ 'train.py': '', 'model.bin': pointer, 'other.bin': `x${pointer}` });
    const { warnings } = await packFiles(folder, await list(), join(work, 'code.tar.gz'));
    expect(warnings).toEqual([expect.stringMatching(/^model\.bin is a pointer of Git LFS.*git lfs pull$/)]);
  });
});

describe('where git cannot be asked', () => {
  const PATH = process.env.PATH ?? '';
  /** A `git` that fails as given. */
  function fakeGit(stderr: string): void {
    const bin = join(work, 'bin');
    put({ git: `#!/bin/sh\necho '${stderr}' >&2\nexit 128\n` }, bin);
    chmodSync(join(bin, 'git'), 0o755);
    vi.stubEnv('PATH', `${bin}:${PATH}`);
  }

  it('because it is not installed, the rules of .gitignore files and info/exclude hold, with a warning', async () => {
    commit({ '.gitignore': '/sub/*.log\n', 'sub/train.py': '', 'sub/forced.log': '' });
    put({ 'sub/x.LOG': '', 'sub/notes.md': '', 'sub/sub/a.log': '', '.git/info/exclude': 'notes.md\n' });
    put({ 'plain/train.py': '' }, work);
    vi.stubEnv('PATH', join(work, 'empty'));
    const { files, warnings, git: state } = await list(join(folder, 'sub'));
    expect(files.map(({ name }) => name)).toEqual(['sub/a.log', 'train.py', 'x.LOG']);
    expect(state).toBeNull();
    expect(warnings).toEqual([expect.stringMatching(/^Git is not installed here, so the run has no commit/)]);
    expect((await list(join(work, 'plain'))).warnings, 'no repository').toEqual([]);
    vi.stubEnv('PATH', PATH);
    fakeGit('xcrun: error: invalid active developer path (/Library/Developer/CommandLineTools)');
    expect((await list()).warnings).toEqual([expect.stringMatching(/^Git is not installed here/)]);
  });

  it('because a work tree has lost its repository', async () => {
    put({ '.git': 'gitdir: /nowhere/worktrees/x\n', 'train.py': '' });
    expect((await list()).warnings).toEqual([expect.stringMatching(/^Git does not find the repository/)]);
  });

  it('because the repository belongs to another user: refused, with the command that trusts it', async () => {
    commit({ 'train.py': '' });
    vi.stubEnv('GIT_TEST_ASSUME_DIFFERENT_OWNER', '1');
    await expect(list()).rejects.toMatchObject({
      message: expect.stringContaining('belongs to another user'),
      next: `If you trust it: git config --global --add safe.directory '${folder}'`,
    });
    gitIn(work, 'config', '--global', '--add', 'safe.directory', folder);
    expect(await names()).toEqual(['train.py']);
  });

  it('because the repository is damaged: refused, with what git says', async () => {
    commit({ 'train.py': '' });
    const config = execFileSync('cat', [join(folder, '.git/config')], { encoding: 'utf8' });
    put({ '.git/config': '[core\n' });
    await expect(list()).rejects.toMatchObject({ message: expect.stringContaining('bad config line 1') });
    put({ '.git/config': config, '.git/index': 'damaged' });
    await expect(list()).rejects.toMatchObject({
      message: expect.stringMatching(/cannot read the repository .*index/),
    });
  });
});
