import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { strToU8, type ZippableFile, zipSync } from 'fflate';
import { describe, expect, it } from 'vitest';
import { useInstallSetup } from '../support/instance/install-setup.ts';
import { sharedUvWheel } from '../support/instance/shared-uv.ts';
import { buildWheel, type Wheel } from '../support/instance/wheels.ts';

const installSetup = useInstallSetup();

const leaf = buildWheel({ name: 'zz-leaf', version: '1.0' });
const arch = process.arch === 'arm64' ? 'aarch64' : 'x86_64';

/** A wheel named like one of uv, with another program. */
function otherWheel(version: string, platform = `manylinux_2_17_${arch}.manylinux2014_${arch}`): Wheel {
  const info = `uv-${version}.dist-info`;
  const program = '#!/bin/sh\necho "uv 0.13.9"\n';
  const files = {
    [`uv-${version}.data/scripts/uv`]: [strToU8(program), { attrs: 0o100755 * 65_536, os: 3 }] satisfies ZippableFile,
    [`${info}/METADATA`]: strToU8(`Metadata-Version: 2.1\nName: uv\nVersion: ${version}\n`),
    [`${info}/WHEEL`]: strToU8('Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: py3-none-any\n'),
    [`${info}/RECORD`]: strToU8(
      [`uv-${version}.data/scripts/uv`, `${info}/METADATA`, `${info}/WHEEL`, `${info}/RECORD`]
        .map((name) => `${name},,\n`)
        .join(''),
    ),
  };
  return { file: `uv-${version}-py3-none-${platform}.whl`, bytes: zipSync(files, { level: 6 }) };
}

describe('an instance without uv', () => {
  it('gets the pinned release by pip3 --user', async () => {
    const setup = installSetup();
    await setup.serve([leaf, otherWheel('0.13.10'), sharedUvWheel()]);
    const python = setup.systemPython();
    setup.write('requirements.txt', 'zz-leaf\n');

    const run = await setup.install({ python });

    expect(run.log).toContain('this instance has no uv');
    expect(run.log).toContain('installed uv 0.13.9 with pip3 install --user uv');
    expect(run.result).toMatchObject({ installer: 'uv', packages: 1 });
    expect(existsSync(join(setup.userBin, 'uv'))).toBe(true);
    setup.write('requirements.txt', 'zz-leaf==1.0\n');
    expect((await setup.install({ python })).log).not.toContain('no uv');
  });

  it('and without pip gets the pinned release as a wheel, for this machine', async () => {
    const setup = installSetup();
    const credentials = { user: 'someone', password: 'v3ry-s3cr3t' };
    const index = await setup.serve(
      [leaf, otherWheel('0.9.30'), sharedUvWheel(), otherWheel('9.9.9'), otherWheel('0.13.9', 'manylinux_2_17_s390x')],
      { credentials },
    );
    const python = setup.systemPython([], { pip: false });
    setup.write('requirements.txt', 'zz-leaf\n');

    const url = index.url.replace('//', `//${credentials.user}:${credentials.password}@`);
    const run = await setup.install({ python, index: false, env: { PIP_INDEX_URL: url } });

    expect(run.log).toMatch(/^pip3 install --user uv: .*No module named pip/m);
    expect(run.log).toMatch(/^ensurepip, then pip3 install --user uv: /m);
    expect(run.log).toContain("installed uv 0.13.9 with uv's wheel");
    expect(run.result).toMatchObject({ installer: 'uv', packages: 1 });
    expect(JSON.stringify(run)).not.toContain(credentials.password);
  });

  it.each([false, true])('takes no other program under the name of that release; with pip: %s', async (pip) => {
    const setup = installSetup();
    const { file } = sharedUvWheel();
    // The index states the SHA-256 of this file, as an index does that somebody else controls.
    await setup.serve([leaf, { ...otherWheel('0.13.9'), file }]);
    setup.write('requirements.txt', 'zz-leaf\n');

    const run = await setup.install({ python: setup.systemPython([], { pip }) });

    expect(run.log).toContain(`${file} from the index does not have the SHA-256 of that release`);
    if (pip) expect(run.log).toMatch(/^pip3 install --user uv: .*Got +[0-9a-f]{64}$/m);
    expect(existsSync(join(setup.userBin, 'uv'))).toBe(false);
    expect(run.code).toBe(pip ? 0 : 1);
  });

  it('nor pip, nor an index with uv, fails with the command to run', async () => {
    const setup = installSetup();
    await setup.serve([leaf]);
    setup.write('requirements.txt', 'zz-leaf\n');
    const run = await setup.install({ python: setup.systemPython([], { pip: false }) });
    expect(run.result.error?.name).toBe('NoInstaller');
    expect(run.result.error?.message).toContain('sudo apt-get install python3-pip');
    expect(run.result.error?.message).toContain('sudo dnf install python3-pip');
    expect(run.log).toMatch(/^uv's wheel: .*404/m);
  });

  it('falls back to pip when only uv cannot be had', async () => {
    const setup = installSetup();
    await setup.serve([leaf]);
    setup.write('requirements.txt', 'zz-leaf\n');
    const run = await setup.install({ python: setup.systemPython() });
    expect(run.log).toContain('using pip3 --user because uv failed: there is no uv, and it could not be installed');
    expect(run.result).toMatchObject({ installer: 'pip3 --user', packages: 1 });
  });
});
