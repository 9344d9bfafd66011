import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AGENT_PATH, isRoot, type TestInstance, useInstances } from '../support/instance/test-instance.ts';

/** A mount namespace of our own, in which /run/systemd/system exists: no other process of this machine sees it. */
const WITH_SYSTEMD = [
  'unshare',
  '--mount',
  'sh',
  '-c',
  'mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/system && exec "$@"',
  'sh',
];

/** Writes down its arguments, then does what systemd-run would: starts the command with only the environment that is set. */
const FAKE = `#!/usr/bin/env python3
import json, os, subprocess, sys
here = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(here, "calls"), "a") as file:
    file.write(json.dumps(sys.argv[1:]) + "\\n")
if os.path.exists(os.path.join(here, "broken")):
    sys.exit("Unknown assignment: OOMPolicy=continue")
split = sys.argv.index("--")
env = dict(word[len("--setenv="):].split("=", 1) for word in sys.argv[:split] if word.startswith("--setenv="))
null = subprocess.DEVNULL
subprocess.Popen(sys.argv[split + 1:], env=dict(env, PATH=os.defpath, UNIT="yes"), stdin=null, stdout=null, stderr=null, start_new_session=True)
`;

const skipped = !isRoot ? 'only root asks systemd' : whyNoNamespace();
if (skipped) console.log(`skipped: jobs-systemd.test.ts, since ${skipped}`);

const instance = useInstances();
let fake = '';
// In a hook, since no hook would take it away again where every test is skipped.
beforeAll(() => {
  fake = mkdtempSync(join(tmpdir(), 'runctl-systemd-'));
});
afterAll(() => rmSync(fake, { recursive: true, force: true }));

function withSystemd(name: string): { box: TestInstance; calls: () => string[][]; folder: string } {
  const folder = join(fake, name);
  mkdirSync(folder);
  writeFileSync(join(folder, 'systemd-run'), FAKE);
  chmodSync(join(folder, 'systemd-run'), 0o755);
  const box = instance({
    before: WITH_SYSTEMD,
    env: { PATH: `${folder}:${AGENT_PATH}` },
  });
  const calls = () =>
    readFileSync(join(folder, 'calls'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as string[]);
  return { box, calls, folder };
}

describe.runIf(!skipped)('where systemd runs', () => {
  it('the supervisor is a transient unit of its own, outside the agent’s cgroup', async () => {
    const { box, calls } = withSystemd('unit');
    box.write('train.py', 'import os\nprint(open(f"/proc/{os.getppid()}/environ").read().count("UNIT=yes"))\n');
    const run = box.giveLease(box.run());
    await box.start(run, { train: { stopGrace: 30 } });
    expect((await box.ended(run, 'train')).tail?.at(-1)).toBe('1');
    expect(calls()).toEqual([
      [
        '--quiet',
        '--collect',
        '--no-ask-password',
        `--unit=runctl-${run.key}-train`,
        `--setenv=AWS_SSM_INSTANCE_ID=${box.id}`,
        '--setenv=AWS_SSM_REGION_NAME=us-east-1',
        '--setenv=LANG=C.UTF-8',
        '--property=Delegate=yes',
        '--property=OOMPolicy=continue',
        '--property=KillMode=process',
        '--property=NoNewPrivileges=yes',
        '--property=StandardInput=null',
        '--property=StandardOutput=null',
        '--property=StandardError=journal',
        expect.stringMatching(/^--property=TasksMax=\d+$/),
        expect.stringMatching(/^--property=MemoryMax=\d+$/),
        '--property=TimeoutStopSec=45',
        '--',
        expect.stringMatching(/python3/),
        '-I',
        '-B',
        box.runner,
        'supervise',
        box.jobFolder(run, 'train'),
      ],
    ]);
  });

  it('that refuses leaves the job to a session of its own', async () => {
    const { box, calls, folder } = withSystemd('broken');
    writeFileSync(join(folder, 'broken'), '');
    box.write('train.py', 'import os\nprint(open(f"/proc/{os.getppid()}/environ").read().count("UNIT=yes"))\n');
    const run = box.giveLease(box.run());
    expect((await box.start(run, { train: {} })).ok).toBe(true);
    expect((await box.ended(run, 'train')).tail?.at(-1)).toBe('0');
    expect(calls()).toHaveLength(1);
  });

  it('the system’s own programs know every property that is set', async () => {
    const { box, calls } = withSystemd('known');
    box.write('train.py', 'print(1)\n');
    const run = box.giveLease(box.run());
    await box.start(run, { train: {} });
    const properties = (calls()[0] ?? [])
      .filter((word) => word.startsWith('--property='))
      .map((word) => word.slice(11));
    expect(properties).toHaveLength(10);
    if (!hasProgram('systemd-analyze')) return console.log('not checked: there is no systemd-analyze here');
    const unit = join(fake, 'runctl.service');
    writeFileSync(unit, `[Service]\nExecStart=/bin/true\n${properties.join('\n')}\n`);
    const said = execFileSync('sh', ['-c', 'systemd-analyze verify --man=no "$1" 2>&1 || true', 'sh', unit]).toString();
    expect(said.split('\n').filter((line) => line.includes('runctl.service'))).toEqual([]);
  });
});

function hasProgram(name: string): boolean {
  try {
    execFileSync('sh', ['-c', `command -v ${name}`], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

function whyNoNamespace(): string | null {
  try {
    execFileSync(WITH_SYSTEMD[0] as string, [...WITH_SYSTEMD.slice(1), 'true'], { stdio: 'ignore' });
    return null;
  } catch {
    return 'this machine gives root no mount namespace';
  }
}
