import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import type { JobStatus, KeeperReport } from '../../core/protocol/answers.ts';
import type { CheckpointGrant, CheckpointsRequest } from '../../core/protocol/messages.ts';
import { usePostStore } from '../support/instance/post-store.ts';
import {
  type Answer,
  isAlive,
  isRoot,
  NOBODY,
  RUNNER_FOLDER,
  type TestInstance,
  type TestRun,
  useInstances,
  waitFor,
} from '../support/instance/test-instance.ts';

const FIXTURES = fileURLToPath(new URL('../fixtures/checkpoints', import.meta.url));
const instance = useInstances();
const store = usePostStore();
const TRAIN = { maxDuration: 600 };
const REQUEST: CheckpointsRequest = { folder: null, every: 0, firstSeq: 1 };
/** Saves as torch does it well: under another name first. */
const SAVE = `import os, shutil, sys, time
def save(name, source=${JSON.stringify(join(FIXTURES, 'torch.pt'))}):
    os.makedirs(os.path.dirname(name), exist_ok=True)
    shutil.copy(source, name + ".tmp")
    os.utime(name + ".tmp")
    os.rename(name + ".tmp", name)
`;

async function started(box: TestInstance, script: string, checkpoints: CheckpointsRequest | null = REQUEST) {
  box.write('train.py', SAVE + script);
  const run = box.giveLease(box.run());
  await box.start(run, { train: { ...TRAIN, checkpoints } });
  return run;
}

/** Polls with a right to send until the report is as it should be. */
function untilReport(
  box: TestInstance,
  run: TestRun,
  met: (report: KeeperReport, status: Answer<JobStatus>) => boolean,
  { grant = {}, seconds = 40 }: { grant?: Partial<CheckpointGrant>; seconds?: number } = {},
): Promise<KeeperReport> {
  return waitFor(async () => {
    const status = await box.poll(run, 'train', { checkpoints: store().grant(grant) });
    return status.checkpoints && met(status.checkpoints, status) ? status.checkpoints : null;
  }, seconds);
}

const keepers = (box: TestInstance) =>
  box.processes().filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('\0keep\0');
    } catch {
      return false;
    }
  });

describe('a training that saves checkpoints', () => {
  it('has them sent while it runs, each with the list of its files, until they are committed', async () => {
    const box = instance();
    const run = await started(box, 'save("checkpoints/epoch-1.pt")\ntime.sleep(300)');
    const report = await untilReport(box, run, ({ units }) => units.length > 0);
    expect(report).toMatchObject({ state: 'watching', uploading: null, warnings: [] });
    const torch = readFileSync(join(FIXTURES, 'torch.pt'));
    expect(report.units).toEqual([
      expect.objectContaining({ seq: 1, name: 'checkpoints/epoch-1.pt', format: 'torch', marked: false, files: 1 }),
    ]);
    expect(report.units[0]?.bytes).toBe(torch.length);
    expect(store().keys()).toEqual(['1/data/checkpoints/epoch-1.pt', '1/files.json']);
    expect(store().bytes('1/data/checkpoints/epoch-1.pt').equals(torch)).toBe(true);
    expect(store().json('1/files.json')).toMatchObject({
      seq: 1,
      name: 'checkpoints/epoch-1.pt',
      files: [{ path: 'checkpoints/epoch-1.pt', bytes: torch.length, parts: [{ bytes: torch.length }] }],
    });
    await untilReport(box, run, ({ units }) => units.length === 0, { grant: { committed: 1 } });
    expect(store().tried).toHaveLength(2);
  });

  it('has the last one sent when it has ended, without waiting for quiet', async () => {
    const box = instance();
    const run = await started(box, 'save("checkpoints/last.pt")');
    await box.ended(run, 'train');
    const began = Date.now();
    const report = await untilReport(box, run, ({ state }) => state === 'done');
    expect(report.units.map(({ name }) => name)).toEqual(['checkpoints/last.pt']);
    expect(Date.now() - began).toBeLessThan(20_000);
    await waitFor(() => keepers(box).length === 0 || null);
  });

  it('that comes faster than it is sent: the newest is sent, and it is said once', async () => {
    const box = instance();
    const script = 'for n in range(4):\n    save(f"checkpoints/epoch-{n}.pt")\n    time.sleep(0.01)\ntime.sleep(300)';
    const run = await started(box, script);
    const report = await untilReport(box, run, ({ units }) => units.length > 0);
    expect(report.units.map(({ name }) => name)).toEqual(['checkpoints/epoch-3.pt']);
    expect(report.warnings).toEqual([expect.stringContaining('saved faster than they are sent')]);
  });

  it('in several series has the newest of each sent', async () => {
    const box = instance();
    const run = await started(box, 'save("checkpoints/best.pt")\nsave("checkpoints/last.pt")\ntime.sleep(300)');
    const report = await untilReport(box, run, ({ units }) => units.length > 1);
    expect(report.units.map(({ name }) => name).sort()).toEqual(['checkpoints/best.pt', 'checkpoints/last.pt']);
  });

  it('has nothing sent that was there before, and nothing of another folder than the one of the spec', async () => {
    const box = instance();
    mkdirSync(join(box.project, 'state'), { recursive: true });
    copyFileSync(join(FIXTURES, 'torch.pt'), join(box.project, 'state', 'old.pt'));
    const run = await started(box, 'save("checkpoints/a.pt")\nsave("state/new.pt")\ntime.sleep(300)', {
      ...REQUEST,
      folder: 'state',
      firstSeq: 7,
    });
    const report = await untilReport(box, run, ({ units }) => units.length > 0);
    expect(report.units.map(({ name, seq }) => [name, seq])).toEqual([['state/new.pt', 7]]);
    expect(store().keys()).toEqual(['7/data/state/new.pt', '7/files.json']);
  });
});

describe('the environment of a training', () => {
  it.each([
    ['the usual folder', null, {}, 'checkpoints'],
    ['the folder of the spec', { ...REQUEST, folder: 'state/x' }, {}, 'state/x'],
    ["the run's own variable", REQUEST, { SM_CHECKPOINT_DIR: '/mnt/x', RUNCTL_CHECKPOINT_DIR: '/mnt/x' }, null],
  ])('names the folder of checkpoints: %s', async (_, checkpoints, env, folder) => {
    const box = instance();
    const names = ['RUNCTL_CHECKPOINT_DIR', 'SM_CHECKPOINT_DIR', 'AIP_CHECKPOINT_DIR', 'RUNCTL_ATTEMPT'];
    box.write('train.py', `import os\nfor name in ${JSON.stringify(names)}:\n    print(os.environ[name])\n`);
    const run = box.giveLease(box.run());
    await box.start(run, { train: { ...TRAIN, checkpoints, env } });
    await box.ended(run, 'train');
    const usual = join(box.project, folder ?? 'checkpoints');
    const named = folder === null ? '/mnt/x' : usual;
    expect(box.logOf(run, 'train').toString().trimEnd().split('\n')).toEqual([named, named, usual, '1']);
  });
});

describe('a keeper', () => {
  it('is not started without a request for it, nor by a poll without a right', async () => {
    const box = instance();
    const none = await started(box, 'save("checkpoints/a.pt")\ntime.sleep(300)', null);
    expect((await box.poll(none, 'train', { checkpoints: store().grant() })).checkpoints).toBeNull();
    const other = await started(box, 'time.sleep(300)');
    expect((await box.poll(other, 'train')).checkpoints).toBeNull();
    expect(keepers(box)).toEqual([]);
  });

  it('that is killed in the middle of a part is replaced, and the other sends what is missing', async () => {
    const box = instance();
    const big = join(box.base, 'big.npy');
    const data = Buffer.alloc(1_000_000, 7);
    const header = Buffer.from(
      `{'descr': '|u1', 'fortran_order': False, 'shape': (${data.length - 128},), }`.padEnd(117) + '\n',
    );
    writeFileSync(big, Buffer.concat([Buffer.from('\x93NUMPY\x01\x00v\x00', 'latin1'), header, data.subarray(128)]));
    let release: (() => void) | null = null;
    store().hold = (key) =>
      key.endsWith('00007') && release === null
        ? new Promise((resolve) => {
            release = resolve;
          })
        : Promise.resolve();
    const run = await started(box, `save("checkpoints/a.npy", ${JSON.stringify(big)})\ntime.sleep(300)`);
    const grant = { wholeBytes: 100_000, partBytes: 100_000 };
    await untilReport(box, run, () => release !== null, { grant });
    const notes = () => box.marker(run, 'train', 'keeper/upload.json') as { sent: Record<string, string> };
    await waitFor(() => Object.keys(notes().sent).length > 4 || null);
    const first = keepers(box);
    expect(first.length).toBeGreaterThan(1); // and the process that sends
    const [main] = first.sort((a, b) => a - b);
    process.kill(main as number, 'SIGKILL');
    await waitFor(() => first.every((pid) => !isAlive(pid)) || null);
    const report = await untilReport(box, run, ({ units }) => units.length > 0, { grant });
    expect(report.units[0]).toMatchObject({ seq: 1, format: 'npy', bytes: readFileSync(big).length });
    const parts = store()
      .keys()
      .filter((key) => key.startsWith('1/parts/'));
    expect(parts).toHaveLength(10);
    expect(Buffer.concat(parts.map((key) => store().bytes(key))).equals(readFileSync(big))).toBe(true);
    const twice = store().tried.filter((key, index, all) => all.indexOf(key) !== index);
    expect(twice.length).toBeLessThan(9); // those that were under way
  });

  it.each([
    ['that was reported', ['state.json'], 0, 2],
    ['that is committed', ['state.json', 'report.json'], 5, 6],
  ])(
    'never uses a number %s for another checkpoint, when a full disk took no notes',
    async (_, lost, committed, next) => {
      const box = instance();
      const script =
        'save("checkpoints/a.pt")\nwhile not os.path.exists("go"): time.sleep(0.1)\nsave("checkpoints/b.pt")\ntime.sleep(300)';
      const run = await started(box, script);
      await untilReport(box, run, ({ units }) => units.length > 0);
      for (const pid of keepers(box)) process.kill(pid, 'SIGKILL');
      await waitFor(() => keepers(box).length === 0 || null);
      for (const name of lost) rmSync(join(box.jobFolder(run, 'train'), 'keeper', name));
      store().stored.clear();
      box.write('go', '');
      const grant = { committed };
      const isThere = ({ units }: KeeperReport) => units.some(({ name }) => name === 'checkpoints/b.pt');
      const report = await untilReport(box, run, isThere, { grant });
      expect(report.units.every(({ seq }) => seq >= next)).toBe(true);
      expect(
        store()
          .keys()
          .every((key) => Number(key.split('/')[0]) >= next),
      ).toBe(true);
    },
  );

  it('goes on when S3 has refused for a while', async () => {
    const box = instance();
    let left = 3;
    store().refuses = () => (left-- > 0 ? 503 : null);
    const run = await started(box, 'save("checkpoints/a.pt")\ntime.sleep(300)');
    const report = await untilReport(box, run, ({ units }) => units.length > 0);
    expect(report.units).toHaveLength(1);
    expect(store().tried.filter((key) => key.startsWith('1/data/'))).toHaveLength(4);
  });

  it('is done in the first poll after the end of a training without checkpoints', async () => {
    const box = instance();
    const run = await started(box, 'print("no checkpoint")');
    await box.ended(run, 'train');
    const status = await box.poll(run, 'train', { checkpoints: store().grant() });
    expect(status.checkpoints).toEqual({ state: 'done', units: [], uploading: null, warnings: [], notice: null });
  });

  it('ends a while after its training, when S3 takes nothing', async () => {
    const files = readFileSync(join(RUNNER_FOLDER, 'common', 'keeper_files.py'), 'utf8');
    const box = instance({ modules: { 'common/keeper_files.py': files.replace('DRAIN_S = 60.0', 'DRAIN_S = 4.0') } });
    store().hold = () => new Promise(() => undefined);
    const run = await started(box, 'save("checkpoints/a.pt")');
    await box.ended(run, 'train');
    const report = await untilReport(box, run, ({ state }) => state === 'done');
    expect(report.units).toEqual([]);
    expect(report.warnings).toEqual(['the checkpoint checkpoints/a.pt was not sent: the run has ended']);
    await waitFor(() => keepers(box).length === 0 || null);
  });

  it('ends when its run has given the instance back', async () => {
    const box = instance();
    const run = await started(box, 'time.sleep(300)');
    await untilReport(box, run, () => keepers(box).length > 0);
    await box.release(run);
    await waitFor(() => keepers(box).length === 0 || null, 10);
  });

  it.runIf(isRoot)('reads as the user: nothing that the user cannot read is sent', async () => {
    const box = instance({ user: NOBODY.name });
    writeFileSync(join(box.base, 'secret.ckpt'), readFileSync(join(FIXTURES, 'torch.pt')), { mode: 0o600 });
    const run = await started(
      box,
      `os.makedirs("checkpoints")
os.symlink(${JSON.stringify(join(box.base, 'secret.ckpt'))}, "checkpoints/link.ckpt")
save("checkpoints/own.pt")
time.sleep(300)`,
    );
    const report = await untilReport(box, run, ({ units }) => units.length > 0);
    expect(report.units.map(({ name }) => name)).toEqual(['checkpoints/own.pt']);
    expect(store().keys()).toEqual(['1/data/checkpoints/own.pt', '1/files.json']);
  });

  it('leaves the right to send in no answer and no log', async () => {
    const box = instance();
    const run = await started(box, 'save("checkpoints/a.pt")\ntime.sleep(300)');
    store().refuses = () => 403;
    await untilReport(box, run, () => store().tried.length > 1);
    const errors = join(box.jobFolder(run, 'train'), 'keeper', 'supervisor.err');
    expect(existsSync(errors) ? readFileSync(errors, 'utf8') : '').not.toContain('secret');
    const status = await box.poll(run, 'train', { checkpoints: store().grant() });
    expect(JSON.stringify(status)).not.toContain('signed policy');
  });
});
