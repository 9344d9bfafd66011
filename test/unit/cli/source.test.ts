import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { listFiles } from '../../../cli/archive/pack-list.ts';
import { findSource, normalizeRemote } from '../../../cli/archive/source.ts';

let work: string;
let folder: string;
beforeEach(() => {
  work = realpathSync(mkdtempSync(join(tmpdir(), 'runctl-source-')));
  folder = join(work, 'nets');
  mkdirSync(join(folder, 'sub'), { recursive: true });
  writeFileSync(join(folder, 'train.py'), '');
  writeFileSync(join(folder, 'sub', 'train.py'), '');
});
afterEach(() => rmSync(work, { recursive: true, force: true }));

const git = (...args: string[]) => execFileSync('git', args, { cwd: folder });
const sourceOf = async (path = folder) => findSource(path, await listFiles(path));

describe('the source of an archive', () => {
  it('is the remote of the repository, and the path in it', async () => {
    git('init', '-q');
    git('remote', 'add', 'fork', 'git@github.com:me/nets.git');
    expect(await sourceOf()).toEqual({ id: 'github.com/me/nets', label: 'github.com/me/nets' });
    git('remote', 'add', 'origin', 'https://user:secret@GitHub.com/team/nets');
    expect((await sourceOf())?.id).toBe('github.com/team/nets');
    expect((await sourceOf(join(folder, 'sub')))?.id).toBe('github.com/team/nets, folder sub');
  });

  it.each(['no repository', 'a repository without a remote', 'several remotes, none of them origin'])(
    'is an id that stays in the folder: %s',
    async (kind) => {
      if (kind !== 'no repository') git('init', '-q');
      if (kind.startsWith('several')) for (const name of ['a', 'b']) git('remote', 'add', name, `https://x/${name}`);
      const source = await sourceOf();
      expect(source?.id).toMatch(/^[0-9a-f]{16}$/);
      expect(source?.label).toBe(`folder nets (id ${source?.id.slice(0, 8)})`);
      expect(await sourceOf()).toEqual(source);
      expect((await sourceOf(join(folder, 'sub')))?.id).not.toBe(source?.id);
      expect(readFileSync(join(folder, '.runctl/.gitignore'), 'utf8')).toBe('*\n');
    },
  );

  it('is a new id when the kept one is damaged, and none where it cannot be kept', async () => {
    const first = await sourceOf();
    writeFileSync(join(folder, '.runctl/source.json'), '{"id": "x"}');
    const second = await sourceOf();
    expect(second?.id).toMatch(/^[0-9a-f]{16}$/);
    expect(second).not.toEqual(first);
    rmSync(join(folder, '.runctl'), { recursive: true });
    writeFileSync(join(folder, '.runctl'), 'a file');
    expect(await sourceOf()).toBe(null);
  });

  it.each([
    ['https://github.com/me/nets.git', 'github.com/me/nets'],
    ['https://user:token@github.com:443/me/nets/', 'github.com/me/nets'],
    ['ssh://git@GitHub.com:22/me/nets.git', 'github.com/me/nets'],
    ['git@github.com:me/nets.git', 'github.com/me/nets'],
    ['github.com:me/nets', 'github.com/me/nets'],
    ['codecommit::eu-central-1://nets', 'codecommit::eu-central-1://nets'],
    ['file:///srv/git/nets.git', 'srv/git/nets'],
    ['/srv/git/nets.git', '/srv/git/nets'],
    ['../nets', '../nets'],
    ['', null],
  ])('of %s is %s', (url, name) => {
    expect(normalizeRemote(url)).toBe(name);
  });
});
