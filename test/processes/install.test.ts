import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { useInstallSetup } from '../support/instance/install-setup.ts';
import { buildBrokenSdist, buildSdist, buildWheel } from '../support/instance/wheels.ts';

const installSetup = useInstallSetup();

const leaf = buildWheel({ name: 'zz-leaf', version: '1.1' });
const tool = buildWheel({ name: 'zz-tool', version: '1.0', requires: ['zz-leaf>=1'] });

/** A uv that is there and cannot do it. */
const BROKEN_UV =
  'case $1 in --version) echo "uv 0.13.9";; *) echo "error: the resolver lost its mind" >&2; exit 2;; esac';

describe('installing', () => {
  it('puts packages into the user site of an interpreter that the system manages, with uv, without HOME', async () => {
    const setup = installSetup();
    setup.useUv();
    await setup.serve([leaf, tool]);
    const python = setup.systemPython();
    setup.write('requirements.txt', 'zz-tool\n');

    const run = await setup.install({ python });

    expect(run.log).toContain(`python: ${python}: the run spec's python is ${python}`);
    expect(run.result).toMatchObject({ installer: 'uv', cached: false, python, packages: 2 });
    expect(run.code).toBe(0);
    expect(setup.ask(python, 'import zz_tool, zz_leaf; print(zz_leaf.__file__)')).toContain(
      join(setup.home, '.local', 'lib'),
    );
    expect(run.log).toContain('installed by uv: 2 packages in place');
  });

  it('builds what comes as source, with what the build needs', async () => {
    const setup = installSetup();
    setup.useUv();
    const builder = { name: 'zz-builder', version: '2.0' };
    // The image has the builder as well: leaving it out of the install must not leave it out of the build.
    const python = setup.systemPython([builder]);
    await setup.serve([
      leaf,
      buildWheel(builder),
      buildSdist({ name: 'zz-source', version: '1.0', requires: ['zz-leaf'], buildRequires: ['zz-builder'] }),
    ]);
    setup.write('requirements.txt', 'zz-source\nzz-builder\n');

    const run = await setup.install({ python });

    expect(run.result).toMatchObject({ installer: 'uv', packages: 3 });
    expect(setup.ask(python, 'import zz_source; print(zz_source.__version__)')).toBe('1.0');
    expect(run.progress.map(({ phase }) => phase)).toContain('building');
  });

  it('follows -r and -c', async () => {
    const setup = installSetup();
    setup.useUv();
    await setup.serve([leaf, buildWheel({ name: 'zz-leaf', version: '1.0' }), tool]);
    const python = setup.systemPython();
    setup.write('requirements.txt', '-r more/base.txt\n-c limits.txt\n');
    setup.write('more/base.txt', 'zz-tool\n');
    setup.write('limits.txt', 'zz-leaf==1.0  # the newer one is broken\n');

    expect((await setup.install({ python })).result).toMatchObject({ installer: 'uv', packages: 2 });
    expect(setup.ask(python, 'import zz_leaf; print(zz_leaf.__version__)')).toBe('1.0');
  });

  it('falls back to pip3 --user, with what uv said last and why', async () => {
    const setup = installSetup();
    setup.script('uv', BROKEN_UV);
    await setup.serve([leaf, tool]);
    const python = setup.systemPython();
    setup.write('requirements.txt', 'zz-tool\n');

    const run = await setup.install({ python });

    expect(run.result).toMatchObject({ installer: 'pip3 --user', cached: false, packages: 2 });
    expect(run.log).toContain('error: the resolver lost its mind');
    expect(run.log).toContain('using pip3 --user because uv failed: exit code 2');
    expect(setup.ask(python, 'import zz_tool; print(zz_tool.__version__)')).toBe('1.0');
  });

  it.each(['uv', 'pip'] as const)(
    "does not take the project's modules for the installer's own: %s",
    async (installer) => {
      const setup = installSetup();
      setup.useUv();
      await setup.serve([leaf]);
      setup.write('logging.py', 'raise SystemExit("the wrong logging")\n');
      setup.write('src/typing.py', 'raise SystemExit("the wrong typing")\n');
      setup.write('requirements.txt', 'zz-leaf\n');
      const env = { PYTHONPATH: join(setup.project, 'src') };
      const run = await setup.install({ python: setup.systemPython(), installer, env });
      expect(run.result).toMatchObject({ packages: 1 });
    },
  );

  it('fails with the last lines of both when both fail', async () => {
    const setup = installSetup();
    setup.useUv();
    await setup.serve([buildBrokenSdist({ name: 'zz-broken', version: '1.0' })]);
    setup.write('requirements.txt', 'zz-broken\n');

    const run = await setup.install({ python: setup.systemPython() });

    expect(run.code).toBe(1);
    expect(run.result.error?.name).toBe('InstallFailed');
    expect(run.result.error?.message).toMatch(/^uv: exit code \d+; pip3 --user: exit code \d+\n/);
    expect(run.result.error?.message.match(/command 'gcc' failed/g)?.length).toBeGreaterThanOrEqual(2);
  });

  it('uses only the installer that the run spec names', async () => {
    const setup = installSetup();
    setup.script('uv', `touch ${JSON.stringify(join(setup.base, 'uv-ran'))}; ${BROKEN_UV}`);
    await setup.serve([leaf]);
    const python = setup.systemPython();
    setup.write('requirements.txt', 'zz-leaf\n');

    const uvOnly = await setup.install({ python, installer: 'uv' });
    expect(uvOnly.result.error?.name).toBe('InstallFailed');
    expect(uvOnly.log).not.toContain('pip3');

    const before = existsSync(join(setup.base, 'uv-ran'));
    const pipOnly = await setup.install({ python, installer: 'pip' });
    expect(pipOnly.result).toMatchObject({ installer: 'pip3 --user', packages: 1 });
    expect(pipOnly.log).toContain('using pip3 --user: the run spec says so');
    expect(before).toBe(true);
    expect(pipOnly.log).not.toContain('lost its mind');
  });

  it('passes over packages in a wrong place instead of believing uv', async () => {
    const setup = installSetup();
    const plan = 'echo " + zz-leaf==1.1"; echo "Would download 1 package"';
    setup.script(
      'uv',
      `case "$*" in --version) echo "uv 0.13.9";; venv*) for last; do :; done; mkdir -p "$last/lib/python3.0/site-packages";;
       *--dry-run*) ${plan};; *) echo "Installed 1 package in 1ms";; esac`,
    );
    await setup.serve([leaf]);
    setup.write('requirements.txt', 'zz-leaf\n');

    const run = await setup.install({ python: setup.systemPython() });

    expect(run.log).toMatch(/using pip3 --user because uv failed: uv installed zz-leaf where .* does not find it/);
    expect(run.result).toMatchObject({ installer: 'pip3 --user', packages: 1 });
  });
});

describe('what cannot be installed', () => {
  it('is nothing at all: a file that asks for nothing is well', async () => {
    const setup = installSetup();
    setup.write('requirements.txt', '# nothing yet\n\n--index-url https://example.invalid/simple\n-r more.txt\n');
    setup.write('more.txt', '   # nor here\n');
    const run = await setup.install();
    expect(run.result).toMatchObject({ installer: 'none', cached: false, packages: 0 });
    expect(run.code).toBe(0);
  });

  it('names the requirements file that is missing, also an included one', async () => {
    const setup = installSetup();
    expect((await setup.install()).result.error).toMatchObject({ name: 'RequirementsMissing' });
    setup.write('requirements.txt', '-r gone.txt\n');
    const error = (await setup.install()).result.error;
    expect(error?.name).toBe('RequirementsMissing');
    expect(error?.message).toContain(join(setup.project, 'gone.txt'));
    expect(error?.message).toContain('requirements.txt includes');
  });

  it('names the interpreter that is not there or does not run', async () => {
    const setup = installSetup();
    setup.write('requirements.txt', 'zz-leaf\n');
    const missing = await setup.install({ python: '/nowhere/python3' });
    expect(missing.result.error).toEqual({
      name: 'PythonNotFound',
      message: "the run spec's python /nowhere/python3 does not exist on the instance",
    });
    setup.script('python9', 'echo "libpython9.so: cannot open shared object file" >&2; exit 127');
    const broken = await setup.install({ python: 'python9' });
    expect(broken.result.error?.name).toBe('PythonNotFound');
    expect(broken.result.error?.message).toContain('libpython9.so');
  });

  it('says that the disk is full, and does not fill it again with pip', async () => {
    const setup = installSetup();
    setup.script(
      'uv',
      'case $1 in --version) echo "uv 0.13.9";; *) echo "error: failed to write: No space left on device (os error 28)" >&2; exit 2;; esac',
    );
    setup.write('requirements.txt', 'zz-leaf\n');
    const run = await setup.install({ python: setup.systemPython() });
    expect(run.result.error?.name).toBe('DiskFull');
    expect(run.result.error?.message).toMatch(/\d+ MB free under /);
    expect(run.log).not.toContain('pip3');
  });
});
