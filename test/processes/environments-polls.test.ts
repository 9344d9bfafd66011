import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { EnvironmentReport, JobStatus } from '../../core/protocol/answers.ts';
import { usePostStore } from '../support/instance/post-store.ts';
import { sharedUv } from '../support/instance/shared-uv.ts';
import { type TestInstance, type TestRun, useInstances, waitFor } from '../support/instance/test-instance.ts';
import { buildWheel } from '../support/instance/wheels.ts';

const instance = useInstances();
const store = usePostStore();
const WHEEL = buildWheel({ name: 'zz-leaf', version: '1.1', padding: 100_000 });
const INSTALL = {
  requirements: 'requirements.txt',
  installer: 'uv',
  python: null,
  environment: 'project',
  reuse: true,
  env: { PATH: `${dirname(sharedUv())}:/usr/bin:/bin` },
} as const;
const TRAIN = { environment: 'project', maxDuration: 600, checkpoints: null } as const;

/** A run whose install has ended, and whose training has begun. */
async function started(box: TestInstance, script: string, name?: string): Promise<TestRun> {
  writeFileSync(join(box.project, WHEEL.file), WHEEL.bytes);
  box.write('requirements.txt', `./${WHEEL.file}\n`);
  box.write('train.py', script);
  const run = box.giveLease(name === undefined ? box.run() : box.run(name));
  await box.start(run, { install: INSTALL });
  const { result } = await box.ended(run, 'install');
  expect(result?.error).toBeUndefined();
  await box.start(run, { train: TRAIN });
  return run;
}

const poll = (box: TestInstance, run: TestRun) =>
  box.poll(run, 'train', { environment: store().grant({ partBytes: 30_000 }) });

function untilReport(box: TestInstance, run: TestRun, state: EnvironmentReport['state']) {
  return waitFor(async () => {
    const status = (await poll(box, run)) as JobStatus;
    return status.environment?.state === state ? status.environment : null;
  }, 60);
}

describe('the environment of an install', () => {
  it('is stored while the training runs, and its right to send is not for jobs', async () => {
    const box = instance();
    const run = await started(box, 'import time, zz_leaf\ntime.sleep(300)');
    const report = await untilReport(box, run, 'sent');
    expect(report).toMatchObject({ packages: 1, key: expect.stringMatching(/^[0-9a-f]{64}$/) });
    const archive = Buffer.concat(
      store()
        .keys()
        .map((key) => store().bytes(key)),
    );
    expect(report).toMatchObject({ bytes: archive.length, sha256: createHash('sha256').update(archive).digest('hex') });
    const keeper = join(box.root, 'runs', run.key, 'install', 'keeper');
    expect(statSync(keeper).mode & 0o777).toBe(0o700);
    expect(statSync(join(keeper, 'grant.json')).mode & 0o777).toBe(0o600);
    const count = store().tried.length;
    expect((await poll(box, run)).environment).toEqual(report);
    expect(store().tried).toHaveLength(count);
  });

  it('is stored by the next run when the first one left no time for it', async () => {
    const box = instance();
    const first = await started(box, 'import zz_leaf');
    await box.ended(first, 'train');
    await box.release(first);
    const next = await started(box, 'import time\ntime.sleep(300)', 'next');
    expect((await box.poll(next, 'install')).result).toMatchObject({ cached: true, environment: { listing: null } });
    expect(await untilReport(box, next, 'sent')).toMatchObject({ packages: 1 });
  });

  it('is not stored when the training has changed it', async () => {
    const box = instance();
    const edit = 'import zz_leaf\nopen(zz_leaf.__file__, "a").write("EVIL = 1\\n")\n';
    const first = await started(box, `${edit}import time\ntime.sleep(300)`);
    await waitFor(async () => readFileSync(siteFile(box), 'utf8').includes('EVIL') || null, 30);
    const report = await untilReport(box, first, 'failed');
    expect(report).toMatchObject({ message: 'its files have changed since the install' });
    expect(store().keys()).toEqual([]);
  });

  it('is given up when the process that stores it dies three times', async () => {
    const box = instance();
    store().hold = () => new Promise(() => undefined);
    const run = await started(box, 'import time\ntime.sleep(300)');
    const storing = () => box.processes().filter((pid) => commandOf(pid).includes('\0store\0'));
    for (let count = 0; count < 3; count += 1) {
      await poll(box, run);
      const found = await waitFor(async () => (storing().length > 0 ? storing() : null), 30);
      for (const pid of found) process.kill(pid, 'SIGKILL');
      await waitFor(async () => storing().length === 0 || null, 30);
    }
    expect((await poll(box, run)).environment).toMatchObject({
      state: 'failed',
      message: expect.stringMatching(/died/),
    });
  });
});

function siteFile(box: TestInstance): string {
  const lib = join(box.home, '.runctl', 'digits', 'environment', 'lib');
  const python = readdirSync(lib).find((name) => name.startsWith('python3')) ?? '';
  return join(lib, python, 'site-packages', 'zz_leaf', '__init__.py');
}

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}
