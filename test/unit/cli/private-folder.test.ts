import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { withTemporary } from '../../../cli/project/private-folder.ts';

let project: string;
beforeEach(() => {
  project = mkdtempSync(join(tmpdir(), 'runctl-private-'));
});
afterEach(() => rmSync(project, { recursive: true }));

describe('a temporary folder', () => {
  it('is in the private folder, which git ignores, and removed also after an error', async () => {
    let made = '';
    const failing = withTemporary(project, (temporary) => {
      made = temporary;
      writeFileSync(join(temporary, 'file'), '');
      return Promise.reject(new Error('stop'));
    });
    await expect(failing).rejects.toThrow('stop');
    expect(dirname(made)).toBe(join(project, '.runctl'));
    expect(readdirSync(join(project, '.runctl'))).toEqual(['.gitignore']);
    expect(readFileSync(join(project, '.runctl/.gitignore'), 'utf8')).toBe('*\n');
  });

  it('is where temporary files are when the project cannot have one', async () => {
    writeFileSync(join(project, '.runctl'), 'a file');
    const made = await withTemporary(project, (temporary) => Promise.resolve(temporary));
    expect(dirname(made)).toBe(tmpdir());
    expect(existsSync(made)).toBe(false);
  });

  it('of a command that was killed a day ago is removed, one of a command that runs is not', async () => {
    const old = join(project, '.runctl', 'tmp-killed');
    const running = join(project, '.runctl', 'tmp-running');
    for (const folder of [old, running]) mkdirSync(folder, { recursive: true });
    const then = Date.now() / 1_000 - 25 * 3_600;
    utimesSync(old, then, then);
    await withTemporary(project, () => Promise.resolve());
    expect([existsSync(old), existsSync(running)]).toEqual([false, true]);
  });
});
