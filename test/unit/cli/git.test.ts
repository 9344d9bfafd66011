import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { readGit } from '../../../cli/archive/git.ts';
import { listFiles } from '../../../cli/archive/pack-list.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'runctl git '));
});
afterEach(() => rmSync(folder, { recursive: true }));

const write = (name: string, text: string) => writeFileSync(join(folder, name), text);
const git = (...args: string[]) =>
  execFileSync('git', ['-c', 'user.name=a', '-c', 'user.email=a@b', ...args], { cwd: folder, encoding: 'utf8' }).trim();
const state = async (inside = folder) => readGit(inside, (await listFiles(inside)).files);

it('the commit of a folder is known, and whether what would be packed is as it has it', async () => {
  write('train.py', '1');
  expect(await state()).toBeNull();
  git('init', '-q');
  expect(await state(), 'no commit yet').toBeNull();
  write('.gitignore', '*.log\nlocal\n');
  symlinkSync('train.py', join(folder, 'main.py'));
  git('add', '.');
  git('commit', '-qm', 'one');
  const commit = git('rev-parse', 'HEAD');
  write('x.log', 'ignored by git, so not packed either');
  expect(await state()).toEqual({ commit, dirty: false });
  write('new.py', 'nobody has committed it');
  expect((await state())?.dirty).toBe(true);
  git('add', 'new.py');
  git('commit', '-qm', 'two');
  expect((await state())?.dirty).toBe(false);
  write('.runctlignore', '!x.log\n');
  git('add', '.runctlignore');
  git('commit', '-qm', 'three');
  expect((await state())?.dirty, 'packed, though git ignores it').toBe(true);
  write('train.py', '2');
  expect((await state())?.dirty).toBe(true);
  mkdirSync(join(folder, 'local'));
  write('local/train.py', 'of no repository');
  expect(await state(join(folder, 'local'))).toBeNull();
});
