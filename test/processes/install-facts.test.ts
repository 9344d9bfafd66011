import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { PROTOCOL } from '../../core/protocol/messages.ts';
import type { ProbeAnswer, ProbeRequest } from '../../core/protocol/probe.ts';
import { type InstallSetup, isRoot, useInstallSetup } from '../support/instance/install-setup.ts';
import { processesWith } from '../support/instance/processes.ts';
import { STANDARD_PATH } from '../support/instance/pythons.ts';

const setup = useInstallSetup();

function request(about: InstallSetup, changes: Partial<ProbeRequest> = {}): Required<ProbeRequest> {
  const user = userInfo().username;
  const root = join(about.base, 'root');
  mkdirSync(root, { recursive: true });
  // These tests may run as root.
  writeFileSync(join(root, 'allow-root'), '');
  const places = { root, home: about.home, user };
  return { protocol: PROTOCOL, verb: 'probe', ...places, python: null, secrets: {}, command: 'sh', ...changes };
}

/** Sends a request to the installer as the document does: on standard input, without HOME. */
function ask(about: InstallSetup, asked: object) {
  const done = spawnSync('python3', ['-I', '-B', join(about.base, 'installer')], {
    cwd: '/usr/bin',
    input: JSON.stringify(asked),
    encoding: 'utf8',
    env: { PATH: STANDARD_PATH, LANG: 'C.UTF-8' },
  });
  expect(done.stderr).toBe('');
  return { code: done.status, answer: JSON.parse(done.stdout) };
}

describe('probe', () => {
  it('says what a training would find, and leaves nothing behind', () => {
    const python = setup().systemPython([], { pip: false });
    setup().script('uv', 'echo uv 0.9.1');
    const before = readdirSync(setup().home, { recursive: true }).sort();
    const { code, answer } = ask(setup(), request(setup(), { python }));
    expect(code).toBe(0);
    expect(answer).toMatchObject({
      protocol: PROTOCOL,
      ok: true,
      user: userInfo().username,
      home: setup().home,
      python: { path: python, pip: false, error: null, version: expect.stringMatching(/^3\./) },
      uv: { path: join(setup().userBin, 'uv'), version: 'uv 0.9.1', error: null },
      command: { path: expect.stringMatching(/\/bin\/sh$/), error: null },
    });
    const { disk } = answer as ProbeAnswer;
    expect(disk.root.path).toBe(join(setup().base, 'root'));
    expect(disk.home.free).toBeGreaterThan(0);
    expect(disk.home.free).toBeLessThanOrEqual(disk.home.bytes);
    expect(readdirSync(setup().home, { recursive: true }).sort()).toEqual(before);
  });

  it('finds the program of a command as a training would, or says where it searched', () => {
    setup().script('torchrun', 'exit 0');
    const find = (command: string) => ask(setup(), request(setup(), { command })).answer.command;
    expect(find('torchrun')).toEqual({ path: join(setup().userBin, 'torchrun'), error: null });
    expect(find('no-such-launcher')).toEqual({ path: null, error: expect.stringContaining(setup().userBin) });
    const { command: _command, ...without } = request(setup());
    expect(ask(setup(), without).answer.command).toBe(null);
  });

  it('names the GPUs that the driver shows', () => {
    setup().script('nvidia-smi', 'printf "NVIDIA A10G\\nNVIDIA A10G\\n"');
    expect(ask(setup(), request(setup())).answer.gpu).toMatchObject({
      names: ['NVIDIA A10G', 'NVIDIA A10G'],
      error: null,
    });
  });

  it.each([
    ['without a driver', null, /driver is not installed/],
    ['with a driver that does not answer', 'echo "NVIDIA-SMI has failed" >&2; exit 9', /NVIDIA-SMI has failed/],
  ])('detects a GPU %s, and reports the reason', (_, smi, reason) => {
    if (smi !== null) setup().script('nvidia-smi', smi);
    const pci = join(setup().base, 'pci');
    const card = (name: string, kind: string) => {
      mkdirSync(join(pci, name), { recursive: true });
      writeFileSync(join(pci, name, 'vendor'), '0x10de\n');
      writeFileSync(join(pci, name, 'class'), `${kind}\n`);
    };
    card('0000:00:1e.0', '0x030200');
    card('0000:00:1e.1', '0x040300');
    const code = `import json, sys
sys.path.insert(0, sys.argv[1])
from install import probe
print(json.dumps(list(probe.probe(None, *sys.argv[2:]))[-1]["gpu"]))`;
    const gpu = (folder: string) => {
      const words = ['-I', '-B', '-c', code, join(setup().base, 'installer'), setup().home, folder];
      const options = { encoding: 'utf8', env: { PATH: STANDARD_PATH } } as const;
      return JSON.parse(spawnSync('python3', words, options).stdout);
    };
    expect(gpu(pci)).toEqual({ devices: 1, names: [], error: expect.stringMatching(reason) });
    expect(gpu(join(pci, 'none'))).toEqual({ devices: 0, names: [], error: null });
  });

  it('says why there is no interpreter, and what is wrong with uv', () => {
    setup().script('uv', 'echo broken >&2; exit 1');
    const { answer } = ask(setup(), request(setup(), { python: '/nowhere/python3' }));
    expect(answer.python).toEqual({ error: expect.stringContaining('/nowhere/python3') });
    expect(answer.uv).toMatchObject({ version: null, error: expect.stringContaining('broken') });
  });

  it.skipIf(!isRoot)('runs nothing of the user as root, and gives it no way to become root', () => {
    setup().script('uv', 'echo "uv as $(id -un), $(grep NoNewPrivs /proc/self/status)"');
    expect(ask(setup(), request(setup(), { user: 'nobody' })).answer.uv.version).toMatch(
      /^uv as nobody, NoNewPrivs:\s1$/,
    );
  });

  it('leaves nothing running of what it started, and no folder', () => {
    const survivor = `import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); open("ready", "w"); time.sleep(300)`;
    const daemon = `cd; MARK='${setup().base}' setsid python3 -c '${survivor}' >/dev/null 2>&1 </dev/null &`;
    setup().script('uv', `${daemon} until [ -e ~/ready ]; do sleep 0.05; done; echo uv 9.9`);
    expect(ask(setup(), request(setup())).answer.uv.version).toBe('uv 9.9');
    expect(processesWith(`MARK=${setup().base}`)).toEqual([]);
    expect(readdirSync(tmpdir()).filter((name) => name.startsWith('runctl-probe-'))).toEqual([]);
  });

  it('answers what it knows when a program does not answer', () => {
    setup().script('uv', 'echo "$$" > "$HOME/pid"; trap "" TERM; sleep 300');
    const { answer } = ask(setup(), request(setup()));
    expect(answer).toMatchObject({ ok: true, python: { error: null }, uv: { version: null } });
    expect(answer.uv.error).toContain('gave up after 15 s');
  }, 60_000);

  it.each(['root', 'home', 'user', 'python'] as const)('without %s is refused, with its name', (key) => {
    const { code, answer } = ask(setup(), { ...request(setup()), [key]: undefined });
    expect(code).toBe(1);
    expect(answer).toMatchObject({ ok: false, error: { name: 'BadRequest', message: `${key} is missing` } });
  });

  it('is no verb of another protocol, nor with a relative root', () => {
    const refused = { ok: false, error: { name: 'BadRequest' } };
    expect(ask(setup(), request(setup(), { root: 'here' })).answer).toMatchObject(refused);
    expect(ask(setup(), { ...request(setup()), protocol: PROTOCOL + 1 }).answer).toMatchObject(refused);
  });
});
