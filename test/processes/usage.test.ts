import { chmodSync, chownSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { containerKinds, insideKind } from '../support/instance/container-kinds.ts';
import {
  isRoot,
  NOBODY,
  RUNNER_FOLDER,
  type TestInstance,
  type TestRun,
  useInstances,
  waitFor,
} from '../support/instance/test-instance.ts';

interface Sample {
  readonly time: number;
  readonly seconds: number;
  readonly cores: number;
  readonly cpuPercent: number;
  readonly memoryUsedBytes: number;
  readonly memoryTotalBytes: number;
  readonly diskWriteBytesPerS: number;
  readonly job: { readonly cpuPercent: number; readonly memoryBytes: number; readonly processes: number };
  readonly gpus: readonly Readonly<Record<string, number | null>>[];
  readonly warning?: string | null;
}

const folders: string[] = [];
const instance = useInstances();
// Runs before the instances are removed: hooks run in reverse order.
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

const source = (name: string) => readFileSync(join(RUNNER_FOLDER, name), 'utf8');

/** Replaces a part of a module's source, which must be there. */
function changed(name: string, from: string, to: string): string {
  expect(source(name)).toContain(from);
  return source(name).replace(from, to);
}

/** Modules of a runner that samples about every second. */
const QUICK = {
  'jobs/usage.py': changed(
    'jobs/usage.py',
    '_FIRST_INTERVAL_S, _INTERVAL_S = 1.0, 10.0',
    '_FIRST_INTERVAL_S, _INTERVAL_S = 0.2, 0.2',
  ).replace('10.0, 600.0', '10.0, 2.0'),
};

/** A folder with a program `nvidia-smi`, a script for sh. */
function fakeDriver(script: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'runctl-driver-'));
  folders.push(folder);
  chmodSync(folder, 0o755);
  writeFileSync(join(folder, 'nvidia-smi'), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  return folder;
}

/** A quick runner whose supervisor has the folder on its PATH. */
function withDriver(folder: string, more: Readonly<Record<string, string>> = {}) {
  const path = changed('common/environment.py', 'STANDARD_PATH = "', `STANDARD_PATH = "${folder}:`);
  return { ...QUICK, 'common/environment.py': path, ...more };
}

const samplesOf = (box: TestInstance, run: TestRun): Sample[] => {
  const path = join(box.jobFolder(run, 'train'), 'usage.jsonl');
  const lines = existsSync(path) ? readFileSync(path, 'utf8').split('\n').filter(Boolean) : [];
  return lines.map((line) => JSON.parse(line) as Sample);
};
const latestOf = (box: TestInstance, run: TestRun) => box.marker(run, 'train', 'usage.json') as unknown as Sample;

async function begun(box: TestInstance, script: string): Promise<TestRun> {
  box.write('train.py', script);
  const run = box.giveLease(box.run());
  await box.start(run, { train: {} });
  return run;
}

/** Waits until a sample is as described. */
const sampled = (box: TestInstance, run: TestRun, met: (sample: Sample) => boolean) =>
  waitFor(() => samplesOf(box, run).find(met) ?? null, 20);

const BUSY = `import time
hog = bytearray(200 << 20)
for page in range(0, len(hog), 4096): hog[page] = 1
print("ready", flush=True)
end = time.time() + 60
while time.time() < end: pass
`;

describe.each([...containerKinds(), 'process-group' as const])('the usage of a job in a %s', (kind) => {
  it.runIf(kind !== 'process-group' || isRoot)('has its CPU time, its memory and its processes', async () => {
    const box = instance({
      user: isRoot ? NOBODY.name : undefined,
      before: insideKind(kind),
      modules: QUICK,
    } as object);
    const run = await begun(box, BUSY);
    expect(box.marker(run, 'train', 'identity.json')).toMatchObject({ container: { kind } });
    const busy = await sampled(
      box,
      run,
      ({ job, cores }) => job.cpuPercent > 30 / cores && job.memoryBytes > 200 << 20,
    );
    expect(busy.job.memoryBytes).toBeLessThan(300 << 20);
    expect(busy.job.processes).toBe(1);
    expect(busy.job.cpuPercent).toBeLessThanOrEqual(busy.cpuPercent + 10);
    expect(busy.memoryUsedBytes).toBeGreaterThan(200 << 20);
    expect(busy.memoryTotalBytes).toBeGreaterThan(busy.memoryUsedBytes);
    expect(Math.abs(busy.time - Date.now() / 1000)).toBeLessThan(30);
    await box.stop(run, 0);
    expect((await box.ended(run, 'train')).state).toBe('stopped');
  });
});

const GPUS = `case "$1" in
--query-gpu=index,utilization.gpu,memory.used,memory.total,power.draw,temperature.gpu) ;;
*) exit 2 ;;
esac
[ "$2 $3 $4" = "--format=csv,noheader,nounits -l 10" ] || exit 2
while :; do
  echo "0, 97, 20480, 24564, 301.55, 71"
  echo "1, 3, 512, 24564, [N/A], 40"
  sleep 1
done`;

describe('the usage of GPUs', () => {
  it('comes from one process of nvidia-smi; a GPU that stays idle is reported once', async () => {
    const box = instance({ modules: withDriver(fakeDriver(GPUS)) });
    const run = await begun(box, 'import time\ntime.sleep(60)\n');
    const sample = await sampled(box, run, ({ gpus }) => gpus.length === 2);
    expect(sample.gpus).toEqual([
      {
        index: 0,
        utilizationPercent: 97,
        memoryUsedBytes: 20_480 * 2 ** 20,
        memoryTotalBytes: 24_564 * 2 ** 20,
        powerWatts: 301.55,
        temperatureCelsius: 71,
      },
      expect.objectContaining({ index: 1, utilizationPercent: 3, powerWatts: null }),
    ]);
    const { usage } = await box.poll(run, 'train');
    expect(usage).toMatchObject({ gpus: sample.gpus, cores: sample.cores, job: { processes: 1 } });
    const warning = await waitFor(() => latestOf(box, run).warning ?? null, 20);
    expect(warning).toBe(
      'GPU 1 was used less than 10 % for 0.0333333 minutes. Check that the code uses the GPU, and that it does not wait for its data.',
    );
    expect((await box.poll(run, 'train')).usage?.warning).toBe(warning);
    await box.stop(run, 0);
    expect((await box.ended(run, 'train')).state).toBe('stopped');
  });

  const HOSTILE = {
    hangs: ['exec sleep 300', false],
    'hangs and ignores signals': ['trap "" TERM HUP INT; sleep 300; sleep 300', false],
    fails: ['echo "NVIDIA-SMI has failed" >&2; exit 9', false],
    'prints without end': ['yes "0, 1, 2"', false],
    'prints what is not a table': ['while :; do head -c 100000 /dev/urandom; sleep 0.1; done', false],
    'prints numbers that cannot be': ['while :; do echo "0, 1e999, nan, -5, inf, 9999"; sleep 0.3; done', true],
    'prints once and ends': ['echo "0, 50, 1, 2, 3, 4"', true],
    'prints a million GPUs': ['seq 0 999999 | sed "s/$/, 1, 2, 3, 4, 5/"', true],
  } as const;

  it('are checked, and delay nothing, whatever nvidia-smi does', async () => {
    const runs = Object.entries(HOSTILE).map(async ([what, [script, hasGpus]]) => {
      // Where the job's processes are searched for: that of nvidia-smi is not one of them.
      const before = isRoot ? insideKind('process-group') : [];
      const box = instance({ before, modules: withDriver(fakeDriver(script)) });
      const run = await begun(box, 'import time\ntime.sleep(4.5)\nprint("done")\n');
      const ended = await box.ended(run, 'train');
      expect(ended, what).toMatchObject({ state: 'exited', exit: { code: 0 } });
      expect(ended.tail?.at(-1), what).toBe('done');
      expect((ended.exit?.endedAt ?? 0) - (ended.startedAt ?? 0), what).toBeLessThan(7);
      const samples = samplesOf(box, run);
      expect(samples.length, what).toBeGreaterThanOrEqual(2);
      expect(
        samples.some(({ gpus }) => gpus.length > 0),
        what,
      ).toBe(hasGpus);
      for (const { gpus } of samples) {
        expect(gpus.length).toBeLessThanOrEqual(16);
        for (const value of gpus.flatMap((gpu) => Object.values(gpu)))
          expect(value === null || Number.isFinite(value)).toBe(true);
      }
    });
    await Promise.all(runs);
  });

  it.runIf(isRoot)('never come from a program that another user can replace', async () => {
    const mark = 'touch "$(dirname "$0")/ran"; echo "0, 50, 1, 2, 3, 4"';
    const places = [0, 1, 2].map(() => fakeDriver(mark));
    chownSync(places[0] as string, NOBODY.uid, NOBODY.gid);
    chmodSync(places[1] as string, 0o777);
    chownSync(join(places[2] as string, 'nvidia-smi'), NOBODY.uid, NOBODY.gid);
    const box = instance({ user: NOBODY.name, modules: withDriver(places.join(':')) });
    const run = await begun(box, 'import time\ntime.sleep(3)\n');
    await box.ended(run, 'train');
    expect(samplesOf(box, run).length).toBeGreaterThan(0);
    expect(samplesOf(box, run).flatMap(({ gpus }) => gpus)).toEqual([]);
    for (const place of places) expect(existsSync(join(place, 'ran'))).toBe(false);
  });
});

describe('the series', () => {
  it('keeps to its size, and its rates stay those of the whole time', async () => {
    const modules = { 'jobs/usage.py': QUICK['jobs/usage.py'].replace('_MAX_LINES = 8_192', '_MAX_LINES = 2') };
    const box = instance({ modules });
    const run = await begun(box, 'import time\ntime.sleep(7)\n');
    const ended = await box.ended(run, 'train');
    const samples = samplesOf(box, run);
    expect(samples.length).toBeLessThanOrEqual(3);
    const seconds = samples.reduce((sum, sample) => sum + sample.seconds, 0);
    const lasted = (ended.exit?.endedAt ?? 0) - (ended.startedAt ?? 0);
    expect(Math.abs(seconds - lasted)).toBeLessThan(3);
    expect(Math.max(...samples.map((sample) => sample.seconds))).toBeGreaterThan(1.9);
  });

  it('takes no more than 0.1 % of a core', async () => {
    // 200 samples in a row, of a training with sixteen workers; a training has one every 10 s.
    const measured = `

def _measure(guard, folder):
    time.sleep(1)
    sampler = guard._sampler
    sampler._interval = 0
    begun = time.process_time()
    for _ in range(200):
        sampler._next_at = 0
        guard.tick()
        sampler._job._next_at = 0
    marker.write(os.path.join(folder, "measured.json"), {"seconds": (time.process_time() - begun) / 200})
`;
    const begins = 'self._sampler = Sampler(folder, container)';
    const usage = changed('jobs/usage.py', begins, `${begins}; _measure(self, folder)`) + measured;
    const box = instance({ modules: { 'jobs/usage.py': usage } });
    const run = await begun(
      box,
      'import subprocess\nfor worker in [subprocess.Popen(["sleep", "3"]) for _ in range(16)]: worker.wait()\n',
    );
    await box.ended(run, 'train');
    const { seconds } = box.marker(run, 'train', 'measured.json') as { seconds: number };
    console.log(`a sample: ${(seconds * 1_000).toFixed(2)} ms of CPU, ${(seconds * 10).toFixed(3)} % of a core`);
    expect(seconds).toBeLessThan(0.01);
  });
});

it('a sample that is not one is not in an answer, and changes nothing', async () => {
  const box = instance();
  const run = await begun(box, 'import time\ntime.sleep(60)\n');
  await waitFor(async () => (await box.poll(run, 'train')).usage);
  for (const text of ['', 'no JSON', '[]', '{"time": NaN}', `{"x": "${'x'.repeat(30_000)}"}`]) {
    writeFileSync(join(box.jobFolder(run, 'train'), 'usage.json'), text);
    const answer = await box.poll(run, 'train');
    expect(answer, text.slice(0, 40)).toMatchObject({ ok: true, state: 'running', usage: null });
  }
  await box.stop(run, 0);
});

it.each(['USAGE', 'USAGE_SERIES'])('a run goes on when its samples cannot be written: %s', async (name) => {
  const paths = changed('common/paths.py', `${name} = "`, `${name} = "missing/`);
  const box = instance({ modules: { ...QUICK, 'common/paths.py': paths } });
  const run = await begun(box, 'import time\ntime.sleep(2)\nprint("done")\n');
  expect(await box.ended(run, 'train')).toMatchObject({ state: 'exited', exit: { code: 0 }, tail: ['done'] });
  expect(readFileSync(join(box.jobFolder(run, 'train'), 'supervisor.err'), 'utf8')).toContain('sampling: ');
});
