import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { logBytes, startRequest, useInstances } from '../support/instance/test-instance.ts';

const instance = useInstances();

/** Says what it was given, as one line of JSON. */
const TELL = `
import json, os, resource, signal, sys
fds = sorted(int(name) for name in os.listdir("/proc/self/fd"))
print(json.dumps({
    "argv": sys.argv, "env": dict(os.environ), "cwd": os.getcwd(), "umask": os.umask(0),
    "fds": [fd for fd in fds if os.path.exists(f"/proc/self/fd/{fd}")], "stdin": os.readlink("/proc/self/fd/0"),
    "session": os.getsid(0) == os.getpid(), "pid": os.getpid(),
    "ignored": [s.name for s in signal.valid_signals() if isinstance(s, signal.Signals) and s != signal.SIGPIPE
                and signal.getsignal(s) == signal.SIG_IGN and s.name != "SIGXFSZ"],
    "status": open("/proc/self/status").read(),
}))
`;

interface Told {
  readonly argv: string[];
  readonly env: Record<string, string>;
  readonly cwd: string;
  readonly umask: number;
  readonly fds: number[];
  readonly stdin: string;
  readonly session: boolean;
  readonly pid: number;
  readonly ignored: string[];
  readonly status: string;
}

describe('training', () => {
  it('starts at once, answers with its PID, and ends with its exit code and last lines', async () => {
    const box = instance();
    box.write('train.py', 'import sys, time\nprint("epoch 1")\ntime.sleep(1.5)\nprint("epoch 2")\nsys.exit(3)\n');
    const run = box.giveLease(box.run());
    const started = await box.send<{ state: string; pid: number }>(startRequest(box, run, { train: {} }));
    expect(started.code).toBe(0);
    expect(started.answer.state).toBe('running');
    expect(started.answer.pid).toBeGreaterThan(1);
    expect(started.millis).toBeLessThan(5_000);
    const ended = await box.ended(run, 'train');
    expect(ended).toMatchObject({
      state: 'exited',
      reason: null,
      pid: started.answer.pid,
      tail: ['epoch 1', 'epoch 2'],
    });
    expect(ended.exit).toMatchObject({ code: 3, signal: null, outOfMemory: false });
    expect(ended.exit?.maxRssBytes).toBeGreaterThan(1_000_000);
    expect(ended.startedAt).toBeLessThan(ended.exit?.endedAt ?? 0);
    expect(logBytes(ended)).toEqual(box.logOf(run, 'train'));
  });

  it.each([
    ['sh', '', 'x: no array'],
    ['bash', '#!/usr/bin/env bash\n', 'two'],
  ])('runs a shell script with %s, with literal arguments, one PID and its exit code', async (_shell, first, array) => {
    const box = instance();
    const script = `(eval 'x=(one two); echo "\${x[1]}"') 2>/dev/null || echo 'x: no array'\necho $$ "$#" "$2"\nexit 7\n`;
    box.write('-run it.sh', `${first}${script}`);
    const run = box.giveLease(box.run());
    await box.start(run, { train: { script: '-run it.sh', args: ['-x', '$(id) *'] } });
    const ended = await box.ended(run, 'train');
    expect(ended).toMatchObject({ exit: { code: 7 }, tail: [array, `${ended.pid} 2 $(id) *`] });
  });

  it('gets its arguments and environment literally', async () => {
    const box = instance();
    box.write('train.py', TELL);
    const args = [
      '$(id)',
      ';',
      '`id`',
      'it\'s "quoted"',
      'two\nlines',
      '{{commands}}',
      '{{ssm:/x}}',
      '$$',
      '',
      '-x',
      'ü€😀',
    ];
    const env = { SPEC: '$(id) `id` {{ssm:/x}} $$ "\'\n', LANG: 'C', EMPTY: '' };
    const run = box.giveLease(box.run());
    await box.start(run, { train: { args, env } });
    const ended = await box.ended(run, 'train');
    expect(ended.exit?.code).toBe(0);
    const told = JSON.parse(logBytes(ended).toString()) as Told;
    expect(told.argv).toEqual(['train.py', ...args]);
    expect(told.env).toMatchObject(env);
  });

  it('runs in its project folder, in a session of its own, with a whole environment and nothing of ours open', async () => {
    const box = instance();
    box.write('train.py', TELL);
    const run = box.giveLease(box.run());
    const started = await box.start(run, { train: {} });
    const told = JSON.parse(logBytes(await box.ended(run, 'train')).toString()) as Told;
    expect(told.cwd).toBe(box.project);
    expect(told.pid).toBe(started.pid);
    expect(told).toMatchObject({ session: true, umask: 0o022, stdin: '/dev/null', fds: [0, 1, 2], ignored: [] });
    expect(told.status).toMatch(/^SigBlk:\s0+$/m);
    expect(told.env).toMatchObject({
      HOME: box.home,
      USER: box.user,
      LOGNAME: box.user,
      AWS_SSM_INSTANCE_ID: box.id,
      AWS_SSM_REGION_NAME: 'us-east-1',
      PYTHONUNBUFFERED: '1',
      RUNCTL_RUN_ID: run.id,
      RUNCTL_PROJECT: 'digits',
      LANG: 'C.UTF-8',
    });
    expect(told.env.PATH?.split(':')[0]).toBe(`${box.home}/.local/bin`);
    expect(told.env.SHELL).toMatch(/^\//);
    expect(Object.keys(told.env)).not.toContain('SSM_COMMAND_ID');
    expect(Object.keys(told.env)).not.toContain('RUNCTL_PROGRESS_FD');
  });

  it.each([
    ['exits with 0', 'print("fine")', 0, 'fine'],
    ['exits with 1', 'raise SystemExit(1)', 1, undefined],
    ['does not import', 'import no_such_module', 1, "ModuleNotFoundError: No module named 'no_such_module'"],
  ])('that %s at once is told with its last lines', async (_, code, exit, last) => {
    const box = instance();
    box.write('train.py', `${code}\n`);
    const run = box.giveLease(box.run());
    await box.start(run, { train: {} });
    const ended = await box.ended(run, 'train');
    expect(ended).toMatchObject({ state: 'exited', exit: { code: exit, signal: null } });
    expect(ended.tail?.at(-1)).toBe(last);
  });

  it('is a script whatever its name begins with', async () => {
    const box = instance();
    box.write('-c.py', 'import sys\nprint(sys.argv)\n');
    const run = box.giveLease(box.run());
    await box.start(run, { train: { script: '-c.py', args: ['-c'] } });
    expect(await box.ended(run, 'train')).toMatchObject({ exit: { code: 0 }, tail: ["['./-c.py', '-c']"] });
  });

  it('that dies of a signal is told with its name', async () => {
    const box = instance();
    box.write('train.py', 'import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n');
    const run = box.giveLease(box.run());
    await box.start(run, { train: {} });
    expect(await box.ended(run, 'train')).toMatchObject({
      state: 'exited',
      exit: { code: null, signal: 'SIGSEGV', outOfMemory: false },
    });
  });

  it('never hands an exit status to the agent: 194 would reboot the machine', async () => {
    const box = instance();
    box.write('train.py', 'raise SystemExit(194)\n');
    const run = box.giveLease(box.run());
    await box.start(run, { train: {} });
    const ended = await box.ended(run, 'train');
    expect(ended.exit?.code).toBe(194);
    expect((await box.send({ ...startRequest(box, run, { train: {} }) })).code).toBe(0);
  });

  it('that cannot be started says why, in its log and its result', async () => {
    const box = instance();
    const run = box.giveLease(box.run());
    await box.start(run, { train: { python: '/no/such/python' } });
    const ended = await box.ended(run, 'train');
    expect(ended).toMatchObject({
      state: 'exited',
      exit: { code: 127 },
      result: { error: { name: 'PythonNotFound' } },
    });
    expect(ended.tail?.at(-1)).toContain('/no/such/python');
  });

  it('whose project folder is gone says so', async () => {
    const box = instance();
    const run = box.giveLease(box.run());
    await box.start({ ...run }, { train: {} }, { project: 'elsewhere' });
    const ended = await box.ended(run, 'train');
    expect(ended).toMatchObject({ state: 'exited', exit: { code: 127 }, result: { error: { name: 'StartFailed' } } });
    expect(ended.tail?.at(-1)).toContain(`could not enter ${box.home}/elsewhere: No such file or directory`);
  });

  it('leaves neither an URL nor a value of its environment on disk', async () => {
    const box = instance();
    box.write('train.py', 'print(1)\n');
    const run = box.giveLease(box.run());
    await box.start(run, { train: { env: { TOKEN: 'hunter2hunter2' } } });
    await box.ended(run, 'train');
    expect(box.marker(run, 'train', 'request.json')).toMatchObject({ train: { env: { TOKEN: '***' } } });
    expect(() => execFileSync('grep', ['-r', 'hunter2', box.root])).toThrow();
  });
});
