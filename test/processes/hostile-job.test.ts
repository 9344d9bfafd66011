import { spawnSync } from 'node:child_process';
import { existsSync, lstatSync, mkdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { useCollectSetup } from '../support/instance/collect-setup.ts';
import {
  isRoot,
  logBytes,
  NOBODY,
  RUNNER_FOLDER,
  startRequest,
  type TestInstance,
  useInstances,
  waitFor,
} from '../support/instance/test-instance.ts';

const instance = useInstances();
const collectSetup = useCollectSetup();
const asNobody = isRoot ? { user: NOBODY.name } : {};
const source = (name: string) => readFileSync(join(RUNNER_FOLDER, name), 'utf8');

/** Whether the folder's filesystem knows append-only files. */
function canAppendOnly(here: TestInstance): boolean {
  const file = join(here.base, 'probe');
  writeFileSync(file, '');
  const can = spawnSync('chattr', ['+a', file], { stdio: 'ignore' }).status === 0;
  if (can) spawnSync('chattr', ['-a', file]);
  return can;
}

const isAppendOnly = (path: string) =>
  /^\S*a/.test(spawnSync('lsattr', ['-d', path], { encoding: 'utf8' }).stdout.split(' ')[0] ?? '');

const REWRITE = `
import fcntl, mmap, os, time
print("EVIDENCE", flush=True)
time.sleep(1.5)
def attempt(name, work):
    try: work()
    except (OSError, ValueError) as error: print(name, type(error).__name__, flush=True)
    else: print(name, "WORKED", flush=True)
def overwrite():
    fcntl.fcntl(1, fcntl.F_SETFL, fcntl.fcntl(1, fcntl.F_GETFL) & ~os.O_APPEND)
    os.pwrite(1, b"all well", 0)
attempt("overwrite", overwrite)
attempt("cut", lambda: os.ftruncate(1, 0))
attempt("grow", lambda: os.ftruncate(1, 1 << 42))
attempt("map", lambda: mmap.mmap(1, 4, mmap.MAP_SHARED, mmap.PROT_WRITE))
attempt("reopen", lambda: open("/proc/self/fd/1", "r+b"))
`;

describe.runIf(isRoot)('a job cannot change what stands in its log', () => {
  it('where the filesystem has append-only files', async () => {
    const box = collectSetup({ user: NOBODY.name });
    const { here } = box;
    if (!canAppendOnly(here)) return console.log('not checked: this filesystem has no append-only files');
    here.write('train.py', REWRITE);
    const run = here.giveLease(here.run());
    await here.start(run, { train: {} });
    const log = join(here.jobFolder(run, 'train'), 'log');
    expect(isAppendOnly(log)).toBe(true);
    const ended = await here.ended(run, 'train');
    const lines = logBytes(ended).toString().trim().split('\n');
    expect(lines[0]).toBe('EVIDENCE');
    expect(lines.slice(1).map((line) => line.split(' ')[1])).toEqual(Array(5).fill('PermissionError'));
    expect(ended.log.size).toBeLessThan(1_000);
    // Afterwards it is a file as any other: an administrator can remove it.
    expect(isAppendOnly(log)).toBe(false);
    expect((await box.collect(run)).warnings).toEqual([]);
  });

  it('its log can be removed also when its supervisor was killed', async () => {
    const here = instance({ user: NOBODY.name });
    here.write('train.py', 'import time\ntime.sleep(300)\n');
    const run = here.giveLease(here.run());
    await here.start(run, { train: {} });
    const { supervisor, pid } = here.marker(run, 'train', 'identity.json') as {
      supervisor: { pid: number };
      pid: number;
    };
    for (const one of [supervisor.pid, pid]) process.kill(one, 'SIGKILL');
    await waitFor(async () => ((await here.poll(run, 'train')).state === 'vanished' ? true : null));
    expect(await here.release(run)).toMatchObject({ released: true });
    expect(isAppendOnly(join(here.jobFolder(run, 'train'), 'log'))).toBe(false);
  });

  it('elsewhere without its being seen: a warning goes with the run', async () => {
    const modules = {
      'common/append_only.py': `${source('common/append_only.py')}\ndef switch(fd, on): return False\n`,
    };
    const box = collectSetup({ user: NOBODY.name, modules });
    const { here } = box;
    here.write('train.py', REWRITE.slice(0, REWRITE.indexOf('attempt("cut"')));
    const run = here.giveLease(here.run());
    await here.start(run, { train: {} });
    const ended = await here.ended(run, 'train');
    expect(ended.tail).toEqual(['all well', 'overwrite WORKED', '[runctl] the job changed earlier parts of this log']);
    expect((await box.collect(run)).warnings).toEqual([
      expect.stringContaining('The job train rewrote a part of its log'),
    ]);
  });

  it('nor cut it off elsewhere without a warning', async () => {
    const modules = {
      'common/append_only.py': `${source('common/append_only.py')}\ndef switch(fd, on): return False\n`,
    };
    const box = collectSetup({ user: NOBODY.name, modules });
    const run = await box.trained(
      'import os, time\nprint("EVIDENCE", flush=True)\ntime.sleep(1.5)\nos.ftruncate(1, 0)\ntime.sleep(1.5)\n',
    );
    expect((await box.collect(run)).warnings).toEqual([
      expect.stringContaining('beginning of the log of train is missing'),
    ]);
  });
});

describe('an answer', () => {
  /** A sync that says the most that it can. */
  const says = (progress: string, result: string, log: string) => ({
    'sync/main.py': `import json, os
def main():
    fd = int(os.environ["RUNCTL_PROGRESS_FD"])
    euro = "\\u20ac"
    os.write(fd, (json.dumps({"progress": ${progress}}) + "\\n").encode())
    os.write(fd, (json.dumps({"result": ${result}}) + "\\n").encode())
    print(${log}, end="")
    return 1
`,
  });
  const DIGITS =
    '{"phase": euro * 900, "current": euro * 900, **{key: int("9" * 4000) for key in ("done", "total", "bytes", "elapsed")}}';
  it.each([
    ['numbers of 4,000 digits', DIGITS, '{"error": {"name": "x", "message": "y" * 5900}}', 'euro * 1300'],
    [
      'all that is written six times as long in JSON',
      '{"phase": euro * 900, "current": euro * 900}',
      '{"error": {"name": "x", "message": "y" * 5900}}',
      '"\\u00e9" * 4000',
    ],
    ['names that are long', DIGITS, '{"k" * 5900: 1, "list": ["\\u00e9" * 40] * 200}', '"x" * 100000'],
  ])('keeps its bound with %s', async (_, progress, result, log) => {
    const here = instance({ ...asNobody, modules: says(progress, result, log) });
    const { stdout, answer } = await here.send<{ log: { bytes: number; size: number } }>(
      startRequest(here, here.run(), { sync: {} }, { wait: 10 }),
    );
    expect(stdout.length).toBeLessThanOrEqual(23_500);
    // A poll comes further, however much else there is to say.
    expect(answer.log.bytes).toBeGreaterThan(Math.min(answer.log.size - 1, 1_000));
  });

  it('has only numbers that every reader takes', async () => {
    const numbers = '{"done": 1e18, "total": -1e300, "bytes": 123, "elapsed": 1.5}';
    const here = instance({
      ...asNobody,
      modules: says(numbers, '{"good": 7, "large": 10**18, "list": [10**30, 2]}', '""'),
    });
    const answer = await here.start(here.run(), { sync: {} }, { wait: 10 });
    expect(answer.progress).toMatchObject({ done: null, total: null, bytes: 123, elapsed: 1.5 });
    expect(answer.result).toEqual({ good: 7, large: null, list: [null, 2] });
  });

  it('about outputs with long names keeps it too, and counts what it leaves out', async () => {
    const box = collectSetup(asNobody);
    const run = await box.trained(`
import os
deep = "outputs" + ("/" + "\\u20ac" * 80) * 3
os.makedirs(deep)
for i in range(30): os.mkfifo(deep + "/fifo" + str(i))
`);
    const { stdout, answer } = await here(box).send<{ warnings: string[] }>(box.collectRequest(run));
    expect(stdout.length).toBeLessThanOrEqual(23_500);
    expect(answer.warnings.length).toBeGreaterThan(2);
    expect(answer.warnings.at(-1)).toMatch(/more warnings/);
  });
});

const here = (box: { here: TestInstance }) => box.here;

describe('what is on the instance', () => {
  it('of a run is its runner’s alone', async () => {
    const box = instance(asNobody);
    box.write('train.py', 'print(1)\n');
    const run = box.giveLease(box.run());
    await box.start(run, { train: {} });
    await box.ended(run, 'train');
    const mode = (path: string) => lstatSync(path).mode & 0o777;
    expect(mode(join(box.root, 'runs'))).toBe(0o700);
    for (const name of ['request.json', 'log']) expect(mode(join(box.jobFolder(run, 'train'), name)), name).toBe(0o600);
  });

  it.runIf(isRoot)('leaves processes for others', async () => {
    const box = instance(asNobody);
    box.write('train.py', 'import resource\nprint(resource.getrlimit(resource.RLIMIT_NPROC))\n');
    const run = box.giveLease(box.run());
    await box.start(run, { train: {} });
    const [soft, hard] = ((await box.ended(run, 'train')).tail?.[0]?.match(/\d+/g) ?? []).map(Number);
    const most = Math.min(
      ...['threads-max', 'pid_max'].map((name) => Number(readFileSync(`/proc/sys/kernel/${name}`, 'utf8'))),
    );
    expect(hard).toBeLessThanOrEqual(most - 512);
    expect(soft).toBeLessThanOrEqual(hard ?? 0);
    expect(hard).toBeGreaterThan(most / 2);
  });

  describe('of old runs is removed', () => {
    const DAY = 86_400;

    /** A run that ended so many seconds ago, with a log of so many bytes. */
    async function old(box: TestInstance, seconds: number, bytes = 1_000): Promise<string> {
      const run = box.giveLease(box.run('old'));
      box.write('train.py', `print("x" * ${bytes})\n`);
      await box.start(run, { train: {} });
      await box.ended(run, 'train');
      await box.release(run);
      const folder = join(box.root, 'runs', run.key);
      const then = Date.now() / 1000 - seconds;
      for (const path of [box.jobFolder(run, 'train'), folder]) utimesSync(path, then, then);
      return folder;
    }

    async function release(box: TestInstance, keep: object): Promise<void> {
      const request = { ...box.common('release', box.run()), keep };
      expect((await box.send<{ released: boolean }>(request)).answer).toMatchObject({ ok: true, released: true });
    }

    it('by age', async () => {
      const box = instance(asNobody);
      const [ancient, young] = [await old(box, 8 * DAY), await old(box, 6 * DAY)];
      await release(box, { days: 7 });
      expect([existsSync(ancient), existsSync(young)]).toEqual([false, true]);
    });

    it('by size, the oldest first, and none of the last hour', async () => {
      const box = instance(asNobody);
      const folders = [
        await old(box, 4_000, 3e6),
        await old(box, 9_000, 3e6),
        await old(box, 7_000, 3e6),
        await old(box, 60, 9e6),
      ];
      await release(box, { bytes: 16e6 });
      expect(folders.map((folder) => existsSync(folder))).toEqual([true, false, true, true]);
      await release(box, { bytes: 1e6 });
      expect(folders.map((folder) => existsSync(folder))).toEqual([false, false, false, true]);
    });

    it('but never of one that lives, holds the instance, waits for it, or still sends', async () => {
      const box = instance(asNobody);
      const living = box.giveLease(box.run('living'));
      box.write('train.py', 'import time\ntime.sleep(300)\n');
      await box.start(living, { train: {} });
      const holder = box.giveLease(box.run('holder'));
      const waits = box.run('waits');
      const unsent = box.run('unsent');
      mkdirSync(join(box.root, 'lease/queue'), { recursive: true });
      writeFileSync(
        join(box.root, 'lease/queue', `${waits.key}.json`),
        JSON.stringify({
          run: waits.id,
          key: waits.key,
          arn: waits.arn,
          arrivedAt: 1,
          renewedAt: Date.now() / 1000,
          ttl: 1e6,
        }),
      );
      const folders = [living, holder, waits, unsent].map((run) => join(box.root, 'runs', run.key));
      for (const folder of folders) mkdirSync(folder, { recursive: true });
      mkdirSync(join(folders[3] as string, 'finish'));
      writeFileSync(join(folders[3] as string, 'closed.json'), '{"reason": "released", "at": 1}');
      const then = Date.now() / 1000 - 20 * DAY;
      for (const folder of folders) utimesSync(folder, then, then);
      utimesSync(join(folders[3] as string, 'finish'), then, then);
      utimesSync(box.jobFolder(living, 'train'), then, then);
      await release(box, { days: 30, bytes: 0 });
      expect(folders.map((folder) => existsSync(folder))).toEqual([true, true, true, true]);
      await release(box, { days: 7 });
      expect(folders.map((folder) => existsSync(folder))).toEqual([true, true, true, false]);
    });

    it('when a new run begins, too', async () => {
      const box = instance(asNobody);
      const ancient = await old(box, 31 * DAY);
      await box.start(box.run(), {
        sync: {},
      });
      expect(existsSync(ancient)).toBe(false);
    });
  });
});
