import { createHash } from 'node:crypto';
import { chmodSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { digestsOf, useEnvironmentStore } from '../support/instance/environment-store.ts';
import {
  type InstallOptions,
  type InstallRun,
  InstallSetup,
  isRoot,
  useInstallSetup,
} from '../support/instance/install-setup.ts';
import { type Entry, tar } from '../support/instance/tarball.ts';
import { buildWheel } from '../support/instance/wheels.ts';

const FAULT = fileURLToPath(new URL('./sync-fault.py', import.meta.url));
type Reference = NonNullable<InstallOptions['environments']>;
const first = useInstallSetup();
const second = useInstallSetup();
const store = useEnvironmentStore();

const TORCH = { name: 'zz-torch', version: '2.0' };
const SCRIPT = '[console_scripts]\nzz-tool = zz_leaf:main\n';
const index = [
  buildWheel({
    name: 'zz-leaf',
    version: '1.1',
    padding: 300_000,
    files: { 'zz_leaf/tool.py': 'import sys\n', 'zz_leaf-1.1.dist-info/entry_points.txt': SCRIPT },
  }),
  buildWheel({ name: 'zz-needs-torch', version: '1.0', requires: ['zz-torch>=1', 'zz-leaf'] }),
];

/** An install on a first instance, and its archive in S3. */
async function stored(installer: 'uv' | 'pip' = 'uv', more: InstallOptions = {}) {
  const setup = first();
  setup.useUv();
  await setup.serve(index);
  const python = setup.systemPython([TORCH]);
  const options: InstallOptions = { python, installer, environment: 'project', reuse: true, ...more };
  setup.write('requirements.txt', 'zz-needs-torch\n');
  const run = await setup.install(options);
  return { setup, run, options };
}

/** The same install on another instance, whose index is not there. */
function again(setup: InstallSetup, options: InstallOptions, more: InstallOptions): Promise<InstallRun> {
  setup.write('requirements.txt', 'zz-needs-torch\n');
  return setup.install({ ...options, env: { PIP_INDEX_URL: first().index?.url ?? '' }, ...more });
}

describe('an environment that is stored', () => {
  it.each(['uv', 'pip'] as const)('is restored on another instance, byte for byte, with %s', async (installer) => {
    const { setup, run, options } = await stored(installer);
    expect(run).toMatchObject({ code: 0, result: { environment: { restored: false, sha256: null } } });
    const report = await store().store(setup, run, { partBytes: 100_000 });
    expect(report).toMatchObject({ state: 'sent', packages: 2, key: run.result.environment?.key });
    expect(report.etags.length).toBeGreaterThan(3);

    const downloads = setup.index?.requests.length;
    const other = second();
    const restored = await again(other, options, { environments: store().list(store().stored(report)) });
    expect(restored.log).toMatch(/\nrestored 2 packages \(0 MB\) from S3 in \d\.\d s\n/);
    expect(restored.result).toMatchObject({ cached: true, installer: run.result.installer, packages: 3 });
    expect(restored.result.environment).toEqual({
      key: report.key,
      restored: true,
      sha256: report.sha256,
      listing: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
    expect(restored.progress.map(({ phase }) => phase)).toContain('restoring');
    expect(setup.index?.requests.length).toBe(downloads);
    expect(digestsOf(other)).toEqual(digestsOf(setup));
    const code = 'import zz_leaf, zz_torch; print(zz_leaf.__version__, zz_torch.__version__)';
    expect(other.ask(restored.result.python, code)).toBe('1.1 2.0');
    const script = readFileSync(join(other.home, '.runctl/digits/environment/bin/zz-tool'), 'utf8');
    expect(script).not.toContain(setup.home);
    expect(script).toContain(restored.result.python.replace(/3$/, ''));
    // A run that uses it after 15 days stores it again.
    const renewed = await store().store(other, restored);
    expect(renewed).toMatchObject({ state: 'sent', key: report.key, packages: 2 });
    expect((await again(other, options, {})).result).toMatchObject({ cached: true, environment: { restored: false } });
  });

  it('is not restored where a file or the instance differs: Python, image, settings, project', async () => {
    const { setup, run, options } = await stored();
    const key = run.result.environment?.key;
    const keyOf = async (more: InstallOptions, text = 'zz-needs-torch\n') => {
      const other = new InstallSetup();
      try {
        other.useUv();
        other.write('requirements.txt', text);
        other.write('../other/requirements.txt', text);
        const env = { PIP_INDEX_URL: setup.index?.url ?? '', ...more.env };
        return (await other.install({ ...options, ...more, env })).result.environment?.key;
      } finally {
        await other.close();
      }
    };
    expect(key).toMatch(/^[0-9a-f]{64}$/);
    expect(await keyOf({})).toBe(key);
    const image = second().systemPython([{ ...TORCH, version: '3.0' }]);
    const others = [
      await keyOf({}, 'zz-needs-torch==1.0\n'),
      await keyOf({ python: second().systemPython([TORCH]) }),
      await keyOf({ python: image }),
      await keyOf({ env: { UV_PRERELEASE: 'allow' } }),
      await keyOf({ installer: 'pip' }),
      await keyOf({ project: 'other' }),
    ];
    expect(new Set([key, ...others]).size).toBe(others.length + 1);
    for (const one of others) expect(one).toMatch(/^[0-9a-f]{64}$/);
  });

  it('is not made of an environment that had packages before, nor of a local project', async () => {
    const { setup, options } = await stored();
    setup.write('requirements.txt', 'zz-leaf==1.1\n');
    const later = await setup.install(options);
    expect(later.result).toMatchObject({ cached: false, environment: { listing: null } });
    setup.write('requirements.txt', '-e ./mine\n');
    setup.write('mine/pyproject.toml', '[project]\nname = "mine"\nversion = "1"\n');
    expect((await setup.install(options)).result).not.toHaveProperty('environment');
  });
});

describe('an archive that is no good', () => {
  const FALLBACK = /the stored environment was not restored, installing instead: (.*)\n/;

  /** Restores what a change of the archive leaves; expects an install instead. */
  async function restoredWith(change: (archive: Buffer) => Buffer, { signed = true } = {}): Promise<string> {
    const { setup, run, options } = await stored();
    const report = await store().store(setup, run);
    const whole = store().stored(report);
    const archive = change(Buffer.concat(whole.parts));
    const digest = signed ? createHash('sha256').update(archive).digest('hex') : whole.sha256;
    const environments = store().list({ ...whole, sha256: digest, parts: [archive] });
    return fellBack(options, environments);
  }

  /** Why the install did not restore. */
  async function fellBack(options: InstallOptions, environments: Reference): Promise<string> {
    const other = second();
    other.useUv();
    const run = await again(other, options, { environments });
    expect(run).toMatchObject({ code: 0, result: { cached: false, environment: { restored: false, sha256: null } } });
    expect(digestsOf(other, { records: false })).toEqual(digestsOf(first(), { records: false }));
    expect(run.log).not.toContain('c0ffee');
    return FALLBACK.exec(run.log)?.[1] ?? '';
  }

  const entry = (name: string, more: Partial<Entry> = {}) => tar([{ name, data: 'x', ...more }]).subarray(0, -1024);
  const withMore = (extra: Buffer) => (archive: Buffer) =>
    Buffer.concat([archive.subarray(0, -1024), extra, Buffer.alloc(1024)]);

  it.each([
    ['cut off', (archive: Buffer) => archive.subarray(0, archive.length / 2), /is cut off in the middle/],
    ['empty', () => Buffer.alloc(1024), /does not begin with its description/],
    ['with an absolute path', withMore(entry('/tmp/runctl-evil')), /is absolute/],
    ['with a path that leads out', withMore(entry('lib/../../../evil')), /leads out of its folder/],
    [
      'with a symbolic link',
      withMore(entry('lib/evil', { type: '2', link: '/etc/passwd', data: '' })),
      /symbolic link/,
    ],
    ['with a hard link', withMore(entry('lib/evil', { type: '1', link: '/etc/passwd', data: '' })), /hard link/],
    ['that completes an environment', withMore(entry('runctl.json')), /no file of a package/],
    ['that replaces the interpreter', withMore(entry('bin/python3')), /bin\/python3 twice/],
    ['with a file twice', withMore(Buffer.concat([entry('lib/a'), entry('lib/a')])), /lib\/a twice/],
    [
      'of another key',
      (archive: Buffer) => Buffer.from(archive.toString('latin1').replace(/"key": "./, '"key": "x'), 'latin1'),
      /of another environment/,
    ],
  ] as [string, (archive: Buffer) => Buffer, RegExp][])('%s is not restored', async (_, change, why) => {
    expect(await restoredWith(change)).toMatch(why);
  });

  it('with one wrong bit has another digest', async () => {
    const flip = (archive: Buffer) => Buffer.from(archive).fill((archive[200_000] ?? 0) ^ 1, 200_000, 200_001);
    expect(await restoredWith(flip, { signed: false })).toBe('its SHA-256 is wrong');
  });

  it.each([
    ['that is gone', 404, 'NoSuchKey', /^it could not be fetched: S3 answered 404 NoSuchKey/],
    ['whose URL has expired', 403, 'AccessDenied', /^it could not be fetched: S3 answered 403 AccessDenied/],
  ] as const)('%s is installed', async (_, status, code, why) => {
    const { setup, run, options } = await stored();
    const report = await store().store(setup, run, { partBytes: 100_000 });
    const environments = store().list(store().stored(report));
    store().meddle = (name, response) => {
      if (name === 'list' || store().asked.length < 3) return false;
      response.writeHead(status).end(`<Error><Code>${code}</Code></Error>`);
      return true;
    };
    expect(await fellBack(options, environments)).toMatch(why);
  });

  it('that claims more than the disk has room for is not fetched', async () => {
    const { options, run } = await stored();
    const key = run.result.environment?.key ?? '';
    const huge = { key, sha256: 'a'.repeat(64), parts: [], claims: { parts: 4_096, bytes: 64 * 2 ** 20 } };
    expect(await fellBack(options, store().list(huge))).toBe('the disk has no room for 274878 MB');
    const larger = { ...huge, claims: { parts: 1, bytes: 64 * 2 ** 20 + 1 } };
    expect(store().asked).toEqual(['list']);
    rmSync(join(second().home, '.runctl'), { recursive: true });
    expect(await fellBack(options, store().list(larger))).toMatch(/list of stored environments cannot be read/);
  });

  it('whose list is not the one that was written is installed', async () => {
    const { setup, run, options } = await stored();
    const list = store().list(store().stored(await store().store(setup, run)));
    expect(await fellBack(options, { ...list, sha256: '0'.repeat(64) })).toMatch(/is not the one that was written/);
  });
});

describe('a restore', () => {
  it('that is killed at any change to the disk leaves an environment that is not used, or a whole one', async () => {
    const { setup, run, options } = await stored();
    const environments = store().list(store().stored(await store().store(setup, run)));
    const other = second();
    other.useUv();
    const outcomes = { killed: 0, restored: 0 };
    for (let at = 1; ; at += 4) {
      const words = (program: string) => ['-I', '-B', FAULT, 'kill', String(at), program, 'install'];
      const killed = await again(other, options, { environments, words });
      if (killed.code === 0) break;
      outcomes.killed += 1;
      const next = await again(other, options, { environments });
      expect(next, `killed at ${at}`).toMatchObject({ code: 0, result: { environment: { key: expect.any(String) } } });
      expect(next.log, `killed at ${at}`).not.toMatch(/not restored|to install/);
      if (next.result.environment?.restored) outcomes.restored += 1;
      expect(digestsOf(other), `killed at ${at}`).toEqual(digestsOf(setup));
      rmSync(join(other.home, '.runctl'), { recursive: true });
    }
    expect(outcomes.restored).toBeGreaterThan(3);
  });

  it('that fills the disk is followed by an install', async () => {
    const { setup, run, options } = await stored();
    const environments = store().list(store().stored(await store().store(setup, run)));
    const other = second();
    other.useUv();
    for (const at of [3, 5, 8, 12]) {
      const words = (program: string) => ['-I', '-B', FAULT, 'full-once', String(at), program, 'install'];
      const full = await again(other, options, { environments, words });
      expect(full, `full at ${at}`).toMatchObject({ code: 0 });
      expect(digestsOf(other, { records: false }), `full at ${at}`).toEqual(digestsOf(setup, { records: false }));
      rmSync(join(other.home, '.runctl'), { recursive: true });
    }
  });
});

describe('storing', () => {
  it('refuses files that a training has written, replaced or added to since the install', async () => {
    const { setup, run } = await stored();
    const site = setup.ask(run.result.python, 'import zz_leaf, os; print(os.path.dirname(zz_leaf.__file__))');
    const module = join(site, '__init__.py');
    const { atime, mtime } = statSync(module);
    const text = readFileSync(module, 'utf8');
    writeFileSync(module, text.replace('1.1', '6.6'));
    utimesSync(module, atime, mtime);
    expect(await store().store(setup, run)).toMatchObject({
      state: 'failed',
      message: 'its files have changed since the install',
    });
    writeFileSync(module, text);
    utimesSync(module, atime, mtime);
    expect(await store().store(setup, run)).toMatchObject({ state: 'failed' });
    expect(store().posts.keys()).toEqual([]);
  });

  it('leaves out what a training has put beside the packages', async () => {
    const { setup, run } = await stored();
    const site = setup.ask(run.result.python, 'import zz_leaf, os; print(os.path.dirname(zz_leaf.__file__))');
    writeFileSync(join(site, 'evil.py'), '1');
    writeFileSync(join(site, '..', 'evil.pth'), 'import os');
    const report = await store().store(setup, run);
    expect(report).toMatchObject({ state: 'sent' });
    const archive = Buffer.concat(store().stored(report).parts);
    expect(archive.includes('evil')).toBe(false);
  });

  it('refuses a package that works in its folder alone', async () => {
    const setup = first();
    setup.useUv();
    const home = `import sys; HOME = ${JSON.stringify(join(setup.home, '.runctl/digits/environment'))}`;
    await setup.serve([buildWheel({ name: 'zz-bound', version: '1.0', files: { 'zz_bound/config.py': home } })]);
    setup.write('requirements.txt', 'zz-bound\n');
    const run = await setup.install({ python: setup.systemPython(), environment: 'project', reuse: true });
    expect(await store().store(setup, run)).toMatchObject({
      state: 'failed',
      message: expect.stringMatching(/zz_bound\/config.py has the path of the environment in it$/),
    });
  });

  it.runIf(isRoot)('reads files as the user: root opens none of them', async () => {
    const { setup, run } = await stored('uv', { unprivileged: true });
    const folder = join(setup.home, '.runctl/digits/environment/lib');
    chmodSync(folder, 0o000); // root could read it all the same
    expect(await store().store(setup, run, { unprivileged: true })).toMatchObject({ state: 'failed' });
    chmodSync(folder, 0o755);
    expect(await store().store(setup, run, { unprivileged: true })).toMatchObject({ state: 'sent', packages: 2 });
  });
});
