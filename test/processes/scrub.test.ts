import { spawnSync } from 'node:child_process';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { PackageIndex } from '../support/instance/package-index.ts';
import { servePackages } from '../support/instance/package-index.ts';
import { killQuietly } from '../support/instance/processes.ts';
import { makeSystemPython } from '../support/instance/pythons.ts';
import { Builder, KEPT_IN_SYSTEM, NEEDLE } from '../support/instance/scrub-setup.ts';
import { logBytes, RUNNER_FOLDER, useInstances, waitFor } from '../support/instance/test-instance.ts';
import { buildWheel } from '../support/instance/wheels.ts';

const instance = useInstances();
let index: PackageIndex | null = null;
afterEach(async () => {
  await index?.close();
  index = null;
});

/** A builder on which a run of the project has ended, and everything is that must go. */
function filledBuilder(modules?: Record<string, string>): Builder {
  const builder = new Builder(instance, modules);
  builder.fill();
  return builder;
}
const KEY = '-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1r\n';
const tree = (folder: string) => readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort();

describe('a builder that is scrubbed', () => {
  it('keeps the packages of its project, and nothing of its machine, its runs or a person', async () => {
    const builder = new Builder(instance);
    const { here } = builder;
    index = await servePackages([buildWheel({ name: 'zz-leaf', version: '1.0' })]);
    const python = makeSystemPython(here.base, [], false);
    const url = index.url.replace('://', `://ann:${NEEDLE}@`);
    const install = { environment: 'project', installer: 'uv', python, env: { PIP_INDEX_URL: url } } as const;
    builder.useUv();
    const requirements = () => here.write('requirements.txt', 'zz-leaf==1.0\n');
    requirements();
    here.write('train.py', `print("${NEEDLE}")\n`);
    here.giveLease(builder.done);
    await here.start(builder.done, { install });
    expect((await here.ended(builder.done, 'install')).exit).toMatchObject({ code: 0 });
    await here.start(builder.done, { train: { environment: 'project', python } });
    await here.ended(builder.done, 'train');
    await here.release(builder.done);
    const leaf = join(here.home, '.runctl/digits/environment/lib');
    const opened = builder.place(join(here.home, '.runctl/image/opened.txt'), '');
    const [kept = ''] = tree(leaf).filter((path) => path.endsWith('zz_leaf/__init__.py'));
    writeFileSync(opened, `${join(leaf, kept)}\n${join(here.project, 'train.py')}\n/${NEEDLE}\nX-Amz-Signature=0\n`);
    builder.fill();
    expect(builder.withNeedle().length).toBeGreaterThan(50);

    expect(await builder.scrub()).toMatchObject({ state: 'scrubbing', reasons: [] });
    const state = await builder.until('scrubbed');

    expect(state).toMatchObject({
      base: 'ami-0123456789abcdef0',
      project: 'digits',
      reason: null,
      bootId: builder.boot,
    });
    expect(builder.withNeedle()).toEqual([]);
    expect(readdirSync(here.root).sort()).toEqual(['allow-root', 'image.json', 'programs']);
    expect(readFileSync(join(builder.system, 'etc/machine-id'), 'utf8')).toBe('');
    expect(existsSync(join(builder.system, 'var/lib/dbus/machine-id'))).toBe(false);
    expect(KEPT_IN_SYSTEM.filter((name) => !existsSync(join(builder.system, name)))).toEqual([]);
    expect(readdirSync(here.home).sort()).toEqual(['.config', '.docker', '.local', '.runctl']);
    expect(readFileSync(opened, 'utf8')).toBe(`${join(leaf, kept)}\n`);
    // In this boot nothing begins any more, and the same request has no effect.
    expect(await here.start(here.run(), { sync: {} })).toMatchObject({ state: 'refused', reason: 'stopping' });
    expect(await builder.scrub()).toMatchObject({ state: 'scrubbing' });

    builder.boot = 'boot-of-another-instance';
    mkdirSync(here.project, { recursive: true });
    requirements();
    const run = here.giveLease(here.run());
    await here.start(run, { install });
    const status = await here.ended(run, 'install');
    expect(logBytes(status).toString()).toContain('nothing to install');
    expect(status.result).toMatchObject({ cached: true, packages: 1 });
    await here.release(run);
    const again = await builder.scrub(run);
    expect(again).toMatchObject({ state: 'failed', reasons: [expect.stringContaining('started from an image')] });
  });

  it('is busy while a run has it, and nothing has changed', async () => {
    const builder = filledBuilder();
    const before = tree(builder.here.home);
    const holder = builder.here.giveLease(builder.here.run());
    const answer = await builder.scrub();
    expect(answer).toMatchObject({ state: 'busy', reasons: [expect.stringContaining(holder.id)] });
    expect(tree(builder.here.home)).toEqual(before);
    expect(existsSync(join(builder.here.root, 'image.json'))).toBe(false);
  });

  it('stays on with its registration when a key is found, which the answer names by its path', async () => {
    const builder = filledBuilder();
    const { here } = builder;
    const key = builder.place(join(here.home, 'notes/2024/deploy.txt'), `how to: ${KEY}`);
    const settings = builder.place(
      join(here.home, '.config/pip/pip.conf'),
      'index-url = https://ann:pass@pypi.test/\n',
    );
    await builder.scrub();
    await builder.until('failed');
    expect(builder.isDown).toBe(false);
    expect(builder.hasRegistration()).toBe(true);
    const { state, reasons } = await builder.scrub();
    expect(state).toBe('failed');
    expect([...reasons].sort()).toEqual([
      `an image must not have ${settings} (a password in a URL)`,
      `an image must not have ${key} (a private key)`,
    ]);
    // A later run tries again.
    unlinkSync(key);
    unlinkSync(settings);
    expect(await builder.scrub(here.run())).toMatchObject({ state: 'scrubbing' });
    await builder.until('scrubbed');
    expect(builder.withNeedle()).toEqual([]);
  });

  it('is scrubbed to the end after its process was killed in the middle', async () => {
    const source = readFileSync(join(RUNNER_FOLDER, 'image/system.py'), 'utf8');
    const held = `${source}
import os, time
_clean = clean
def clean(system):
    while os.path.exists(system.path + "/hold"):
        time.sleep(0.02)
    _clean(system)
`;
    const builder = filledBuilder({ 'image/system.py': held });
    const hold = builder.place(join(builder.system, 'hold'), '');
    await builder.scrub();
    await waitFor(() => !existsSync(join(builder.here.root, 'runs')) || null);
    expect(await builder.scrub()).toMatchObject({ state: 'scrubbing' });
    for (const pid of builder.here.processes()) killQuietly(pid);
    await waitFor(() => builder.here.processes().length === 0 || null);
    unlinkSync(hold);
    expect(await builder.scrub()).toMatchObject({ state: 'scrubbing' });
    await builder.until('scrubbed');
    expect(builder.withNeedle()).toEqual([]);
  });

  it('keeps what links lead to', async () => {
    const builder = filledBuilder();
    const { here, system } = builder;
    const outside = join(here.base, 'outside');
    builder.place(join(outside, 'gcloud/data'), 'of somebody else');
    builder.place(join(outside, 'log'), 'of somebody else');
    rmSync(join(here.home, '.cache'), { recursive: true });
    for (const link of ['.cache', 'digits/data', '.ssh/more']) symlinkSync(outside, join(here.home, link));
    for (const link of ['tmp/link', 'var/log/outside', 'var/lib/amazon/ssm/link'])
      symlinkSync(outside, join(system, link));
    symlinkSync(join(outside, 'log'), join(system, 'var/log/linked.log'));
    await builder.scrub();
    await builder.until('scrubbed');
    expect(readFileSync(join(outside, 'gcloud/data'), 'utf8')).toBe('of somebody else');
    expect(readFileSync(join(outside, 'log'), 'utf8')).toBe('of somebody else');
    expect(() => lstatSync(join(here.home, '.cache'))).toThrow(/ENOENT/);
  });

  it('is not scrubbed when a link hides what must go', async () => {
    const builder = filledBuilder();
    const outside = join(builder.here.base, 'outside');
    builder.place(join(outside, 'gcloud/data'), NEEDLE);
    rmSync(join(builder.here.home, '.config'), { recursive: true });
    symlinkSync(outside, join(builder.here.home, '.config'));
    await builder.scrub();
    expect((await builder.until('failed')).reason).toContain('.config (it is a symbolic link');
    expect(builder.hasRegistration()).toBe(true);
  });
});

describe('an instance that is not a builder is never scrubbed', () => {
  it.each<[string, RegExp, (builder: Builder) => object | undefined]>([
    ['has runs of several projects', /runs of other projects: mnist/, (builder) => void builder.ranOf('mnist')],
    [
      'had no run of the project',
      /no run of the project/,
      ({ here }) => void rmSync(join(here.root, 'runs'), { recursive: true }),
    ],
    [
      'was started a day ago',
      /started 25 hours ago/,
      (builder) => void builder.place(join(builder.system, 'proc/uptime'), '90000.12 1.00\n'),
    ],
    ['has a home of the machine', /home of a user of this machine/, () => ({ home: null })],
  ])('because it %s', async (_, reason, change) => {
    const builder = filledBuilder();
    const fields = change(builder);
    const before = builder.files();
    expect(await builder.scrub(builder.done, fields)).toMatchObject({
      state: 'failed',
      reasons: [expect.stringMatching(reason)],
    });
    before.delete(join(builder.here.root, 'lease/lock'));
    for (const [path, text] of before) expect(readFileSync(path, 'latin1'), path).toBe(text);
    expect(existsSync(join(builder.here.root, 'image.json'))).toBe(false);
    expect(builder.isDown).toBe(false);
  });
});

describe('an instance that was started from an image', () => {
  /** Reads are recorded, since nothing else shows them. */
  const READER = `${readFileSync(join(RUNNER_FOLDER, 'image/read_ahead.py'), 'utf8')}
_read = os.read
def _noted(fd, size):
    path = os.readlink(f"/proc/self/fd/{fd}")
    with open(os.environ["RUNCTL_SYSTEM_ROOT"] + "/read", "a") as file:
        file.write(f"{path} {size}\\n")
    return _read(fd, size)
os.read = _noted
`;

  function started() {
    const builder = new Builder(instance, { 'image/read_ahead.py': READER });
    const { here } = builder;
    const about = { key: 'k', base: 'ami-0', project: 'digits', run: 'r', reason: null, at: 1 };
    builder.place(
      join(here.root, 'image.json'),
      JSON.stringify({ ...about, state: 'scrubbed', bootId: 'the builder' }),
    );
    const file = builder.place(join(here.home, 'lib/model.py'), 'x');
    const link = join(here.home, 'lib/link');
    symlinkSync(file, link);
    const fifo = join(here.home, 'lib/fifo');
    builder.place(join(here.home, '.runctl/image/opened.txt'), `${fifo}\n${link}\nlib\n/missing\n${file}\n`);
    return { builder, here, file, fifo, read: join(builder.system, 'read') };
  }

  it('reads the files of the list once in a boot, and neither pipes nor links', async () => {
    const { builder, here, file, fifo, read } = started();
    spawnSync('mkfifo', [fifo]);
    const runs = [here.run(), here.run()] as const;
    const reads = () =>
      existsSync(read)
        ? readFileSync(read, 'utf8')
            .split('\n')
            .filter((line) => line.startsWith(here.home))
        : [];
    for (const run of runs) {
      expect((await here.start(run, { sync: {} }, { wait: 0 })).state).not.toBe('refused');
      await waitFor(() => reads().length >= 2 || null);
      await here.release(run);
      await waitFor(() => here.processes().length === 0 || null);
    }
    expect(reads()).toEqual([`${file} 1048576`, `${file} 1048576`]);
    builder.boot = 'the next boot';
    await here.start(here.run(), { sync: {} }, { wait: 0 });
    await waitFor(() => reads().length === 4 || null);
  });

  it('starts runs also when that does not work', async () => {
    const { here, read } = started();
    mkdirSync(join(here.root, 'lease/read-ahead.json'), { recursive: true });
    const run = here.run();
    expect((await here.start(run, { sync: {} }, { wait: 0 })).state).not.toBe('refused');
    await here.release(run);
    expect(existsSync(read)).toBe(false);
    expect(statSync(join(here.root, 'lease/read-ahead.json')).isDirectory()).toBe(true);
  });
});
