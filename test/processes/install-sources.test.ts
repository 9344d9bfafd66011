import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type InstallSetup, useInstallSetup } from '../support/instance/install-setup.ts';
import { buildWheel, type Wheel } from '../support/instance/wheels.ts';

const installSetup = useInstallSetup();

const leaf = buildWheel({ name: 'zz-leaf', version: '1.1' });
const oldLeaf = buildWheel({ name: 'zz-leaf', version: '1.0' });
const tool = buildWheel({ name: 'zz-tool', version: '1.0', requires: ['zz-leaf>=1'] });

/** A home with uv, an index and an interpreter. */
async function prepared(): Promise<{ setup: InstallSetup; python: string }> {
  const setup = installSetup();
  setup.useUv();
  await setup.serve([leaf, oldLeaf, tool]);
  return { setup, python: setup.systemPython() };
}

const leafVersion = (setup: InstallSetup, python: string) =>
  setup.ask(python, 'import zz_leaf; print(zz_leaf.__version__)');

function removeInstalled(setup: InstallSetup): void {
  rmSync(join(setup.home, '.local', 'lib'), { recursive: true });
}

describe('requirements in another encoding', () => {
  const utf16 = (text: string) => Buffer.from(`\ufeff${text}`, 'utf16le');
  it.each([
    ['UTF-16, as PowerShell writes it', 'auto', utf16('zz-leaf==1.0\r\n')],
    ['UTF-16 for pip', 'pip', utf16('zz-leaf==1.0\r\n')],
    ['big-endian UTF-16', 'auto', utf16('zz-leaf==1.0\r\n').swap16()],
    ['UTF-8 with a byte order mark', 'auto', Buffer.from('\ufeffzz-leaf==1.0\r\n')],
    ['a declared encoding', 'auto', Buffer.from('# -*- coding: latin-1 -*-\nzz-leaf==1.0  # f\xfcr\n', 'latin1')],
  ] as const)('are read, and their packages recorded: %s', async (_, installer, bytes) => {
    const { setup, python } = await prepared();
    // Installed already: the record has the names that the file lists, and nothing that an install changed.
    setup.write('plain.txt', 'zz-leaf == 1.0\n');
    await setup.install({ python, installer, requirements: 'plain.txt' });
    setup.write('requirements.txt', bytes);
    expect((await setup.install({ python, installer })).result).toMatchObject({ cached: false, packages: 1 });
    const again = await setup.install({ python, installer });
    expect(again.log).toContain('all 1 packages are still installed');
    removeInstalled(setup);
    expect((await setup.install({ python, installer })).result).toMatchObject({ cached: false, packages: 1 });
    expect(leafVersion(setup, python)).toBe('1.0');
  });
});

describe('requirements with a hash', () => {
  it.each(['uv', 'pip'] as const)('install nothing that has none, with %s', async (installer) => {
    const { setup, python } = await prepared();
    const hash = (wheel: Wheel) => createHash('sha256').update(wheel.bytes).digest('hex');
    const install = () => setup.install({ python, installer });
    setup.write('requirements.txt', `zz-tool==1.0 --hash=sha256:${hash(tool)}\n`); // zz-leaf comes as a dependency
    expect((await install()).result.error?.message).toMatch(/zz-leaf/);
    setup.write('requirements.txt', `zz-leaf==1.0 --hash=sha256:${hash(leaf)}\n`);
    expect((await install()).result.error?.message).toMatch(/hash/i);
    setup.write(
      'requirements.txt',
      `zz-tool==1.0 --hash=sha256:${hash(tool)}\nzz-leaf==1.0 \\\n    --hash=sha256:${hash(oldLeaf)}\n`,
    );
    expect((await install()).result).toMatchObject({ packages: 2 });
    expect(leafVersion(setup, python)).toBe('1.0');
  });
});

describe('a record', () => {
  it('that names no package never skips an install', async () => {
    const { setup, python } = await prepared();
    setup.write('requirements.txt', 'zz-leaf; sys_platform == "win32"\n');
    expect((await setup.install({ python })).result).toMatchObject({ cached: false, packages: 0 });
    expect((await setup.install({ python })).result).toMatchObject({ cached: false, packages: 0 });
  });

  it('of one installer is not that of another', async () => {
    const { setup, python } = await prepared();
    setup.write('requirements.txt', 'zz-leaf\n');
    expect((await setup.install({ python, installer: 'uv' })).result.cached).toBe(false);
    expect((await setup.install({ python, installer: 'pip' })).result.cached).toBe(false);
    expect((await setup.install({ python, installer: 'uv' })).result.cached).toBe(true);
  });
});

describe('pyproject.toml', () => {
  const pyproject = `[project]
name = "zz-mine"
version = "0.1"
dependencies = [
  "zz-leaf == 1.0",  # the newer one is broken
]
`;

  it('is installed again after another project changed the version that it pins', async () => {
    const { setup, python } = await prepared();
    setup.write('pyproject.toml', pyproject);
    setup.write('requirements.txt', 'zz-leaf==1.1\n');
    const install = () => setup.install({ python, requirements: 'pyproject.toml' });
    expect((await install()).result).toMatchObject({ installer: 'uv', packages: 1 });
    expect((await install()).result.cached).toBe(true);
    await setup.install({ python });
    expect(leafVersion(setup, python)).toBe('1.1');

    const run = await install();

    expect(run.log).toContain('requirements have not changed, but zz-leaf is 1.1 now, not 1.0');
    expect(run.result.cached).toBe(false);
    expect(leafVersion(setup, python)).toBe('1.0');
  });

  it('that is not TOML is named with the line', async () => {
    const { setup, python } = await prepared();
    setup.write('pyproject.toml', '[project]\nname = "zz\n');
    const { error } = (await setup.install({ python, requirements: 'pyproject.toml' })).result;
    expect(error).toMatchObject({ name: 'InstallFailed', message: expect.stringMatching(/is not TOML: line 2/) });
  });
});

describe('a local project', () => {
  /** A project whose dependencies are in deps.txt, as a setup.py may read them. */
  function localProject(setup: InstallSetup, folder: string): void {
    setup.write(join(folder, 'pyproject.toml'), PYPROJECT);
    setup.write(join(folder, 'backend.py'), BACKEND);
    setup.write(join(folder, 'deps.txt'), 'zz-leaf==1.0');
  }

  it.each([
    ['-e .', '', 'uv'],
    ['-e .', '', 'pip'],
    ['.', '', 'uv'],
    ['./parts/mine', 'parts/mine', 'uv'],
    ['./parts/mine', 'parts/mine', 'pip'],
  ] as const)('%s (in "%s", with %s) is installed again when a file changed', async (line, folder, installer) => {
    const { setup, python } = await prepared();
    localProject(setup, folder);
    setup.write('requirements.txt', `${line}\n`);
    const first = await setup.install({ python, installer });
    expect(first.result).toMatchObject({ cached: false, packages: 2 });
    expect((await setup.install({ python, installer })).result.cached).toBe(true);

    setup.write(join(folder, 'deps.txt'), 'zz-leaf==1.1');
    expect((await setup.install({ python, installer })).result).toMatchObject({ cached: false, packages: 2 });

    expect(leafVersion(setup, python)).toBe('1.1');
    expect((await setup.install({ python, installer })).result.cached).toBe(true);
  });

  it('is not installed again for what a run wrote into the folder of the code', async () => {
    const { setup, python } = await prepared();
    localProject(setup, '');
    setup.write('requirements.txt', '-e .\n');
    // As the sync keeps it: the names of the files of the code.
    const files = ['requirements.txt', ...readdirSync(setup.project)];
    const own = join(setup.home, '.runctl', 'digits', 'sync');
    mkdirSync(own, { recursive: true });
    const entries = files.map((name) => [name, {}]);
    writeFileSync(join(own, 'manifest.json'), JSON.stringify({ files: Object.fromEntries(entries) }));
    await setup.install({ python });

    setup.write('outputs/model.txt', 'weights');
    expect((await setup.install({ python })).result.cached).toBe(true);

    setup.write('deps.txt', 'zz-leaf==1.1');
    expect((await setup.install({ python })).result.cached).toBe(false);
  });
});

const PYPROJECT = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n';
const BACKEND = `import os, zipfile
NAME = "zz_mine-0.1-py3-none-any.whl"
INFO = "zz_mine-0.1.dist-info/"
def build_editable(folder, config_settings=None, metadata_directory=None):
    requires = "".join("Requires-Dist: " + line + "\\n" for line in open("deps.txt").read().split())
    with zipfile.ZipFile(os.path.join(folder, NAME), "w") as wheel:
        wheel.writestr("zz_mine.pth", os.getcwd() + "\\n")
        wheel.writestr(INFO + "METADATA", "Metadata-Version: 2.1\\nName: zz-mine\\nVersion: 0.1\\n" + requires)
        wheel.writestr(INFO + "WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(INFO + "RECORD", "zz_mine.pth,,\\n" + INFO + "METADATA,,\\n" + INFO + "WHEEL,,\\n" + INFO + "RECORD,,\\n")
    return NAME
build_wheel = build_editable
`;
