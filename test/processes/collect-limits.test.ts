import { execFile } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { useCollectSetup } from '../support/instance/collect-setup.ts';
import { AGENT_PATH, isRoot, NOBODY, RUNNER_FOLDER } from '../support/instance/test-instance.ts';

const collectSetup = useCollectSetup();
const asNobody = { user: isRoot ? NOBODY.name : undefined } as { user?: string };

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'runctl-collect-'));
  chmodSync(folder, 0o755);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Runs Python with the runner's modules; `account` is an unprivileged user where there can be one. Its last line is JSON. */
async function python<T>(code: string): Promise<T> {
  const head = `import json, os, pwd, signal, sys, time
sys.path.insert(0, sys.argv[1])
from common import accounts, child
from collect import globs, inventory, log_stream, outputs, search
entry = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
account = accounts.Account(entry.pw_name, entry.pw_uid, entry.pw_gid, os.getcwd(), "/bin/sh")
def say(value): print(json.dumps(value))
`;
  const { stdout } = await promisify(execFile)('python3', ['-I', '-B', '-c', head + code, RUNNER_FOLDER], {
    cwd: folder,
    env: { PATH: AGENT_PATH },
    timeout: 60_000,
  });
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as T;
}

/** A file of the user's. */
function owned(path: string, text: string, mode = 0o644): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
  chmodSync(path, mode);
}

describe('what the user’s files can make of the end of a run', () => {
  it('nothing is executed to list the packages: dist-info is read', async () => {
    const box = collectSetup(asNobody);
    const { here } = box;
    const run = await box.trained('print(1)\n');
    const marks = join(here.home, 'marks');
    const env = join(here.home, 'env');
    owned(join(env, 'bin/python3'), `#!/bin/sh\ntouch '${marks}'\nexec /usr/bin/python3 "$@"\n`, 0o755);
    owned(join(env, 'pyvenv.cfg'), 'home = /usr/bin\nversion = 3.11.9\ninclude-system-site-packages = false\n');
    const site = join(env, 'lib/python3.11/site-packages');
    owned(
      join(site, 'Some_Package-1.2.dist-info/METADATA'),
      'Metadata-Version: 2.1\nName: Some.Package\nVersion: 1.2\n\nName: no\n',
    );
    owned(join(site, 'sitecustomize.py'), `open(${JSON.stringify(marks)}, "w")\n`);
    const answer = await python<{ python: object; packages: object }>(
      `say(child.run(lambda: inventory.describe(${JSON.stringify(join(env, 'bin/python3'))}, account), account, 10))`,
    );
    expect(answer).toEqual({
      python: { path: join(env, 'bin/python3'), version: '3.11.9' },
      packages: { 'Some.Package': '1.2' },
    });
    await box.collect(run);
    expect(existsSync(marks)).toBe(false);
  });

  it('a planted python3 is not run by a collection', async () => {
    const box = collectSetup(asNobody);
    const { here } = box;
    const marks = join(here.home, 'marks');
    const run = await box.trained(`
import os
os.makedirs(os.path.expanduser("~/.local/bin"))
path = os.path.expanduser("~/.local/bin/python3")
open(path, "w").write("#!/bin/sh\\ntouch '${marks}'\\nexec /usr/bin/python3 \\"$@\\"\\n")
os.chmod(path, 0o755)
`);
    const collected = await box.collect(run);
    expect(collected).toMatchObject({ state: 'collected', warnings: [] });
    expect(existsSync(marks)).toBe(false);
  });

  it.runIf(isRoot)('only what the user can read is read', async () => {
    const secret = join(folder, 'secret');
    writeFileSync(secret, 'Name: stolen\nVersion: 1\n');
    chmodSync(secret, 0o600);
    const site = join(folder, 'env/lib/python3.11/site-packages');
    owned(join(folder, 'env/bin/python3'), '', 0o755);
    owned(join(folder, 'env/pyvenv.cfg'), 'version = 3.11.9\n');
    mkdirSync(join(site, 'x.dist-info'), { recursive: true });
    symlinkSync(secret, join(site, 'x.dist-info/METADATA'));
    const look = `inventory.describe(${JSON.stringify(join(folder, 'env/bin/python3'))}, account)["packages"]`;
    expect(await python(`say(child.run(lambda: ${look}, account, 10))`)).toEqual({});
    // As root it would be read.
    expect(await python(`say(${look})`)).toEqual({ stolen: '1' });
  });

  it('no glob takes longer than a moment', async () => {
    const box = collectSetup(asNobody);
    const run = await box.trained(`
import os
os.makedirs("outputs")
for i in range(50): open("outputs/" + "a" * 240 + str(i), "w")
`);
    const began = performance.now();
    const hard = [`outputs/${'*a'.repeat(20)}*b`, `${'**/a*/'.repeat(8)}b`, `outputs/${'[a-z]*'.repeat(20)}!`];
    const { state, warnings } = await box.collect(run, { outputs: hard });
    expect([state, warnings.length]).toEqual(['collected', hard.length]); // Nothing matches them.
    expect(performance.now() - began).toBeLessThan(10_000);
  });

  it.each([
    ['outputs/**', ['outputs/a', 'outputs/.b/c'], ['outputs', 'other/outputs/a']],
    ['**/*.pt', ['a.pt', 'a/b/c.pt', '.h/x.pt'], ['a.ptx']],
    ['a/**/b', ['a/b', 'a/x/b', 'a/x/y/b', 'a/b/below'], ['ab', 'a']],
    ['checkpoint-[0-9]?', ['checkpoint-12', 'checkpoint-12/model'], ['checkpoint-1', 'checkpoint-1/', 'checkpoint-x2']],
    ['[!a]b', ['xb'], ['ab', 'b', '/b']],
    ['logs', ['logs', 'logs/deep/file'], ['logs2', 'x/logs']],
    ['[', ['['], ['x']],
  ])('the glob %s means what it meant', async (glob, matching, others) => {
    const names = JSON.stringify([...matching, ...others]);
    const found = await python<string[]>(
      `pattern = globs.Pattern(${JSON.stringify(glob)})\nsay([name for name in ${names} if pattern.matches(name)])`,
    );
    expect(found).toEqual(matching);
  });

  it('a pattern that nobody can understand is a warning', async () => {
    const box = collectSetup(asNobody);
    const run = await box.trained('print(1)\n');
    expect((await box.collect(run, { outputs: ['[z-a]', '../x'] })).warnings).toEqual([
      'the pattern [z-a] of outputs is not understood',
      'the pattern ../x of outputs points outside the project',
    ]);
  });
});

describe('every wait has an end', () => {
  it.each([
    ['that sleeps', 'time.sleep(300)'],
    ['that is halted', 'os.kill(os.getpid(), signal.SIGSTOP)'],
    ['that is deaf', 'signal.signal(signal.SIGTERM, signal.SIG_IGN) or time.sleep(300)'],
    ['that answers, and goes on', 'print("x") or time.sleep(300)'],
  ])('work as the user %s is given up in time, and killed', async (_, work) => {
    const answer = await python<{ seconds: number; error: string; left: boolean }>(`
began = time.monotonic()
try:
    child.run(lambda: ${work}, account, 0.5)
except child.TimedOut as error:
    try: left = os.waitpid(-1, os.WNOHANG) == (0, 0)
    except ChildProcessError: left = False
    say({"seconds": time.monotonic() - began, "error": str(error), "left": left})`);
    expect(answer).toMatchObject({ error: 'it took too long', left: false });
    expect(answer.seconds).toBeLessThan(3);
  });

  it('work as the user that answers without end is given up', async () => {
    const answer = await python<string>(`
try: child.run(lambda: "x" * 3_000_000, account, 20, 1_000_000)
except RuntimeError as error: say(str(error))`);
    expect(answer).toBe('its answer is longer than 1000000 bytes');
  });

  it('a search and a packing that take too long keep what they have, with a warning', async () => {
    for (const name of ['a', 'b', 'c']) owned(join(folder, 'project/outputs', name), name.repeat(10));
    const packed = (change: string) =>
      python<{ files: unknown[]; warnings: string[] }>(`
os.chmod(".", 0o777)
${change}
selection = outputs.Selection(["outputs/**"], None, True)
packed = outputs.pack("archive", os.path.join(os.getcwd(), "project"), selection, 1_000_000, account)
say({"files": [file["path"] for file in packed.files], "warnings": packed.warnings})`);
    expect(await packed('')).toEqual({ files: ['outputs/a', 'outputs/b', 'outputs/c'], warnings: [] });
    expect(await packed('search._MAX_SEARCH_S = -1')).toMatchObject({
      files: [],
      warnings: [expect.stringContaining('the search timed out')],
    });
    expect(await packed('outputs._MAX_PACK_S = -1')).toMatchObject({
      files: [],
      warnings: [
        expect.stringMatching(
          /^3 files of 30 bytes were left out, because packing took longer than -1 s: outputs\/\w, /,
        ),
      ],
    });
  });

  it('an upload to a server that only trickles ends, and says so without its URL', async () => {
    const code = `
import socket, threading
from collect import upload
upload._PUT_S = 0.5
server = socket.create_server(("127.0.0.1", 0))
def trickle():
    one, _ = server.accept()
    while True:
        one.sendall(b"H")
        time.sleep(0.1)
threading.Thread(target=trickle, daemon=True).start()
upload._ATTEMPTS = 1
os.makedirs("run/finish")
open("run/finish/inventory.json", "w").write("{}")
began = time.monotonic()
why = upload._send("run/finish", {"name": "inventory.json", "bytes": 2}, {}, "http://127.0.0.1:%d/x?secret" % server.getsockname()[1])
say([why, time.monotonic() - began])`;
    const [why, seconds] = await python<[string, number]>(code);
    expect(why).toMatch(/^it took longer than/);
    expect(seconds).toBeLessThan(3);
  });
});

describe('a log that claims to be larger than it is', () => {
  it('is kept as far as its disk holds it, within seconds', async () => {
    const kept = await python<[number, string, number]>(`
fd = os.open("log", os.O_RDWR | os.O_CREAT)
os.write(fd, b"epoch 1\\n")
os.ftruncate(fd, 1 << 42)
most, why = log_stream.kept_bytes(fd)
log = log_stream.Gzipped(fd, most)
say([most, why, log_stream.measure(log)[0], log.raw])`);
    expect(kept[0]).toBe(1 << 20);
    expect(kept[1]).toContain('it has a length of 4398046511104 bytes');
  });

  it('is packed for a while only', async () => {
    const [bytes, again, raw] = await python<[[number, string], [number, string], number]>(`
open("log", "wb").write(b"loss 0.1\\n" * 3_000_000)
fd = os.open("log", os.O_RDONLY)
log = log_stream.Gzipped(fd, 27_000_000, 0.05)
first = log_stream.measure(log)
say([first, log_stream.measure(log_stream.Gzipped(fd, log.raw)), log.raw])`);
    expect(raw).toBeLessThan(27_000_000);
    expect(again).toEqual(bytes);
  });
});
