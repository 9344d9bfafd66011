import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream, existsSync } from 'node:fs';
import {
  chmod,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  realpath,
  rm,
  symlink,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { packFiles, packFolder } from '../../../cli/archive/pack.ts';
import { PackError } from '../../../cli/archive/pack-error.ts';
import { listFiles } from '../../../cli/archive/pack-list.ts';
import { DEFAULT_CAPS, verifyArchive } from '../../../core/archive/verify.ts';

describe('packing a project', () => {
  let work: string;
  let project: string;
  let archive: string;
  beforeEach(async () => {
    work = await realpath(await mkdtemp(join(tmpdir(), 'runctl pack ')));
    project = join(work, 'my project');
    archive = join(work, 'code.tar.gz');
    await mkdir(project);
  });
  afterEach(() => rm(work, { recursive: true, force: true }));

  async function put(files: Readonly<Record<string, string>>, top = project): Promise<void> {
    for (const [name, text] of Object.entries(files)) {
      await mkdir(dirname(join(top, name)), { recursive: true });
      await writeFile(join(top, name), text);
    }
  }
  const names = async () => (await packFolder(project, archive)).files.map((file) => file.name);
  const sha256 = async () =>
    createHash('sha256')
      .update(await readFile(archive))
      .digest('hex');
  const tar = (...args: string[]) => execFileSync('tar', [...args, archive], { encoding: 'utf8' });

  it('gives the same bytes for the same tree, whenever it was written and in whatever order', async () => {
    const files = {
      'train.py': 'print(1)\n',
      'a/b.py': '',
      'Z.md': 'z',
      'a-b.txt': '-',
      [`${'d'.repeat(90)}/é.py`]: 'é',
    };
    await put(files);
    await chmod(join(project, 'train.py'), 0o755);
    await packFolder(project, archive);
    const first = await sha256();
    const copy = join(work, 'copy');
    await put(Object.fromEntries(Object.entries(files).reverse()), copy);
    await chmod(join(copy, 'train.py'), 0o711);
    await chmod(join(copy, 'Z.md'), 0o600);
    await utimes(join(copy, 'Z.md'), 1, 1);
    await packFolder(copy, archive);
    expect(await sha256()).toBe(first);
    // No time and no machine in gzip's header either.
    expect((await readFile(archive)).subarray(0, 10).toString('hex')).toMatch(/^1f8b080000000000..03$/);
  });

  it('is accepted by Verify archive and read by tar, with plain modes and nobody as the owner', async () => {
    await put({ 'train.py': 'print(1)\n', 'run.sh': '#!/bin/sh\n', 'data/x.bin': 'x'.repeat(5_000) });
    await chmod(join(project, 'run.sh'), 0o4777);
    const packed = await packFolder(project, archive);
    expect(packed).toMatchObject({
      files: [
        { name: 'data/x.bin', bytes: 5_000 },
        { name: 'run.sh', bytes: 10 },
        { name: 'train.py', bytes: 9 },
      ],
      bytes: 5_019,
      archiveBytes: (await readFile(archive)).length,
      warnings: [],
    });
    const body = createReadStream(archive);
    const report = await verifyArchive(body, { caps: DEFAULT_CAPS, capture: { names: [], maxBytes: 0 } });
    expect(report.files.map((file) => file.name)).toEqual(['data/x.bin', 'run.sh', 'train.py']);
    const listed = tar('--numeric-owner', '-tvzf').trim().split('\n');
    expect(listed[0]).toMatch(/^-rw-r--r-- 0\/0 +5000 1980-01-01/);
    expect(listed[1]).toMatch(/^-rwxr-xr-x 0\/0/);
  });

  it('carries every byte: of files read whole, of streamed ones, of empty ones', async () => {
    await put({ 'empty.py': '', 'small.txt': 'é\n' });
    const big = Buffer.alloc(3 * 1024 * 1024 + 7, 'abcdefg');
    await writeFile(join(project, 'big.bin'), big);
    await packFolder(project, archive);
    const out = join(work, 'out');
    await mkdir(out);
    execFileSync('tar', ['xzf', archive, '-C', out]);
    expect((await readFile(join(out, 'big.bin'))).equals(big)).toBe(true);
    expect(await readFile(join(out, 'small.txt'), 'utf8')).toBe('é\n');
    expect((await readdir(out)).sort()).toEqual(['big.bin', 'empty.py', 'small.txt']);
  });

  describe('chooses files', () => {
    it('by .gitignore and .runctlignore, in the folder and below it, the innermost deciding', async () => {
      await put({
        '.gitignore': '*.log\n/data/\nweights/*\n!weights/keep.pt\n',
        '.runctlignore': '!important.log\nnotes.md\n',
        'sub/.gitignore': '!sub.log\nlocal.py\n',
        ...Object.fromEntries(
          'train.py x.log important.log notes.md data/a.csv sub/data/b.csv sub/sub.log sub/other.log sub/local.py local.py'
            .concat(' weights/big.pt weights/keep.pt')
            .split(' ')
            .map((name) => [name, '']),
        ),
      });
      expect(await names()).toEqual([
        '.gitignore',
        '.runctlignore',
        'important.log',
        'local.py',
        'sub/.gitignore',
        'sub/data/b.csv',
        'sub/sub.log',
        'train.py',
        'weights/keep.pt',
      ]);
    });

    it('never from .git, environments, caches and packages, even when an ignore file brings them back', async () => {
      const absent = [
        '.git/config',
        '.venv/pyvenv.cfg',
        '.venv/bin/python',
        'tools/venv/pyvenv.cfg',
        'tools/venv/x.py',
      ];
      absent.push('pkg/__pycache__/a.pyc', 'web/node_modules/a.js', '.runctl/state.json');
      await put({
        ...Object.fromEntries(absent.map((name) => [name, ''])),
        '.gitignore': '!*\n',
        'train.py': '',
        'venv/notes.py': '',
      });
      expect(await names()).toEqual(['.gitignore', 'train.py', 'venv/notes.py']);
    });

    it('follows links inside the project, and leaves out others with a warning', async () => {
      await put({ 'train.py': 'print(1)\n', 'lib/a.py': 'a', '.git/hooks': 'secret' });
      await writeFile(join(work, 'outside.py'), 'secret');
      const links = {
        'main.py': 'train.py',
        library: 'lib',
        'lib/up': '..',
        'lib/self': '.',
        history: '.git',
        hook: '.git/hooks',
        'gone.py': 'nowhere',
        'round.py': 'round.py',
        'out.py': '../outside.py',
        top: project,
      };
      for (const [name, target] of Object.entries(links)) await symlink(target, join(project, name));
      execFileSync('mkfifo', [join(project, 'pipe')]);
      const { files, warnings } = await packFolder(project, archive);
      expect(files.map((file) => file.name)).toEqual(['lib/a.py', 'library/a.py', 'main.py', 'train.py']);
      expect(tar('-xOf')).not.toContain('secret');
      const left = warnings.map((warning) => warning.split(' was not packed')[0]).sort();
      expect(left.shift(), 'there is a .git, but no repository').toMatch(/^Git does not find the repository/);
      const expected = ['gone.py', 'history', 'hook', 'lib/self', 'lib/up', 'library/self', 'library/up'];
      expect(left).toEqual([...expected, 'out.py', 'pipe', 'round.py', 'top']);
    });
  });

  describe('leaves out', () => {
    it('secrets, by their names and by what they hold, unless told', async () => {
      const key = '-----BEGIN RSA PRIVATE KEY-----\nx\n';
      await put({ 'train.py': '', '.env': 'A=1', 'conf/deploy': key });
      const packed = await packFolder(project, archive);
      expect(packed.files.map((file) => file.name)).toEqual(['train.py']);
      expect([...packed.secrets].sort()).toEqual(['.env', 'conf/deploy']);
      const all = await packFolder(project, archive, { includeSecrets: true });
      expect(all.files.map((file) => file.name)).toEqual(['.env', 'conf/deploy', 'train.py']);
      expect(all.secrets).toEqual([]);
    });

    it('files that go while it looks, small and large ones, with a warning', async () => {
      await put({ 'train.py': '', 'gone.py': '' });
      await writeFile(join(project, 'big.bin'), Buffer.alloc(2 * 1024 * 1024));
      const listing = await listFiles(project);
      await rm(join(project, 'gone.py'));
      await rm(join(project, 'big.bin'));
      const packed = await packFiles(project, listing, archive);
      expect(packed.files.map((file) => file.name)).toEqual(['train.py']);
      expect(packed.warnings).toEqual([
        'big.bin was not packed: it is no longer there.',
        'gone.py was not packed: it is no longer there.',
      ]);
      await rm(join(project, 'train.py'));
      await expect(packFiles(project, listing, archive)).rejects.toThrow('nothing to pack');
      expect(existsSync(archive)).toBe(false);
    });
  });

  it('notes the commit as git archive does, marked when the tree is dirty', async () => {
    await put({ 'train.py': 'print(1)\n' });
    const commit = '0123456789abcdef0123456789abcdef01234567';
    const read = async (dirty: boolean) => {
      await packFiles(project, { ...(await listFiles(project)), git: { commit, dirty, differences: [] } }, archive);
      const body = createReadStream(archive);
      return (await verifyArchive(body, { caps: DEFAULT_CAPS, capture: { names: [], maxBytes: 0 } })).git;
    };
    expect(await read(true)).toEqual({ commit, dirty: true });
    expect(await read(false)).toEqual({ commit, dirty: false });
    const plain = execFileSync('gzip', ['-dc', archive]);
    expect(execFileSync('git', ['get-tar-commit-id'], { input: plain, encoding: 'utf8' })).toBe(`${commit}\n`);
    expect(tar('-tf')).toBe('train.py\n');
  });

  describe('refuses', () => {
    async function refusal(folder = project): Promise<PackError> {
      const error = await packFolder(folder, archive).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(PackError);
      expect(existsSync(archive), 'no archive is left').toBe(false);
      return error as PackError;
    }

    it('a folder with nothing to pack, and says that the ignore files did it', async () => {
      expect((await refusal()).message).toContain('nothing to pack');
      await put({ '.gitignore': '*\n', 'train.py': '' });
      expect((await refusal()).message).toMatch(/ignore files exclude all 2 entries/);
    });

    it('what is no folder', async () => {
      expect((await refusal(join(project, 'no'))).message).toContain('does not exist');
      await put({ 'train.py': '' });
      expect((await refusal(join(project, 'train.py'))).message).toContain('is a file');
    });

    it('a name that is not UTF-8, rather than leaving the file out', async () => {
      await put({ 'train.py': '' });
      await writeFile(Buffer.concat([Buffer.from(`${project}/a`), Buffer.from([0xff]), Buffer.from('.py')]), '');
      expect((await refusal()).message).toContain('is not UTF-8');
    });

    it('a large file that shrinks while it is packed', async () => {
      await put({ 'a.py': '' });
      const big = join(project, 'big.bin');
      await writeFile(big, Buffer.alloc(64 * 1024 * 1024));
      const packing = refusal();
      while (!existsSync(archive)) await new Promise((resolve) => setImmediate(resolve)); // ends with the test's time-out
      await truncate(big, 10);
      expect((await packing).message).toContain('big.bin changed');
    });
  });
});
