import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { checkScript, findRequirements } from '../../../cli/archive/code.ts';
import { checkRequirements } from '../../../cli/doctor/requirements.ts';
import { planRows } from '../../../cli/runs/plan.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'runctl-requirements-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const PYPROJECT = '[project]\nname = "a"\ndependencies = ["numpy"]\n';
const DEFAULT = 'the first of uv.lock, pylock.toml, requirements.txt and pyproject.toml';

describe('the requirements of a folder', () => {
  it('are found by its files, and say why', async () => {
    writeFileSync(join(folder, 'pyproject.toml'), PYPROJECT);
    const names = ['pyproject.toml', 'train.py'];
    expect(await findRequirements(folder, names, {}, 'runctl.yaml')).toEqual({
      value: 'pyproject.toml',
      from: DEFAULT,
    });
    expect(await findRequirements(folder, names, { install: 'skip' }, 'runctl.yaml')).toBeNull();
    expect(await findRequirements(folder, names, { requirements: 'x.txt' }, '--requirements')).toEqual({
      value: 'x.txt',
      from: '--requirements',
    });
    writeFileSync(join(folder, 'pyproject.toml'), '[project]\nname = "a"\n');
    expect(await findRequirements(folder, names, {}, 'runctl.yaml')).toBeNull();
  });

  it('are found below a single top folder, which the instance strips', async () => {
    mkdirSync(join(folder, 'code'));
    writeFileSync(join(folder, 'code', 'pyproject.toml'), PYPROJECT);
    const found = await findRequirements(folder, ['code/pyproject.toml', 'code/train.py'], {}, 'runctl.yaml');
    expect(found?.value).toBe('pyproject.toml');
  });

  it('that are missing are refused before the upload, with extras in the name too', () => {
    const listing = { files: [{ name: 'train.py' }, { name: 'uv.lock' }], outputs: [] };
    const check = (requirements: string) => () =>
      checkScript({ folder, listing } as unknown as Parameters<typeof checkScript>[0], { requirements }, 'runctl.yaml');
    expect(check('deps/pyproject.toml[train]')).toThrow('The requirements file deps/pyproject.toml is not among');
    expect(check('./uv.lock')).toThrow('The requirements file pyproject.toml is not among');
  });
});

describe('what shows them', () => {
  it('is a check of doctor', async () => {
    writeFileSync(join(folder, 'requirements.txt'), 'numpy\n');
    expect(await checkRequirements(folder, {})).toMatchObject({ state: 'ok', detail: `requirements.txt (${DEFAULT})` });
    expect(await checkRequirements(folder, { install: 'skip' })).toMatchObject({ detail: 'nothing (install: skip)' });
    expect(await checkRequirements(folder, { requirements: 'pyproject.toml[x]' })).toMatchObject({
      state: 'failed',
      detail: 'pyproject.toml does not exist',
    });
  });

  it('is a row of the plan', () => {
    const plan = {
      project: { value: 'a', from: 'x' },
      code: { archive: 's3://b/k' },
      script: null,
      args: [],
      secrets: {},
      instance: null,
      removals: null,
    };
    const row = (requirements: { value: string; from: string } | null) =>
      planRows({ ...plan, requirements }).find(([label]) => label === 'install')?.[1];
    expect(row({ value: 'uv.lock', from: DEFAULT })).toBe(`uv.lock  (${DEFAULT})`);
    expect(row(null)).toBeUndefined(); // the archive decides
  });
});
