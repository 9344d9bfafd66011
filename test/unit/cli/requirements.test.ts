import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { checkIncludes } from '../../../cli/archive/check-includes.ts';
import { checkScript, findRequirements } from '../../../cli/archive/code.ts';
import { ownScriptWarning } from '../../../cli/archive/own-script.ts';
import { checkRequirements } from '../../../cli/doctor/requirements.ts';
import { planRows } from '../../../cli/runs/plan.ts';
import type { SpecInput } from '../../../core/spec/spec.ts';

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

describe('the files that a requirements.txt includes', () => {
  /** @param files their text; null: on the disk, but not packed */
  async function check(files: Record<string, string | Buffer | null>, spec: SpecInput = {}) {
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(dirname(join(folder, name)), { recursive: true });
      writeFileSync(join(folder, name), text ?? '');
    }
    const names = Object.keys(files).filter((name) => files[name] !== null);
    const listing = { files: names.map((name) => ({ name, path: join(folder, name) })), outputs: [] };
    const code = { folder, listing } as unknown as Parameters<typeof checkIncludes>[0];
    return await checkIncludes(code, spec.requirements ?? 'requirements.txt', spec);
  }

  it.each([
    ['-r base.txt', 'base.txt'],
    ['numpy\n--requirement=deps/gpu.txt # for the GPU', 'deps/gpu.txt'],
    ['-cconstraints.txt', 'constraints.txt'],
    ['--constraint \\\n  c.txt', 'c.txt'],
    ['-r ../base.txt', '../base.txt'],
    ['-r "a b.txt"', 'a b.txt'],
  ])('are looked for before anything is sent: %j', async (text, missing) => {
    await expect(check({ 'requirements.txt': text, 'train.py': '' })).rejects.toMatchObject({
      exitCode: 2,
      message: `requirements.txt includes ${missing}, which is not among the files to upload.`,
    });
  });

  it('may include others, and are not packed when an ignore file says so', async () => {
    const files = { 'requirements.txt': '-r deps/a.txt', 'deps/a.txt': '-r b.txt\n-r ../requirements.txt' };
    await check({ ...files, 'deps/b.txt': 'numpy' });
    await expect(check({ ...files, 'deps/b.txt': null })).rejects.toThrow('deps/a.txt includes deps/b.txt');
    await check({ ...files, 'deps/b.txt': null }, { install: 'skip' });
  });

  it('are found in the text of PowerShell, and with the variables of env', async () => {
    const utf16 = Buffer.concat([
      Buffer.from([0xff, 0xfe]),
      Buffer.from(['-r ', '{DEPS}.txt\r\n'].join('$'), 'utf16le'),
    ]);
    await expect(check({ 'requirements.txt': utf16 }, { env: { DEPS: 'x' } })).rejects.toThrow('includes x.txt');
  });

  it.each([
    '-r https://example.com/r.txt',
    '-r /opt/r.txt',
    ['-r ', '{HOME}/r.txt'].join('$'),
    '# -r x.txt',
    'numpy -r x',
    '-e .',
  ])('are left to the instance where only it can know: %s', async (text) => {
    await check({ 'requirements.txt': text, 'train.py': '' });
  });

  it('are not looked for in other formats', async () => {
    await check({ 'pyproject.toml': '-r x.txt', 'train.py': '' }, { requirements: 'pyproject.toml[train]' });
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
    const cost = (maxCost?: number) => planRows({ ...plan, requirements: null, maxCost }).at(-1)?.[1];
    expect(cost()).toBe('the instance (aws.amazon.com/ec2/pricing), and under 2 cents an hour for runctl itself');
    expect(cost(5)).toContain('the instance ($5 at most: maxCost)');
  });
});

describe('a command that is a script of the project', () => {
  const warn = async (command: string) => {
    writeFileSync(join(folder, 'pyproject.toml'), `${PYPROJECT}[project.scripts]\nfit = "pkg.cli:main"\n`);
    const files = [{ name: 'pyproject.toml', path: join(folder, 'pyproject.toml') }];
    const code = { folder, listing: { files, outputs: [] } } as unknown as Parameters<typeof ownScriptWarning>[0];
    return await ownScriptWarning(code, { command });
  };

  it('is shown with a command that needs no installation', async () => {
    expect(await warn('torchrun fit')).toBeNull();
    const text = (await warn('fit --lr 1')) ?? '';
    expect(text).toMatch(/^fit is a script of pyproject\.toml/);
    mkdirSync(join(folder, 'src', 'pkg'), { recursive: true });
    writeFileSync(join(folder, 'src', 'pkg', 'cli.py'), 'import sys\ndef main():\n    return int(sys.argv[1])\n');
    const [, words = ''] = / command: (\[.*\])$/.exec(text) ?? [];
    const [, ...args] = JSON.parse(words) as string[];
    expect(spawnSync('python3', [...args, '5'], { cwd: folder }).status).toBe(5);
  });
});
