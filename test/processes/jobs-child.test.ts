import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { DEFAULT_SYNC } from '../support/instance/requests.ts';
import { logBytes, useInstances, waitFor } from '../support/instance/test-instance.ts';

const instance = useInstances();

/** A sync that is played: it does what its contract says around `body`. */
function played(body: string): { modules: Record<string, string> } {
  const head = 'import json, os, sys, time\nasked = json.load(sys.stdin)\nfd = int(os.environ["RUNCTL_PROGRESS_FD"])\n';
  const say = 'def say(**what):\n    os.write(fd, (json.dumps(what) + "\\n").encode())\n';
  const indented = body.replace(/^/gm, '    ');
  return { modules: { 'sync/main.py': `${head}${say}def main():\n${indented}\n` } };
}

describe('a sync or install', () => {
  it('gets its request on stdin, and its result comes back with its end, in one answer when it is short', async () => {
    const box = instance(played('say(result={"asked": asked, "cwd": os.getcwd()})\nprint("synced")\nreturn 0'));
    const run = box.run();
    const status = await box.start(run, { sync: {} }, { wait: 20 });
    expect(status).toMatchObject({
      state: 'exited',
      exit: { code: 0 },
      tail: ['synced'],
      result: {
        asked: { run: { id: run.id }, project: 'digits', home: box.home, root: box.root, sync: DEFAULT_SYNC },
        cwd: box.home,
      },
    });
    expect(logBytes(status).toString()).toBe('synced\n');
  });

  it('shows its progress while it lasts, and answers before it has ended when it lasts', async () => {
    const progress = { phase: 'downloading', done: 3, total: 12, bytes: 4096, elapsed: 1.5, current: 'torch' };
    const box = instance(played(`say(progress=${JSON.stringify(progress)})\ntime.sleep(300)`));
    const run = box.run();
    const before = performance.now();
    expect((await box.start(run, { sync: {} }, { wait: 1 })).state).toBe('running');
    expect(performance.now() - before).toBeLessThan(5_000);
    expect((await box.until(run, 'sync', (status) => status.progress !== null)).progress).toEqual(progress);
  });

  it('that fails says so by its result', async () => {
    const box = instance(played('say(result={"error": {"name": "DiskFull", "message": "12 MB short"}})\nreturn 1'));
    expect(await box.start(box.run(), { sync: {} }, { wait: 20 })).toMatchObject({
      state: 'exited',
      exit: { code: 1 },
      result: { error: { name: 'DiskFull', message: '12 MB short' } },
    });
  });

  it('cannot break its supervisor by what it writes', async () => {
    const body = `
os.write(fd, b"\\xff\\xfe not json\\n[1]\\n\\n")
os.write(fd, b"x" * 200_000 + b"\\n")
os.write(fd, b"[" * 20_000 + b"\\n")
say(progress={"phase": "no number", "done": float("nan")})
say(progress={"phase": 7, "done": "many", "current": "y" * 5_000, "evil": 1})
say(result={"kept": ["name-%d" % i for i in range(5_000)], "files": 3})
os.write(fd, b"half a line")
return 0`;
    const box = instance(played(body));
    const run = box.run();
    const status = await box.start(run, { sync: {} }, { wait: 20 });
    expect(status).toMatchObject({ state: 'exited', exit: { code: 0 }, result: { files: 3 } });
    expect(status.progress).toEqual({
      phase: null,
      done: null,
      total: null,
      bytes: null,
      elapsed: null,
      current: 'y'.repeat(200),
    });
    const kept = status.result?.kept as string[] | undefined;
    expect(kept?.length).toBeGreaterThan(10);
    expect(JSON.stringify(status).length).toBeLessThan(23_500);
  });

  it('leaves no URL behind', async () => {
    const box = instance(played('time.sleep(300)'));
    const run = box.run();
    await box.start(run, { sync: {} }, { wait: 0 });
    expect(() => execFileSync('grep', ['-r', 'Signature', `${box.root}/runs`, `${box.root}/lease`])).toThrow();
    expect(readdirSync(box.jobFolder(run, 'sync'))).not.toContain('input.json');
  });
});

describe('the lease', () => {
  it("is taken by the first sync; another run gets the holder's id, and none of its jobs is started", async () => {
    const box = instance(played('return 0'));
    const [first, second] = [box.run('first'), box.run('second')];
    expect((await box.start(first, { sync: {} }, { wait: 20 })).state).toBe('exited');
    const busy = await box.start(second, { sync: {} });
    expect(busy).toMatchObject({ ok: true, state: 'busy', holder: { run: first.id, arn: first.arn }, exit: null });
    expect(busy.holder?.since).toBeCloseTo(Date.now() / 1000, -2);
    expect((await box.poll(second, 'sync')).state).toBe('absent');
    expect(readdirSync(`${box.root}/runs`)).toEqual([first.key]);
  });

  it('is given to one of many that ask in the same moment', async () => {
    const box = instance(played('time.sleep(300)'));
    const runs = Array.from({ length: 6 }, () => box.run());
    const states = await Promise.all(runs.map(async (run) => (await box.start(run, { sync: {} }, { wait: 0 })).state));
    expect(states.filter((state) => state === 'running')).toHaveLength(1);
    expect(states.filter((state) => state === 'busy')).toHaveLength(5);
  });

  it('passes to the next run when it is released', async () => {
    const box = instance(played('return 0'));
    const [first, second] = [box.run('first'), box.run('second')];
    await box.start(first, { sync: {} }, { wait: 20 });
    await box.release(first);
    expect((await box.start(second, { sync: {} }, { wait: 20 })).state).toBe('exited');
  });

  it('of a run whose execution has ended is taken from it, and what lives of that run is killed', async () => {
    const box = instance(played('time.sleep(300)'));
    const [orphan, next] = [box.run('orphan'), box.run('next')];
    await box.start(orphan, { sync: {} }, { wait: 0 });
    expect((await box.start(next, { sync: {} }, { wait: 0, ended: ['arn:of:another'] })).state).toBe('busy');
    expect((await box.start(next, { sync: {} }, { wait: 0, ended: [orphan.arn] })).state).toBe('running');
    expect((await box.poll(orphan, 'sync')).state).toBe('stopped');
    expect(await box.start(orphan, { install: {} })).toMatchObject({ state: 'refused', reason: 'closed' });
    await waitFor(() => (box.processes().length === 2 ? 'supervisor and job of the next run' : null));
  });

  it('is not kept by a start whose supervisor could not be started', async () => {
    const broken = 'def detached(words, unit, grace):\n    raise OSError(12, "Cannot allocate memory")\n';
    const box = instance({ modules: { 'jobs/launch.py': broken } });
    const run = box.run();
    const failed = await box.start(run, { sync: {} });
    expect(failed).toMatchObject({ ok: false, error: { name: 'RunnerBroken', message: 'Cannot allocate memory' } });
    expect(readdirSync(`${box.root}/lease`).sort()).toEqual(['lock', 'used.json']);
    expect(readdirSync(box.jobFolder(run, 'sync'))).toEqual(['lock']);
    expect((await box.poll(run, 'sync')).state).toBe('absent');
  });

  it('is not kept by a start that failed', async () => {
    const box = instance(played('return 0'));
    const refused = await box.start(box.run(), { sync: {} }, { home: '/no/such/home' });
    expect(refused).toMatchObject({ ok: false, error: { name: 'NoHome' } });
    expect(refused.error?.message).toContain('/no/such/home');
    expect(readdirSync(`${box.root}/lease`)).toEqual(['lock']);
    expect((await box.start(box.run(), { sync: {} }, { wait: 20 })).state).toBe('exited');
  });
});
