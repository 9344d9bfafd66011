import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type InstallRun, type InstallSetup, useInstallSetup } from '../support/instance/install-setup.ts';
import { waitFor } from '../support/instance/processes.ts';
import { buildWheel, placeInstalled } from '../support/instance/wheels.ts';

const installSetup = useInstallSetup();

const leaf = buildWheel({ name: 'zz-leaf', version: '1.1' });
const tool = buildWheel({ name: 'zz-tool', version: '1.0', requires: ['zz-leaf>=1'] });

/** A home with zz-tool installed, and how to run the same install again. */
async function installed(requirements = 'zz-tool\n', extra: Readonly<Record<string, string>> = {}) {
  const setup = installSetup();
  setup.useUv();
  const index = await setup.serve([leaf, buildWheel({ name: 'zz-leaf', version: '1.0' }), tool]);
  const python = setup.systemPython([{ name: 'zz-shipped', version: '1.0' }]);
  setup.write('requirements.txt', requirements);
  for (const [name, content] of Object.entries(extra)) setup.write(name, content);
  const first = await setup.install({ python });
  expect(first.result).toMatchObject({ installer: 'uv', cached: false });
  index.requests.length = 0;
  return { setup, index, python, first, again: () => setup.install({ python }) };
}

const isSkipped = (run: InstallRun) => run.result.cached;
const siteOf = (setup: InstallSetup) => {
  const lib = join(setup.home, '.local', 'lib');
  return join(lib, readdirSync(lib).find((name) => name.startsWith('python3')) ?? '', 'site-packages');
};

describe('unchanged requirements', () => {
  it('are answered in under 2 s without the network', async () => {
    const { index, again, first } = await installed();
    await index.close();
    const run = await again();
    expect(run.code).toBe(0);
    expect(run.result).toMatchObject({ installer: 'uv', cached: true, packages: first.result.packages });
    // The best of three: the tests share the machine with others.
    const others = [await again(), await again()];
    expect(Math.min(...[run, ...others].map(({ milliseconds }) => milliseconds))).toBeLessThan(2000);
    expect(index.requests).toEqual([]);
    expect(run.log).toContain(
      'requirements have not changed and all 2 packages are still installed: nothing to install',
    );
  });

  it('are recognised with another comment, and with a token that was renewed', async () => {
    const setup = installSetup();
    setup.useUv();
    const credentials = { user: 'aws', password: 'first-token' };
    const index = await setup.serve([leaf], { credentials });
    const withToken = (token: string) => ({ PIP_INDEX_URL: index.url.replace('//', `//aws:${token}@`) });
    const python = setup.systemPython();
    setup.write('requirements.txt', 'zz-leaf\n');
    expect((await setup.install({ python, env: withToken('first-token') })).result).toMatchObject({ cached: false });
    setup.write('requirements.txt', '# the leaf\nzz-leaf   # of the tree\n');
    expect(isSkipped(await setup.install({ python, env: withToken('second-token') }))).toBe(true);
    expect(
      isSkipped(await setup.install({ python, env: { UV_CACHE_DIR: join(setup.home, 'c'), ...withToken('x') } })),
    ).toBe(true);
  });

  it('are installed again when the file, or what it includes, has changed', async () => {
    const { setup, again } = await installed('-r more.txt\n-c limits.txt\n', {
      'more.txt': 'zz-tool\n',
      'limits.txt': '',
    });
    expect(isSkipped(await again())).toBe(true);
    setup.write('limits.txt', 'zz-leaf==1.0\n');
    const limited = await again();
    expect(limited.result).toMatchObject({ cached: false, installer: 'uv' });
    expect(limited.log).toContain('zz-leaf==1.0');
    setup.write('more.txt', 'zz-leaf\n');
    expect(isSkipped(await again())).toBe(false);
    expect(isSkipped(await again())).toBe(true);
  });

  it('are installed again when the content of a local package has changed', async () => {
    const setup = installSetup();
    setup.useUv();
    await setup.serve([]);
    const python = setup.systemPython();
    const place = (version: string) => {
      const { bytes } = buildWheel({
        name: 'zz-local',
        version: '1.0',
        files: { 'zz_local_text.py': `text = "${version}"\n` },
      });
      mkdirSync(join(setup.project, 'wheels'), { recursive: true });
      writeFileSync(join(setup.project, 'wheels/zz_local-1.0-py3-none-any.whl'), bytes);
    };
    place('one');
    setup.write('requirements.txt', './wheels/zz_local-1.0-py3-none-any.whl\n');
    expect((await setup.install({ python })).result).toMatchObject({ installer: 'uv', packages: 1 });
    expect(isSkipped(await setup.install({ python }))).toBe(true);
    place('two');
    expect(isSkipped(await setup.install({ python }))).toBe(false);
    expect(setup.ask(python, 'import zz_local_text; print(zz_local_text.text)')).toBe('two');
  });

  it('are installed again for another interpreter, and for another index', async () => {
    const { setup, python } = await installed();
    expect(isSkipped(await setup.install({ python: setup.systemPython() }))).toBe(false);
    const other = { UV_DEFAULT_INDEX: `${setup.index?.url}` };
    expect(isSkipped(await setup.install({ python, env: other }))).toBe(false);
  });

  it.each([
    ['no longer installed', (site: string) => rmSync(join(site, 'zz_leaf-1.1.dist-info'), { recursive: true })],
    [
      '1.0 now, not 1.1',
      (site: string) => {
        rmSync(join(site, 'zz_leaf-1.1.dist-info'), { recursive: true });
        placeInstalled(site, { name: 'zz-leaf', version: '1.0' });
      },
    ],
    ['damaged', (site: string) => rmSync(join(site, 'zz_leaf'), { recursive: true })],
  ])('are installed again when a package is %s', async (reason, harm) => {
    const { setup, python, again } = await installed('zz-tool\nzz-leaf==1.1\n');
    harm(siteOf(setup));
    const run = await again();
    expect(run.log).toMatch(new RegExp(`requirements have not changed, but zz-leaf is ${reason}`));
    expect(run.result).toMatchObject({ cached: false, installer: 'uv' });
    expect(setup.ask(python, 'import zz_leaf; print(zz_leaf.__version__)')).toBe('1.1');
    expect(isSkipped(await again())).toBe(true);
  });

  it('are not skipped where only the network could tell', async () => {
    const { setup, index, python } = await installed();
    setup.write('requirements.txt', `-r ${new URL('/files/remote.txt', index.url)}\n`);
    const run = await setup.install({ python, installer: 'uv' });
    expect(run.log).toContain('may have changed: installing again');
  });
});

describe('an install that was killed', () => {
  it('leaves no record, and the next one does it all', async () => {
    const setup = installSetup();
    setup.useUv();
    const slow = buildWheel({ name: 'zz-slow', version: '1.0', padding: 2_000_000 });
    const index = await setup.serve([leaf, slow], { rate: 100_000 });
    const python = setup.systemPython();
    setup.write('requirements.txt', 'zz-leaf\nzz-slow\n');
    let pid = 0;
    const killed = setup.install({
      python,
      onStart: (child) => {
        pid = child.pid ?? 0;
      },
    });
    await waitFor(() => (index.downloads().some((name) => name.startsWith('zz_slow')) ? true : null), 30);
    process.kill(-pid, 'SIGKILL');
    expect((await killed).result).toBeUndefined();
    await index.close();
    await setup.serve([leaf, slow]);

    const next = await setup.install({ python, env: { PIP_INDEX_URL: setup.index?.url ?? '' } });

    expect(next.log).toContain('an earlier install did not complete');
    expect(next.result).toMatchObject({ installer: 'uv', cached: false, packages: 2 });
    expect(readdirSync(join(setup.home, '.runctl'))).toEqual(['installs']);
  });

  it('in the middle of a package is repaired by the next', async () => {
    const { setup, python } = await installed('zz-tool\n');
    // As pip leaves it: files and metadata are there, some of them, and RECORD is the last to come.
    const site = siteOf(setup);
    placeInstalled(site, { name: 'zz-half', version: '1.0' });
    rmSync(join(site, 'zz_half'), { recursive: true });
    for (const name of ['RECORD', 'INSTALLER']) rmSync(join(site, 'zz_half-1.0.dist-info', name));
    const [record] = readdirSync(join(setup.home, '.runctl/installs'));
    expect(record).toMatch(/^[0-9a-f]{64}\.json$/);
    await setup.index?.close();
    await setup.serve([leaf, tool, buildWheel({ name: 'zz-half', version: '1.0' })]);
    setup.write('requirements.txt', 'zz-half\n');
    setup.markUnfinished(site);

    const run = await setup.install({ python });

    expect(run.log).toContain('zz-half 1.0 is incomplete: installing it again');
    expect(setup.ask(python, 'import zz_half; print(zz_half.__version__)')).toBe('1.0');
  });
});
