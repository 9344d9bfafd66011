import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { isRoot, logBytes, NOBODY, useInstances } from '../support/instance/test-instance.ts';

if (!isRoot) console.log('skipped: jobs-root.test.ts, since only root can become another user');

const instance = useInstances();
const box = () => instance({ user: NOBODY.name });

describe.runIf(isRoot)('as root, a job', () => {
  it('runs as the user alone: no group, no capability, no way back', async () => {
    const here = box();
    here.write(
      'train.py',
      `import json, os
def back():
    try: os.setuid(0)
    except PermissionError: return "refused"
    return "root again"
lines = dict(line.split(":\\t", 1) for line in open("/proc/self/status").read().splitlines() if ":\\t" in line)
print(json.dumps({"ids": os.getresuid() + os.getresgid(), "groups": os.getgroups(), "back": back(), "home": os.environ["HOME"],
    "user": os.environ["USER"], **{key: lines[key] for key in ("NoNewPrivs", "CapEff", "CapPrm")}}))
`,
    );
    const run = here.giveLease(here.run());
    await here.start(run, { train: {} });
    const told = JSON.parse(logBytes(await here.ended(run, 'train')).toString());
    expect(told).toEqual({
      ids: Array(6).fill(NOBODY.uid),
      groups: [NOBODY.gid],
      back: 'refused',
      home: here.home,
      user: NOBODY.name,
      NoNewPrivs: '1',
      CapEff: '0000000000000000',
      CapPrm: '0000000000000000',
    });
  });

  it('cannot forge its end, cut or replace its log, hold a lock or touch its supervisor', async () => {
    const here = box();
    here.write(
      'train.py',
      `import json, os, signal, sys
folder, lease = sys.argv[1:]
def attempt(name, what):
    try:
        what()
        print(name, "WORKED")
    except OSError as error:
        print(name, type(error).__name__)
forged = {"code": 0, "signal": None, "endedAt": 1, "maxRssBytes": 1, "outOfMemory": False, "reason": None, "result": None}
attempt("exit", lambda: open(folder + "/exit.json", "w").write(json.dumps(forged)))
attempt("identity", lambda: open(folder + "/identity.json", "w"))
attempt("log", lambda: open(folder + "/log", "w"))
attempt("unlink", lambda: os.unlink(folder + "/log"))
attempt("rename", lambda: os.rename(folder, folder + "2"))
attempt("replace", lambda: os.rename(os.path.dirname(folder), "/tmp/away"))
attempt("lease", lambda: open(lease + "/holder.json", "w"))
attempt("lock", lambda: open(lease + "/lock"))
attempt("joblock", lambda: open(folder + "/lock"))
attempt("kill", lambda: os.kill(os.getppid(), signal.SIGKILL))
sys.exit(9)
`,
    );
    const run = here.giveLease(here.run());
    const folder = here.jobFolder(run, 'train');
    await here.start(run, { train: { args: [folder, join(here.root, 'lease')] } });
    const ended = await here.ended(run, 'train');
    expect(logBytes(ended).toString()).not.toContain('WORKED');
    expect(
      logBytes(ended)
        .toString()
        .match(/PermissionError/g),
    ).toHaveLength(10);
    expect(ended).toMatchObject({ state: 'exited', exit: { code: 9 } });
  });

  it('has markers, log and folders that belong to root', async () => {
    const here = box();
    here.write('train.py', 'print(1)\n');
    const run = here.giveLease(here.run());
    await here.start(run, { train: {} });
    await here.ended(run, 'train');
    const folder = here.jobFolder(run, 'train');
    const names = ['.', '..', 'request.json', 'identity.json', 'exit.json', 'log'];
    for (const name of names) {
      const { uid, mode } = lstatSync(join(folder, name));
      expect({ name, uid, writable: mode & 0o022 }).toEqual({ name, uid: 0, writable: 0 });
    }
  });

  it('is not begun in a folder that somebody else put there, and no link of theirs is followed', async () => {
    const here = box();
    const run = here.giveLease(here.run());
    const canary = join(here.base, 'canary');
    writeFileSync(canary, 'untouched');
    const folder = here.jobFolder(run, 'train');
    mkdirSync(folder, { recursive: true });
    chownSync(folder, NOBODY.uid, NOBODY.gid);
    for (const name of ['log', 'lock', 'request.json', '.request.json']) symlinkSync(canary, join(folder, name));
    expect(await here.start(run, { train: {} })).toMatchObject({ ok: false, error: { name: 'RunnerBroken' } });
    expect(readFileSync(canary, 'utf8')).toBe('untouched');
    expect(here.processes()).toEqual([]);
  });

  it('is not begun when its log is a link already', async () => {
    const here = box();
    here.write('train.py', 'open("ran", "w")\n');
    const run = here.giveLease(here.run());
    const canary = join(here.base, 'canary');
    writeFileSync(canary, 'untouched');
    mkdirSync(here.jobFolder(run, 'train'), { recursive: true });
    symlinkSync(canary, join(here.jobFolder(run, 'train'), 'log'));
    const answer = await here.start(run, { train: {} });
    // What was left of an attempt that never began is swept away; a link is swept away as a link.
    expect(answer.ok).toBe(true);
    await here.ended(run, 'train');
    expect(readFileSync(canary, 'utf8')).toBe('untouched');
    expect(lstatSync(join(here.jobFolder(run, 'train'), 'log')).isFile()).toBe(true);
  });

  it('is not begun under a root that another user owns', async () => {
    const here = box();
    const run = here.giveLease(here.run());
    chownSync(join(here.root, 'lease'), NOBODY.uid, NOBODY.gid);
    const answer = await here.start(run, { train: {} });
    expect(answer).toMatchObject({ ok: false, error: { name: 'RunnerBroken' } });
    expect(answer.error?.message).toContain('is not a folder owned by the runner');
  });

  it('enters its project folder as the user: a link there opens nothing that the user may not see', async () => {
    const here = box();
    const secret = join(here.base, 'secret');
    mkdirSync(secret);
    chmodSync(secret, 0o700);
    writeFileSync(join(secret, 'train.py'), 'print("the secret")\n');
    symlinkSync(secret, join(here.home, 'linked'));
    const run = here.giveLease(here.run());
    await here.start(run, { train: {} }, { project: 'linked' });
    const ended = await here.ended(run, 'train');
    expect(ended).toMatchObject({ exit: { code: 127 }, result: { error: { name: 'StartFailed' } } });
    expect(ended.tail?.at(-1)).toContain('Permission denied');
  });

  it('is ended by its supervisor, with all that it left in sessions of its own', async () => {
    const here = box();
    here.write(
      'train.py',
      `import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); open('ready', 'w'); time.sleep(300)"
subprocess.Popen([sys.executable, "-c", deaf], start_new_session=True).wait()
`,
    );
    const run = here.giveLease(here.run());
    await here.start(run, { train: {} });
    await here.until(run, 'train', () => existsSync(join(here.project, 'ready')));
    expect(await here.release(run)).toMatchObject({ released: true, jobs: { train: 'stopped' } });
    expect(here.processes()).toEqual([]);
    // Killed with the job, not found and ended after it.
    expect(here.logOf(run, 'train').toString()).toBe('');
  });

  it('needs a user and a home that exist', async () => {
    const here = box();
    const run = here.giveLease(here.run());
    const nobody = await here.start(run, { train: {} }, { user: 'no-such-user', users: ['no-such-user'] });
    expect(nobody).toMatchObject({ ok: false, error: { name: 'NoUser' } });
    expect(nobody.error?.message).toContain('no-such-user');
    // nobody's home in the password database does not exist.
    const homeless = await here.start(run, { train: {} }, { home: null });
    expect(homeless).toMatchObject({ ok: false, error: { name: 'NoHome' } });
    expect(existsSync(dirname(here.jobFolder(run, 'train')))).toBe(false);
  });

  it('that is a sync runs as the user too', async () => {
    const says = 'import os\ndef main():\n    print(os.getresuid(), os.getgroups())\n    return 0\n';
    const here = instance({ user: NOBODY.name, modules: { 'sync/main.py': says } });
    const status = await here.start(here.run(), { sync: {} }, { wait: 20 });
    expect(status.tail).toEqual(['(65534, 65534, 65534) [65534]']);
  });
});

describe.runIf(isRoot)('when the runner is not root', () => {
  it('everything is the current user’s, whoever the request names', async () => {
    const here = instance({ runnerIs: NOBODY });
    here.write('train.py', 'import os, sys\nprint(os.getresuid(), os.environ["USER"])\nsys.exit(2)\n');
    const run = here.giveLease(here.run());
    await here.start(run, { train: {} }, { user: 'root' });
    const ended = await here.ended(run, 'train');
    expect(ended).toMatchObject({ state: 'exited', exit: { code: 2 }, tail: ['(65534, 65534, 65534) nobody'] });
    expect(lstatSync(join(here.jobFolder(run, 'train'), 'exit.json')).uid).toBe(NOBODY.uid);
    expect(await here.release(run)).toMatchObject({ released: true });
  });
});
