import { execFileSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { checkScript, readCode } from '../../../cli/archive/code.ts';
import { type ListOptions, listFiles } from '../../../cli/archive/pack-list.ts';
import { ScanCounter } from '../../../cli/archive/scan.ts';
import { Terminal } from '../../../cli/terminal/terminal.ts';
import { outputMatcher } from '../../../core/spec/output-globs.ts';
import type { SpecInput } from '../../../core/spec/spec.ts';

let work: string;
let folder: string;
beforeEach(() => {
  work = realpathSync(mkdtempSync(join(tmpdir(), 'runctl list ')));
  folder = join(work, 'project');
  mkdirSync(folder);
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(work, { recursive: true });
});

function put(files: Readonly<Record<string, string | Buffer>>, top = folder): void {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(top, name)), { recursive: true });
    writeFileSync(join(top, name), text);
  }
}
/** Files that have a size and take no space. */
function putSizes(sizes: Readonly<Record<string, number>>): void {
  for (const [name, bytes] of Object.entries(sizes)) {
    put({ [name]: '' });
    truncateSync(join(folder, name), bytes);
  }
}
const names = async (options: ListOptions = {}) => (await listFiles(folder, options)).files.map(({ name }) => name);
/** What `run` shows of a folder before it packs. */
async function shown(spec: SpecInput = {}): Promise<string[]> {
  const out = new PassThrough();
  const terminal = new Terminal({ out, err: out, in: process.stdin, env: {} } as never);
  await readCode(folder, { includeSecrets: false, spec }, terminal);
  return String(out.read()).trimEnd().split('\n').slice(1);
}
/** A manifest as `runctl pull` writes it. */
const manifestOf = (changes: object) => ({
  ...(JSON.parse(
    readFileSync(new URL('../../support/fixtures/manifest-0.1.0.json', import.meta.url), 'utf8'),
  ) as object),
  ...changes,
});
const MB = 1024 * 1024;

describe('outside of git', () => {
  it('ignore files distinguish upper and lower case, as the file system does', async () => {
    put({ '.gitignore': 'MANIFEST\nModels/\n*.LOG\n', '.runctlignore': 'Notes.md\n' });
    put({ 'manifest/a.py': '', 'models/b.py': '', 'keep.log': '', 'notes.md': '', 'Models/c.py': '', 'x.LOG': '' });
    expect(await names()).toEqual([
      '.gitignore',
      '.runctlignore',
      'keep.log',
      'manifest/a.py',
      'models/b.py',
      'notes.md',
    ]);
  });

  it('ignore files are read with a byte order mark, and in UTF-16', async () => {
    put({ '.gitignore': '\ufeffa.txt\r\nb.txt\r\n', '.runctlignore': Buffer.from('\ufeffc.txt\r\n', 'utf16le') });
    put({ 'a.txt': '', 'b.txt': '', 'c.txt': '', 'train.py': '' });
    expect(await names()).toEqual(['.gitignore', '.runctlignore', 'train.py']);
  });

  it('.runctlignore decides after the .gitignore files of all folders', async () => {
    put({ 'sub/.gitignore': '*.csv\n', '.runctlignore': '!keep.csv\n', 'sub/keep.csv': '', 'sub/x.csv': '' });
    put({
      '.gitignore': '/data/\n/env/\n',
      'data/keep.csv': '',
      'data/x.csv': '',
      'env/pyvenv.cfg': '',
      'env/keep.csv': '',
    });
    expect(await names()).toEqual(['.gitignore', '.runctlignore', 'data/keep.csv', 'sub/.gitignore', 'sub/keep.csv']);
  });

  it('a link to a secret is a secret; an ignored link is not followed', async () => {
    put({ 'train.py': '', '.env': 'A=1', '.gitignore': 'gone\n', '.runctlignore': 'dataset/\n' });
    put({ 'a.bin': '' }, join(work, 'dataset'));
    symlinkSync('.env', join(folder, 'settings'));
    symlinkSync('nowhere', join(folder, 'gone'));
    symlinkSync('../dataset', join(folder, 'dataset'));
    expect(await listFiles(folder)).toMatchObject({ secrets: ['.env', 'settings'], warnings: [] });
  });
});

describe('the results of runs are not packed', () => {
  it('neither what matches outputs', async () => {
    put({ 'train.py': '', 'outputs/model.pt': '', 'outputs/a/b.json': '', 'results/x.csv': '', 'results/x.py': '' });
    expect(await shown()).toEqual(['Not packed, as results of a run (key outputs): 2 files (outputs/).']);
    expect(await names({ isOutput: outputMatcher(['results/*.{csv,json}', 'outputs/[a-c]']) })).toEqual([
      'outputs/model.pt',
      'results/x.py',
      'train.py',
    ]);
    expect(await names({ isOutput: outputMatcher(['**', '*', '**/*', '/']) }), 'patterns for everything').toHaveLength(
      5,
    );
  });

  it('nor what a pull wrote, wherever: other files beside it are', async () => {
    const outputs = { archive: null, count: 1, files: [{ path: 'model/x.pt', bytes: 0, sha256: '0'.repeat(64) }] };
    const manifest = JSON.stringify(manifestOf({ outputs }));
    const pulled = { 'manifest.json': manifest, 'train.log': '', 'model/x.pt': '', 'analysis.py': '' };
    put({ 'train.py': '', 'web/manifest.json': '{"name": "app"}' });
    put(pulled, join(folder, 'best run'));
    put(pulled);
    expect(await names()).toEqual(['analysis.py', 'best run/analysis.py', 'train.py', 'web/manifest.json']);
    const cut = JSON.stringify(manifestOf({ outputs: { ...outputs, count: 6_000 } }));
    put({ 'cut/manifest.json': cut, 'cut/unlisted.bin': '' });
    put({ 'runctl-runs/a/x': '', 'elsewhere/.pulling/outputs.tar.gz': '' });
    expect(await names()).toEqual(['analysis.py', 'best run/analysis.py', 'train.py', 'web/manifest.json']);
    expect(await shown()).toEqual([
      expect.stringMatching(
        /^Not packed, written by `runctl pull`: 8 files \(best run\/, cut\/, manifest\.json, …\)\.$/,
      ),
    ]);
  });

  it('a script among the outputs is named as such', async () => {
    put({ 'outputs/fit.py': '', 'lib.py': '' });
    const code = await readCode(folder, { includeSecrets: false });
    expect(() => checkScript(code, { script: 'outputs/fit.py' }, 'runctl.yaml')).toThrow(
      expect.objectContaining({ next: expect.stringContaining('matches the key outputs') }),
    );
  });

  it('records of experiment trackers are packed, with a warning', async () => {
    put({ 'train.py': '', 'exp/wandb/run-1/files/a': 'xx', 'exp/wandb/latest': '', 'mlruns/0/meta.yaml': '' });
    expect(await names()).toHaveLength(4);
    expect(await shown()).toEqual([
      expect.stringMatching(
        /^warning: exp\/wandb\/ \(2 files, 2 B\) is packed.* add exp\/wandb\/ to \.runctlignore\.$/,
      ),
      expect.stringMatching(/^warning: mlruns\/ \(1 file, /),
    ]);
  });
});

describe('the size of a folder', () => {
  it('is a warning from 100 MiB in all on, with the largest folders', async () => {
    putSizes({ 'train.py': 10, 'assets/data/a.bin': 25 * MB, 'assets/data/b.bin': 25 * MB, 'big.bin': 30 * MB });
    expect(await shown()).toEqual([]);
    putSizes({ 'assets/data/c/c.bin': 25 * MB, 'assets/readme': 1 });
    expect(await shown()).toEqual([
      'warning: 6 files with 105.0 MiB are uploaded whenever one of them changes. Largest: assets/data/ (3 files, 75.0 MiB), big.bin (30.0 MiB), train.py (10 B). Keep data in S3 or on the instance, and list it in .runctlignore.',
    ]);
  });

  it('over the default caps is named with them', async () => {
    putSizes({ 'train.py': 1, 'data/x.bin': 3 * 1024 * MB });
    expect(await shown()).toEqual([
      expect.stringMatching(
        /^warning: 2 files with 3.0 GiB exceed what a run accepts.*\(20000 files, 2.0 GiB\)\. Largest: data\/x\.bin/,
      ),
    ]);
  });

  it.each<[string, object, RegExp]>([
    [
      'names',
      { names: 20, bytes: 1e9 },
      /stopped after 32 files and folders, .*, at data: a run accepts 20,000 files and 2\.0 GiB by default/,
    ],
    ['bytes', { names: 1e9, bytes: 5 * MB }, /stopped after 32 files and folders, 6\.0 MiB, at data\/\d+:/],
  ])('far over them ends the scan, which shows its counts: %s', async (_what, caps, message) => {
    putSizes({ ...Object.fromEntries(Array.from({ length: 30 }, (_, n) => [`data/${n}`, MB])), 'train.py': 1 });
    const progress: string[] = [];
    const scan = new ScanCounter(folder, { caps: caps as never, onProgress: (text) => progress.push(text) });
    await expect(listFiles(folder, { scan })).rejects.toMatchObject({ message: expect.stringMatching(message) });
    expect(progress[0]).toMatch(/^2 files and folders, 0 B$/);
  });

  describe('in a git work tree', () => {
    const many = (at: string, name = (n: number) => String(n)) =>
      Object.fromEntries(Array.from({ length: 30 }, (_, n) => [`${at}/${name(n)}`, '']));
    const list = async () => {
      const scan = new ScanCounter(folder, { caps: { names: 20, bytes: 1e9 } });
      return (await listFiles(folder, { scan })).files.map(({ name }) => name);
    };
    const git = (...args: string[]) =>
      execFileSync('git', ['-c', 'user.name=a', '-c', 'user.email=a@b', ...args], { cwd: folder });
    beforeEach(() => {
      git('init', '-q');
      put({ 'train.py': '' });
    });

    it('far over the caps ends the listing of git', async () => {
      put(many('data'));
      await expect(list()).rejects.toThrow(/stopped after 21 files and folders, 0 B: a run/);
    });

    it('what is left out anyway does not count', async () => {
      put({
        ...many('data'),
        ...many('deep/node_modules/x'),
        ...many('env/lib'),
        'env/pyvenv.cfg': '',
        ...many('tracked'),
      });
      git('add', '--force', 'tracked');
      put({ '.runctlignore': 'data/\n/tracked\n' });
      expect(await list()).toEqual(['.runctlignore', 'train.py']);
    });

    it('what git ignores counts only where a rule with ! includes it', async () => {
      put({
        '.gitignore': 'data/\nruns/\n',
        ...many('data'),
        ...many('runs/a', (n) => `${n}.log`),
        'runs/a/keep.txt': '',
      });
      put({ '.runctlignore': '!keep.txt\n' });
      expect(await list()).toEqual(['.gitignore', '.runctlignore', 'runs/a/keep.txt', 'train.py']);
      put({ 'sub/.runctlignore': '!x.log\n', 'sub/x.log': '', '.gitignore': 'data/\nruns/\n*.log\n' });
      expect(await list()).toContain('sub/x.log');
      put({ '.runctlignore': '!runs/\n' });
      await expect(list()).rejects.toThrow(/stopped after 21 files/);
    });

    it('nothing but ignored files is nothing to pack', async () => {
      put({ '.git/info/exclude': '*\n' });
      await expect(list()).rejects.toThrow('it has no file that git does not ignore');
    });
  });

  it.each<[string, () => string]>([
    ['the root of the file system', () => '/'],
    ['your home folder', () => folder],
    ['a folder that contains your home folder', () => work],
  ])('is not asked of %s', async (what, place) => {
    put({ 'train.py': '' });
    vi.stubEnv('HOME', folder);
    await expect(listFiles(place())).rejects.toMatchObject({
      message: `${place()} is ${what}, and runctl packs the whole folder that it runs in.`,
    });
  });
});

describe('include', () => {
  const include = async (...paths: string[]) =>
    (await readCode(folder, { includeSecrets: false, spec: { include: paths } })).listing;
  const packed = async (...paths: string[]) => (await include(...paths)).files.map(({ name }) => name);

  it('packs folders and files beside the project, under their own names, with their own ignore files', async () => {
    put({ 'train.py': '', 'z.py': '' });
    put(
      {
        'common/outputs/x': '',
        'common/a.py': '',
        'common/.gitignore': '*.log\n',
        'common/x.log': '',
        'common/.env': 'A=1',
      },
      work,
    );
    put({ 'deep/shared.py': '', 'deep/other.py': '' }, work);
    expect(await packed('../common', '../deep/shared.py')).toEqual([
      'common/.gitignore',
      'common/a.py',
      'common/outputs/x',
      'shared.py',
      'train.py',
      'z.py',
    ]);
    expect((await include('../common')).secrets).toEqual(['common/.env']);
  });

  it('is part of the commit when it is of the same repository', async () => {
    const git = (...args: string[]) =>
      execFileSync('git', ['-c', 'user.name=a', '-c', 'user.email=a@b', ...args], { cwd: work });
    put({ 'project/train.py': '', 'common/a.py': '', 'one.py': '' }, work);
    put({ 'a.py': '' }, join(work, 'foreign'));
    git('init', '-q');
    git('add', 'project', 'common', 'one.py');
    git('commit', '-qm', 'x');
    expect((await include('../common', '../one.py')).git).toMatchObject({ dirty: false });
    put({ 'common/a.py': '2', 'one.py': '2', 'common/new.py': '' }, work);
    expect((await include('../common', '../one.py')).git?.differences).toEqual([
      '../common: 1 changed',
      '../common: 1 not tracked',
      '../one.py: 1 changed',
    ]);
    execFileSync('git', ['init', '-q'], { cwd: join(work, 'foreign') });
    expect((await include('../foreign')).git?.differences).toEqual(['../foreign: not part of this commit']);
  });

  it.each<[string, RegExp]>([
    ['../nowhere', /include: \.\.\/nowhere does not exist/],
    ['sub', /include: sub is inside the project/],
    ['.', /include: \. is inside the project/],
    ['..', /include: \.\. contains the project itself/],
    ['../lib', /include: \.\.\/lib is packed as lib, and lib\/b\.py is already in the archive/],
  ])('of %s is refused', async (path, message) => {
    put({ 'train.py': '', 'sub/a.py': '', 'lib/b.py': '' });
    put({ 'lib/a.py': '' }, work);
    await expect(include(path)).rejects.toThrow(message);
  });
});
