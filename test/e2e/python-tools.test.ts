import { access, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type StatePaths, statePaths } from '../../local/cloud/paths.ts';
import { search } from '../../local/tools/python.ts';
import { ensureVenv } from '../../local/tools/python-tools.ts';

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
  const stamp = () => join(paths.venvs, 'some', 'runctl-stamp');
  const timesMade = () => said.filter((line) => line.startsWith('creating')).length;

  it('is made once though two ask at the same time, and again when its requirements change or it is damaged', async () => {
    const [venv, second] = await Promise.all([ensure(), ensure()]);
    expect(venv).toBe(second);
    expect(said.some((line) => line.includes('waiting'))).toBe(true);
    await ensure();
    expect(timesMade()).toBe(1);
    await writeFile(requirements, '# something else\n');
    await ensure();
    expect(timesMade()).toBe(2);
    await rm(join(venv, 'bin', 'python'));
    await ensure();
    expect(timesMade()).toBe(3);
    await access(join(venv, 'bin', 'python'));
  });

  it('that cannot be made says what pip said, and is not taken for ready', async () => {
    await writeFile(requirements, './not-there\n');
    await expect(ensure()).rejects.toThrow(/not-there/);
    await expect(access(stamp())).rejects.toThrow();
  });

  it('is not taken for ready after an interruption', async () => {
    const controller = new AbortController();
    await expect(
      ensureVenv('some', requirements, () => controller.abort(), paths, controller.signal),
    ).rejects.toThrow();
    await expect(access(stamp())).rejects.toThrow();
  });

  it('needs a Python that is new enough, and says how to get one', async () => {
    await expect(search(['/not/there'])).rejects.toMatchObject({
      message: expect.stringContaining('Python 3.10 or newer'),
      next: expect.stringContaining('apt-get install python3 python3-venv'),
    });
  });
});
