import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type StatePaths, statePaths } from '../../local/paths.ts';
import { search } from '../../local/python.ts';
import { ensureVenv } from '../../local/python-tools.ts';

describe('a pinned Python environment', () => {
  let folder: string;
  let paths: StatePaths;
  let requirements: string;
  let said: string[];
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'runctl venv '));
    paths = { ...statePaths(folder), venvs: join(folder, 'venvs'), cache: join(folder, 'cache') };
    requirements = join(folder, 'requirements.txt');
    await writeFile(requirements, '# nothing, which needs no network\n');
    said = [];
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  const ensure = () => ensureVenv('some', requirements, (line) => said.push(line), paths);
  const timesMade = () => said.filter((line) => line.startsWith('making')).length;

  it('is made once, though two ask at the same time', async () => {
    const [first, second] = await Promise.all([ensure(), ensure()]);
    expect(first).toBe(second);
    expect(timesMade()).toBe(1);
    expect(said.some((line) => line.includes('waiting'))).toBe(true);
    await stat(join(first, 'bin', 'python'));
    await ensure();
    expect(timesMade()).toBe(1);
  });

  it('is made again when the requirements change, and when it is damaged', async () => {
    const venv = await ensure();
    await writeFile(requirements, '# something else\n');
    await ensure();
    expect(timesMade()).toBe(2);
    await rm(join(venv, 'bin', 'python'));
    await ensure();
    expect(timesMade()).toBe(3);
  });

  it('that cannot be made says what pip said, and is not taken for ready', async () => {
    await writeFile(requirements, './not-there\n');
    await expect(ensure()).rejects.toThrow(/not-there/);
    await expect(ensure()).rejects.toThrow(/not-there/);
    expect(timesMade()).toBe(2);
  });

  it('is not left half made by an interruption', async () => {
    const controller = new AbortController();
    const report = () => controller.abort();
    await expect(ensureVenv('some', requirements, report, paths, controller.signal)).rejects.toThrow();
    await expect(readFile(join(paths.venvs, 'some', 'runctl-stamp'))).rejects.toThrow();
    await ensure();
    expect(timesMade()).toBe(1);
  });

  it('needs a Python that is new enough, and says how to get one', async () => {
    await expect(search(['/not/there'])).rejects.toMatchObject({
      message: expect.stringContaining('No Python 3.10'),
      next: expect.stringContaining('apt-get install python3 python3-venv'),
    });
  });
});
