import { execFile } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { type InstallSetup, useInstallSetup } from '../support/instance/install-setup.ts';
import { sharedUv } from '../support/instance/shared-uv.ts';
import { buildWheel } from '../support/instance/wheels.ts';

const installSetup = useInstallSetup();

const packages = [
  buildWheel({ name: 'zz-leaf', version: '1.1' }),
  buildWheel({ name: 'zz-leaf', version: '1.0' }),
  buildWheel({ name: 'zz-tool', version: '1.0', requires: ['zz-leaf>=1'] }),
  buildWheel({ name: 'zz-extra', version: '1.0' }),
  buildWheel({ name: 'zz-dev', version: '1.0' }),
];

function pyproject(dependencies: readonly string[], constraints: readonly string[] = []): string {
  return `[project]
name = "digits"
version = "0.1"
requires-python = ">=3.8"
dependencies = ${JSON.stringify(dependencies)}
[project.optional-dependencies]
train = ["zz-extra"]
all = ["digits[train]"]
[dependency-groups]
dev = ["zz-dev"]
[tool.uv]
constraint-dependencies = ${JSON.stringify(constraints)}
`;
}

async function prepared(image: readonly { name: string; version: string }[] = []) {
  const setup = installSetup();
  setup.useUv();
  const index = await setup.serve(packages);
  return { setup, index, python: setup.systemPython(image) };
}

/** Runs uv in the project as a person does on their own machine. */
async function uv(setup: InstallSetup, ...words: string[]): Promise<void> {
  const env = { PATH: process.env.PATH, HOME: setup.home, UV_DEFAULT_INDEX: setup.index?.url };
  await promisify(execFile)(sharedUv(), words, { cwd: setup.project, env, timeout: 30_000 });
}

/** A lock of zz-leaf 1.0, which a new resolution would not choose any more. */
async function lockOldLeaf(setup: InstallSetup): Promise<void> {
  setup.write('pyproject.toml', pyproject(['zz-tool'], ['zz-leaf==1.0']));
  await uv(setup, 'lock');
  await uv(setup, 'export', '--format', 'pylock.toml', '--no-dev', '--no-emit-project', '-o', 'pylock.toml');
  setup.write('pyproject.toml', pyproject(['zz-tool']));
}

const installedNames = (setup: InstallSetup, python: string) =>
  setup.ask(
    python,
    'import importlib.metadata as m; print(sorted(d.metadata["Name"] + d.version for d in m.distributions() if d.metadata["Name"].startswith("zz")))',
  );

describe('pyproject.toml', () => {
  it.each([
    ['pyproject.toml', 'uv', "['zz-leaf1.1', 'zz-tool1.0']"],
    ['pyproject.toml', 'pip', "['zz-leaf1.1', 'zz-tool1.0']"],
    ['pyproject.toml[all]', 'uv', "['zz-extra1.0', 'zz-leaf1.1', 'zz-tool1.0']"],
    ['pyproject.toml[all]', 'pip', "['zz-extra1.0', 'zz-leaf1.1', 'zz-tool1.0']"],
  ] as const)('as %s brings its dependencies with %s', async (requirements, installer, names) => {
    const { setup, python } = await prepared();
    setup.write('pyproject.toml', pyproject(['zz-tool']));
    const run = await setup.install({ python, requirements, installer });
    expect(run.result).toMatchObject({ cached: false });
    expect(installedNames(setup, python)).toBe(names);
    expect((await setup.install({ python, requirements, installer })).result.cached).toBe(true);
  });

  it('without an extra that is named says which ones it has', async () => {
    const { setup, python } = await prepared();
    setup.write('pyproject.toml', pyproject([]));
    const { error } = (await setup.install({ python, requirements: 'pyproject.toml[gpu]' })).result;
    expect(error).toMatchObject({
      name: 'InstallFailed',
      message: expect.stringMatching(/has no extra gpu; its extras: all, train$/),
    });
  });
});

describe('uv.lock', () => {
  it.each([
    ['uv.lock', "['zz-leaf1.0', 'zz-tool1.0']"],
    ['uv.lock[train]', "['zz-extra1.0', 'zz-leaf1.0', 'zz-tool1.0']"],
  ])('as %s is installed exactly, without the groups for development', async (requirements, names) => {
    const { setup, python } = await prepared();
    await lockOldLeaf(setup);
    const run = await setup.install({ python, requirements });
    expect(run.result).toMatchObject({ installer: 'uv', cached: false });
    expect(installedNames(setup, python)).toBe(names);
    expect((await setup.install({ python, requirements })).result.cached).toBe(true);
  });

  it("does not replace the image's package of the locked version", async () => {
    const { setup, index, python } = await prepared([{ name: 'zz-leaf', version: '1.0' }]);
    await lockOldLeaf(setup);
    expect((await setup.install({ python, requirements: 'uv.lock' })).result.installer).toBe('uv');
    expect(index.downloads().filter((name) => name.startsWith('zz_leaf'))).toEqual([]);
    expect(setup.ask(python, 'import zz_leaf; print(zz_leaf.__file__)')).not.toContain(setup.home);
  });

  it('that lacks a dependency of pyproject.toml is refused', async () => {
    const { setup, python } = await prepared();
    await lockOldLeaf(setup);
    setup.write('pyproject.toml', pyproject(['zz-tool', 'zz-dev==1.0']));
    expect((await setup.install({ python, requirements: 'uv.lock' })).result.error?.message).toBe(
      'uv.lock does not have zz-dev, which pyproject.toml requires: run `uv lock`',
    );
  });

  it('is not read by pip, and says so', async () => {
    const { setup, python } = await prepared();
    await lockOldLeaf(setup);
    const { error } = (await setup.install({ python, requirements: 'uv.lock', installer: 'pip' })).result;
    expect(error?.message).toContain('only uv reads uv.lock');
  });
});

describe('pylock.toml', () => {
  it.each(['uv', 'pip'] as const)('is installed exactly with %s', async (installer) => {
    const { setup, python } = await prepared();
    await lockOldLeaf(setup);
    const run = await setup.install({ python, requirements: 'pylock.toml', installer });
    expect(run.code).toBe(0);
    expect(installedNames(setup, python)).toBe("['zz-leaf1.0', 'zz-tool1.0']");
  });

  it.each(['uv', 'pip'] as const)('whose hash is not that of the download is refused by %s', async (installer) => {
    const { setup, python } = await prepared();
    await lockOldLeaf(setup);
    const lock = readFileSync(join(setup.project, 'pylock.toml'), 'utf8');
    setup.write('pylock.toml', lock.replace(/sha256 = "[0-9a-f]{64}"/g, `sha256 = "${'0'.repeat(64)}"`));
    const run = await setup.install({ python, requirements: 'pylock.toml', installer });
    expect(run.result.error?.message).toMatch(/hash/i);
  });
});

describe('environment.yml', () => {
  const YAML =
    'name: digits\nchannels: [conda-forge]\ndependencies:\n  - python=3.11\n  - zz-leaf=1.0\n  - pip:\n    - zz-tool\n';

  it('without conda or mamba is refused by name', async () => {
    const { setup, python } = await prepared();
    setup.write('environment.yml', YAML);
    const { error } = (await setup.install({ python, requirements: 'environment.yml' })).result;
    expect(error).toMatchObject({ name: 'NoInstaller', message: expect.stringContaining('needs conda or mamba') });
  });

  it('outside of an environment of conda is refused by name', async () => {
    const { setup, python } = await prepared();
    setup.write('environment.yml', YAML);
    setup.script('conda', 'exit 0');
    const { error } = (await setup.install({ python, requirements: 'environment.yml' })).result;
    expect(error).toMatchObject({ name: 'NoInstaller', message: expect.stringContaining('environment of conda') });
  });

  it("updates the interpreter's environment with conda, and is not installed again without a change", async () => {
    const { setup, python } = await prepared();
    const prefix = dirname(dirname(python));
    mkdirSync(join(prefix, 'conda-meta'));
    const site = setup.ask(python, 'import sysconfig; print(sysconfig.get_path("purelib"))');
    // Stands in for conda: it notes its arguments, and puts a package into the environment.
    const conda = join(prefix, 'bin', 'conda');
    const pip = `"${sharedUv()}" pip install -q --default-index ${setup.index?.url} --cache-dir "${setup.home}/c" --target "${site}" zz-leaf==1.0`;
    writeFileSync(conda, `#!/bin/sh\necho "args: $*"\n${pip}\n`);
    chmodSync(conda, 0o755);
    setup.write('environment.yml', YAML);
    const install = () => setup.install({ python, requirements: 'environment.yml' });

    const run = await install();

    expect(run.log).toContain(`args: env update --prefix ${prefix} --file ${join(setup.project, 'environment.yml')}`);
    expect(run.result).toMatchObject({ installer: 'conda', cached: false, packages: 1 });
    expect((await install()).result.cached).toBe(true);
    setup.write('environment.yml', YAML.replace('1.0', '1.1'));
    expect((await install()).result.cached).toBe(false);
  });
});
