import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { addIncluded } from '../../../cli/archive/include.ts';
import { packFiles, packFolder } from '../../../cli/archive/pack.ts';
import { listFiles } from '../../../cli/archive/pack-list.ts';

let work: string;
let project: string;
let archive: string;
beforeEach(() => {
  work = realpathSync(mkdtempSync(join(tmpdir(), 'runctl left out ')));
  project = join(work, 'project');
  archive = join(work, 'code.tar.gz');
});
afterEach(() => rmSync(work, { recursive: true, force: true }));

function put(...names: string[]): void {
  for (const name of names) {
    mkdirSync(dirname(join(project, name)), { recursive: true });
    writeFileSync(join(project, name), name);
  }
}
const ignore = (text: string) => writeFileSync(join(project, '.runctlignore'), text);
const leftOut = async () => (await packFolder(project, archive)).leftOut;

describe('what an archive leaves out', () => {
  it('is files and whole folders that exist, ignored in any way', async () => {
    put('train.py', 'lib/a.py', 'lib/notes.txt', 'data/a.csv', 'data/deep/b.csv', 'lib/cache/x', '.env', 'é/x.txt');
    put('__pycache__/a.pyc', 'lib/__pycache__/b.pyc', 'node_modules/x/y.js', '.runctl/x', 'venv/pyvenv.cfg');
    ignore('data/\n*.txt\ncache/\n');
    expect(await leftOut()).toEqual(['.env', 'data/', 'lib/cache/', 'lib/notes.txt', 'venv/', 'é/']);
  });

  it('is found in git work trees, where git does not list ignored files', async () => {
    put('train.py', 'data/a.csv', 'data/deep/b.csv', 'big/x', 'deleted.py');
    writeFileSync(join(project, '.gitignore'), 'data/\n');
    ignore('big/\n');
    const git = (...args: string[]) =>
      execFileSync('git', ['-c', 'user.name=a', '-c', 'user.email=a@b', ...args], { cwd: project });
    git('init', '-q');
    git('add', '-A');
    git('commit', '-qm', 'x');
    rmSync(join(project, 'deleted.py'));
    expect(await leftOut()).toEqual(['big/', 'data/']);
    const header = gunzipSync(readFileSync(archive))
      .subarray(0, 4 * 512)
      .toString('latin1');
    expect(header).toMatch(
      /^pax_global_header[\s\S]* comment=[0-9a-f]{40}-dirty\n[\s\S]* comment=runctl note \{"leftOut":/,
    );
    expect(execFileSync('tar', ['tzf', archive], { encoding: 'utf8' })).toContain('train.py');
  });

  it('has links as files and as folders, and files that look like secrets by their content', async () => {
    put('train.py', 'key.txt');
    writeFileSync(join(project, 'key.txt'), '-----BEGIN OPENSSH PRIVATE KEY-----\nx\n');
    mkdirSync(join(work, 'disk'));
    symlinkSync(join(work, 'disk'), join(project, 'data'));
    expect(await leftOut()).toEqual(['data', 'data/', 'key.txt']);
  });

  it('names a folder with many entries as a whole, and everything where the list would be too long', async () => {
    put('train.py', 'logs/keep.py', ...Array.from({ length: 201 }, (_, n) => `logs/${n}.log`));
    put(...Array.from({ length: 200 }, (_, n) => `few/${n}.log`), 'few/keep.py');
    ignore('*.log\n');
    const names = await leftOut();
    expect(names.filter((name) => !name.startsWith('few/'))).toEqual(['logs/']);
    expect(names).toHaveLength(201);
    const long = (folder: number) => Array.from({ length: 150 }, (_, n) => `p${folder}/${'x'.repeat(200)}${n}.log`);
    put(...[1, 2, 3].flatMap(long), 'p1/a.py', 'p2/a.py', 'p3/a.py');
    expect(await leftOut()).toEqual(['few/', 'logs/', 'p1/', 'p2/', 'p3/']);
  });

  it('covers included folders under their names in the archive', async () => {
    put('train.py', '../common/util.py', '../common/data/x.csv');
    writeFileSync(join(work, 'common', '.runctlignore'), 'data/\n');
    const listing = await addIncluded(project, await listFiles(project), ['../common'], {});
    expect((await packFiles(project, listing, archive)).leftOut).toEqual(['common/data/']);
  });
});
