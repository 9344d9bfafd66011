import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { useInstallSetup } from '../support/instance/install-setup.ts';
import { buildWheel } from '../support/instance/wheels.ts';

const installSetup = useInstallSetup();

/** What an image ships, and what an index has beside it: newer, and large. */
const shipped = { name: 'zz-torch', version: '2.0' };
const index = [
  buildWheel({ name: 'zz-torch', version: '2.0' }),
  buildWheel({ name: 'zz-torch', version: '5.0' }),
  buildWheel({ name: 'zz-needs-torch', version: '1.0', requires: ['zz-torch>=1', 'zz-leaf'] }),
  buildWheel({ name: 'zz-vision', version: '0.15', requires: ['zz-torch==2.0'] }),
  buildWheel({ name: 'zz-vision', version: '0.20', requires: ['zz-torch==5.0'] }),
  buildWheel({ name: 'zz-leaf', version: '1.0', compiled: true }),
];
const torch = 'import zz_torch; print(zz_torch.__version__, zz_torch.__file__)';

describe('what an image ships', () => {
  it.each(['uv', 'pip'] as const)('is not downloaded again, by name or as a dependency: %s', async (installer) => {
    const setup = installSetup();
    setup.useUv();
    const { downloads } = await setup.serve(index);
    const python = setup.systemPython([shipped]);
    setup.write('requirements.txt', 'zz-torch>=1.5\nzz-needs-torch\n');

    const run = await setup.install({ python, installer });

    expect(run.result).toMatchObject({ packages: 3 });
    expect(downloads().filter((name) => name.startsWith('zz_torch'))).toEqual([]);
    expect(setup.ask(python, torch)).toMatch(/^2\.0 .*\/usr-/);
    expect(setup.ask(python, 'import zz_needs_torch, zz_leaf; print("there")')).toBe('there');
  });

  it('is not downloaded again when only a dependency asks for it', async () => {
    const setup = installSetup();
    setup.useUv();
    const { downloads } = await setup.serve(index);
    const python = setup.systemPython([shipped]);
    setup.write('requirements.txt', 'zz-needs-torch\n');
    expect((await setup.install({ python })).result).toMatchObject({ installer: 'uv', packages: 3 });
    expect(downloads()).toEqual(expect.arrayContaining(['zz_leaf-1.0-py3-none-any.whl']));
    expect(downloads().filter((name) => name.startsWith('zz_torch'))).toEqual([]);
  });

  it('decides about the versions of what comes on top of it', async () => {
    const setup = installSetup();
    setup.useUv();
    await setup.serve(index);
    const python = setup.systemPython([shipped]);
    setup.write('requirements.txt', 'zz-torch<3\nzz-vision\n');
    expect((await setup.install({ python })).result).toMatchObject({ installer: 'uv', packages: 2 });
    expect(setup.ask(python, 'import zz_vision; print(zz_vision.__version__)')).toBe('0.15');
  });

  it('gives way to a version that the requirements ask for, in the user site', async () => {
    const setup = installSetup();
    setup.useUv();
    await setup.serve(index);
    const python = setup.systemPython([shipped]);
    setup.write('requirements.txt', 'zz-torch>=3\n');
    expect((await setup.install({ python })).result).toMatchObject({ installer: 'uv', packages: 1 });
    expect(setup.ask(python, torch)).toContain(`5.0 ${setup.home}`);
  });

  it('counts for compiled packages too where Python looks into lib64 for the system, and lib for the user', async () => {
    const setup = installSetup();
    setup.useUv();
    await setup.serve(index);
    // As Fedora and Amazon Linux build it.
    const lib64 = { 'zz_fedora.pth': "import sys; sys.platlibdir = 'lib64'\n" };
    const python = setup.systemPython([shipped, { name: 'zz-fedora', version: '1.0', files: lib64 }]);
    setup.write('requirements.txt', 'zz-needs-torch\n');
    const run = await setup.install({ python });
    expect(run.result).toMatchObject({ installer: 'uv', packages: 3 });
    expect(setup.ask(python, 'import zz_leaf; print("there")')).toBe('there');
    expect(readdirSync(join(setup.home, '.local'))).toContain('lib64');
  });
});

describe('a virtual environment', () => {
  it.each(['uv', 'pip'] as const)('gets its packages itself: %s', async (installer) => {
    const setup = installSetup();
    setup.useUv();
    const { downloads } = await setup.serve(index);
    const python = setup.venv({ installed: [shipped], pip: installer === 'pip' });
    setup.write('requirements.txt', 'zz-needs-torch\n');

    const run = await setup.install({ python, installer });

    expect(run.log).toContain('(a virtual environment)');
    expect(run.result).toMatchObject({ installer: installer === 'pip' ? 'pip3' : 'uv', packages: 3 });
    expect(setup.ask(python, 'import zz_leaf; print(zz_leaf.__file__)')).toContain(join(setup.base, 'pytorch'));
    expect(downloads().filter((name) => name.startsWith('zz_torch'))).toEqual([]);
  });

  it.each(['uv', 'pip'] as const)('that cannot be written has an overlay in front of it: %s', async (installer) => {
    const setup = installSetup();
    setup.useUv();
    const { downloads } = await setup.serve(index);
    const python = setup.venv({ installed: [shipped], pip: installer === 'pip' });
    const site = setup.ask(python, 'import sysconfig; print(sysconfig.get_path("purelib"))');
    setup.lock(site);
    setup.write('requirements.txt', 'zz-needs-torch\n');

    const run = await setup.install({ python, installer, unprivileged: true });

    expect(run.log).toContain('cannot write: packages go to');
    expect(run.result).toMatchObject({ packages: 3 });
    expect(downloads().filter((name) => name.startsWith('zz_torch'))).toEqual([]);
    const env = setup.findInterpreter(python).env;
    expect(setup.ask(python, 'import zz_leaf; print(zz_leaf.__file__)', env)).toContain(
      join(setup.home, '.runctl', 'overlays'),
    );
    expect(setup.ask(python, torch, env)).toContain(`2.0 ${setup.base}`);

    // What the image has in another version comes in front of it; the image is left alone.
    setup.write('requirements.txt', 'zz-torch>=3\n');
    expect((await setup.install({ python, installer, unprivileged: true })).result).toMatchObject({ packages: 1 });
    expect(setup.ask(python, torch, env)).toContain(`5.0 ${setup.home}`);
    expect(setup.ask(python, torch)).toContain(`2.0 ${setup.base}`);
  });

  it('finds an editable install in its overlay', async () => {
    const setup = installSetup();
    setup.useUv();
    await setup.serve([]);
    const python = setup.venv();
    const site = setup.ask(python, 'import sysconfig; print(sysconfig.get_path("purelib"))');
    setup.lock(site);
    setup.write('requirements.txt', '-e ./mine\n');
    setup.write('mine/zz_mine.py', 'answer = 42\n');
    setup.write('mine/pyproject.toml', EDITABLE);
    setup.write('mine/backend.py', EDITABLE_BACKEND);

    const run = await setup.install({ python, unprivileged: true });

    expect(run.result).toMatchObject({ installer: 'uv', packages: 1 });
    expect(setup.ask(python, 'import zz_mine; print(zz_mine.answer)', setup.findInterpreter(python).env)).toBe('42');
  });
});

const EDITABLE = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n';
const EDITABLE_BACKEND = `import os, zipfile
NAME = "zz_mine-0.1-py3-none-any.whl"
INFO = "zz_mine-0.1.dist-info/"
def build_editable(folder, config_settings=None, metadata_directory=None):
    with zipfile.ZipFile(os.path.join(folder, NAME), "w") as wheel:
        wheel.writestr("zz_mine.pth", os.getcwd() + "\\n")
        wheel.writestr(INFO + "METADATA", "Metadata-Version: 2.1\\nName: zz-mine\\nVersion: 0.1\\n")
        wheel.writestr(INFO + "WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(INFO + "RECORD", "zz_mine.pth,,\\n" + INFO + "METADATA,,\\n" + INFO + "WHEEL,,\\n" + INFO + "RECORD,,\\n")
    return NAME
build_wheel = build_editable
`;
