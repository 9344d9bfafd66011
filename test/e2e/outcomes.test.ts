import { mkdirSync, readFileSync, renameSync, rmdirSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { EC2Client, StopInstancesCommand } from '@aws-sdk/client-ec2';
import { describe, expect, inject, it } from 'vitest';
import { ERRORS, type ErrorName, OUTCOMES, type Outcome } from '../../core/errors.ts';
import { statePaths } from '../../local/cloud/paths.ts';
import { Cloud } from '../support/cloud/cloud.ts';
import { giveNotice } from '../support/cloud/notice.ts';
import { projectFolder, runctl, shellEnvironment } from '../support/cloud/runctl.ts';
import { memoryCgroups } from '../support/instance/memory-cgroups.ts';
import { isAlive, waitFor } from '../support/instance/processes.ts';
import { outputOf } from '../support/outputs.ts';
import { tarGz } from './archives.ts';

// Each end of a run, really provoked, and what a person learns of it. Every row has an instance of its own.

const cgroups = memoryCgroups();
if (!cgroups) console.log('skipped: out of memory, since there is no memory cgroup here that this user may make');

const groups: string[] = [];

const STEPS = `import os, time
for step in range(10_000):
    print("step", step, flush=True)
    time.sleep(0.1)
`;
const FAMILY = `import os, sys, time
open("exit.json", "w").write("a file of that name in the project means nothing")
if os.fork() == 0:
    time.sleep(2)
    print("the child is done", flush=True)
    os._exit(9)
sys.exit(0)
`;
/** Saves a checkpoint and an output, and another output when it is ended. */
const COSTLY = `import os, pickle, signal, sys, time
def leave(*_):
    open("outputs/last.txt", "w").write("saved on TERM")
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
os.makedirs("checkpoints", exist_ok=True)
with open("checkpoints/first.tmp", "wb") as file:
    pickle.dump({"weights": [0.5] * 1000}, file)
os.rename("checkpoints/first.tmp", "checkpoints/first.pkl")
print("working", flush=True)
while True: time.sleep(0.1)
`;
const DEAF = `import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
while True: time.sleep(1)
`;
const HOG = `import time
print("hungry", flush=True)
while not open("go").read(): time.sleep(0.1)
hog = bytearray()
while True: hog += b"x" * (8 << 20)
`;

/** A run that is under way. */
interface Subject {
  readonly cloud: Cloud;
  readonly arn: string;
  readonly id: string;
  /** Of the training, and of its supervisor. */
  readonly pids: readonly [number, number];
}

interface Row {
  readonly outcome: Outcome;
  readonly error: ErrorName | null;
  readonly message: RegExp;
  readonly exitCode?: number;
  /** The last of the last lines. */
  readonly last?: string | RegExp;
  readonly script?: string;
  readonly spec?: object;
  readonly requirements?: string;
  /** What is so on the instance before the run is started. */
  readonly before?: (cloud: Cloud) => Promise<void> | void;
  /** What happens to the training once it is watched. */
  readonly provoke?: (run: Subject) => Promise<void> | void;
}

const rows: Record<string, Row> = {
  'a parent that exits with 0, whose child goes on': {
    outcome: 'succeeded',
    error: null,
    message: /exit code 0/,
    exitCode: 0,
    last: 'the child is done',
    script: FAMILY,
  },
  'exit code 194, which the agent would take for a reboot': {
    outcome: 'failed',
    error: 'TrainingFailed',
    message: /exit code 194/,
    exitCode: 194,
    last: 'over',
    script: 'import os\nprint("over", flush=True)\nos._exit(194)\n',
  },
  'kill -9 of the training': {
    outcome: 'killed',
    error: 'TrainingKilled',
    message: /killed by SIGKILL/,
    last: /^step \d+$/,
    provoke: ({ pids: [training] }) => void process.kill(training, 'SIGKILL'),
  },
  'kill -9 of the training and its supervisor': {
    outcome: 'vanished',
    error: 'TrainingVanished',
    message: /left no exit code/,
    last: /^step \d+$/,
    provoke: ({ pids: [training, supervisor] }) => killAll([supervisor, training]),
  },
  "a PID that is somebody else's now": {
    outcome: 'vanished',
    error: 'TrainingVanished',
    message: /left no exit code/,
    last: /^step \d+$/,
    async provoke(run) {
      const { pids } = run;
      await killAll([pids[1], pids[0]]);
      const path = run.cloud.jobPath(run.id, 'train', 'identity.json');
      // By rename: a poll may read it at any moment.
      writeFileSync(`${path}.new`, JSON.stringify({ ...JSON.parse(readFileSync(path, 'utf8')), pid: process.pid }));
      renameSync(`${path}.new`, path);
    },
  },
  'an instance that is stopped while it trains': {
    outcome: 'instance-lost',
    error: 'InstanceLost',
    message: /is stopp/,
    provoke: ({ cloud }) => stop(cloud),
  },
  'an instance that does not run': {
    outcome: 'instance-unavailable',
    error: 'InstanceNotRunning',
    message: /is running/,
    before: stop,
  },
  'something in the way of the project folder': {
    outcome: 'sync-failed',
    error: 'SyncFailed',
    message: /is not a folder/,
    exitCode: 1,
    before: (cloud) => writeFileSync(join(cloud.home, 'outcomes'), 'in the way'),
  },
  'a required install without its interpreter': {
    outcome: 'install-failed',
    error: 'PythonNotFound',
    message: /\/opt\/nothing/,
    exitCode: 1,
    last: /PythonNotFound/,
    requirements: 'six\n',
    spec: { install: 'required', python: '/opt/nothing' },
  },
  'a key that nobody knows': {
    outcome: 'rejected',
    error: 'InvalidSpec',
    message: /did you mean script/,
    spec: { scirpt: 'train.py' },
  },
  'maxDuration, of a training that ignores TERM': {
    outcome: 'timed-out',
    error: 'TrainingTimedOut',
    message: /reached maxDuration/,
    last: 'deaf',
    script: DEAF,
    spec: { maxDuration: '2s', stopGrace: '1s' },
  },
  'a Spot Instance that EC2 takes back': {
    outcome: 'interrupted',
    error: 'TrainingInterrupted',
    message: /EC2 interrupted the training: it was to terminate the Spot Instance at/,
    last: /EC2 takes this instance away/,
    provoke({ cloud }) {
      const time = new Date(Date.now() + 120_000).toISOString().replace(/\.\d+/, '');
      const notices = { 'instance-action': { action: 'terminate', time } } as const;
      giveNotice(statePaths(inject('cloudFolder')), cloud.instanceId, notices);
    },
  },
  StopExecution: {
    outcome: 'stopped',
    error: 'RunStopped',
    message: /was stopped/,
    last: /^step \d+$/,
    provoke: ({ cloud, arn }) => cloud.stop(arn),
  },
  'a permission that is missing': {
    outcome: 'internal',
    error: 'AccessDenied',
    message: /ssm:SendCommand/,
    before: (cloud) =>
      cloud.faults({
        kind: 'refuse',
        operation: 'SendCommand',
        name: 'AccessDeniedException',
        httpStatus: 400,
        probability: 1,
      }),
  },
};
if (cgroups) {
  rows['the kernel, for memory'] = {
    outcome: 'out-of-memory',
    error: 'OutOfMemory',
    message: /out of memory/,
    last: 'hungry',
    script: HOG,
    provoke({ cloud, pids: [training] }) {
      const group = join(cgroups.base, `runctl-outcomes-${training}`);
      mkdirSync(group);
      groups.push(group);
      writeFileSync(join(group, cgroups.limit), String(128 << 20));
      writeFileSync(join(group, 'cgroup.procs'), String(training));
      writeFileSync(join(cloud.home, 'outcomes/go'), 'go');
    },
  };
}

async function killAll(pids: readonly number[]): Promise<void> {
  for (const pid of pids) {
    process.kill(pid, 'SIGKILL');
    await waitFor(() => !isAlive(pid) || null);
  }
}

async function stop(cloud: Cloud): Promise<void> {
  await cloud.client(EC2Client).send(new StopInstancesCommand({ InstanceIds: [cloud.instanceId] }));
}

async function start(cloud: Cloud, { script = STEPS, spec, requirements }: Partial<Row>): Promise<string> {
  const files = { 'train.py': script, ...(script === HOG ? { go: '' } : {}) };
  const body = await tarGz(requirements === undefined ? files : { ...files, 'requirements.txt': requirements });
  const archive = await cloud.put(`archives/outcomes/${cloud.instanceId}.tar.gz`, body);
  return cloud.start({ instance: cloud.instanceId, archive, project: 'outcomes', ...spec });
}

async function watched(cloud: Cloud, arn: string): Promise<Subject> {
  await cloud.entered(arn, 'Watch training');
  const id = arn.split(':').at(-1) ?? '';
  const { pid, supervisor } = JSON.parse(cloud.jobFile(id, 'train', 'identity.json'));
  await waitFor(() => cloud.jobFile(id, 'train', 'log').includes('\n') || null);
  return { cloud, arn, id, pids: [pid, supervisor.pid] };
}

const reached = new Set<Outcome>();

describe.concurrent('a run ends by', () => {
  it.each(Object.entries(rows))('%s', async (what, row) => {
    const cloud = await Cloud.connect(undefined, String(Object.keys(rows).indexOf(what)));
    await row.before?.(cloud);
    const arn = await start(cloud, row);
    if (row.provoke) await row.provoke(await watched(cloud, arn));
    const run = await cloud.finished(arn);
    const manifest = await cloud.manifest(arn);
    const told = { outcome: row.outcome, message: expect.stringMatching(row.message), exitCode: row.exitCode ?? null };
    const { error } = row;
    const next = error && ERRORS[error].next.replaceAll('<run id>', arn.split(':').at(-1) ?? '');
    expect(manifest).toMatchObject({ ...told, error, next });
    if (row.last) expect(manifest.lastLines.at(-1)).toMatch(row.last);
    if (run.status === 'FAILED') {
      expect(run.error).toBe(error);
      const { message, next, lastLines } = manifest;
      expect(run.cause).toMatchObject({ outcome: row.outcome, message, next, exitCode: told.exitCode, lastLines });
    }
    expect(run.status).toBe(
      row.outcome === 'succeeded' ? 'SUCCEEDED' : row.outcome === 'stopped' ? 'ABORTED' : 'FAILED',
    );
    for (const { job, key } of manifest.logs) {
      const whole = gunzipSync((await cloud.object(key)) ?? '').toString();
      expect(whole).toBe(cloud.jobFile(run.id, job, 'log'));
      expect(await cloud.log(run.id, job)).toBe(whole);
    }
    const lost = row.outcome === 'instance-lost';
    expect(manifest.logs.some(({ job }) => job === 'train')).toBe(manifest.jobs.train !== null && !lost);
    if (!lost) expect(cloud.holder()).toBeNull();
    await waitFor(() => cloud.processesOf(arn).length === 0 || null);
    await cloud.faults();
    reached.add(manifest.outcome);
  });

  it('maxCost, with its checkpoint and outputs kept', async () => {
    const cloud = await Cloud.connect(undefined, 'cost');
    // 77 s of a t3.small in the local cloud's price list, of which sync and start take some.
    const spec = { install: 'skip', maxCost: 0.000445, stopGrace: '5s' };
    const arn = await start(cloud, { script: COSTLY, spec });
    await cloud.entered(arn, 'Watch training');
    const id = arn.split(':').at(-1) ?? '';
    const { stdout } = await runctl(projectFolder(cloud.project), ['status', id, '--json'], await shellEnvironment());
    const status = outputOf('status', stdout);
    expect(status).toMatchObject({
      maxCostUsd: spec.maxCost,
      endsByCost: true,
      instanceCost: { usdPerHour: 0.0208, source: 'pricing' },
    });
    expect(Date.parse(status.endsBy ?? '') - Date.now()).toBeLessThan(90_000); // maxDuration is a day.
    const run = await cloud.finished(arn);
    expect(run).toMatchObject({ status: 'FAILED', error: 'CostCapped', cause: { outcome: 'capped' } });
    const manifest = await cloud.manifest(arn);
    expect(manifest).toMatchObject({
      outcome: 'capped',
      next: ERRORS.CostCapped.next.replaceAll('<run id>', id),
      message: expect.stringMatching(/of maxCost \(\$0\.000445\), at \$0\.0208 an hour \(list price of 20/),
      jobs: { train: { state: 'stopped', exitCode: 0 } },
      outputs: { files: [{ path: 'outputs/last.txt' }] },
      cost: { instance: { usdPerHour: 0.0208, source: 'pricing', at: status.instanceCost?.at } },
    });
    // From TERM to the manifest: stopGrace, outputs and the last checkpoint.
    const seconds = manifest.cost.instance?.seconds ?? 0;
    expect((seconds * 0.0208) / 3_600).toBeCloseTo(manifest.cost.instance?.usd ?? 0, 5);
    const listed = await runctl(projectFolder(cloud.project), ['checkpoints', id, '--json'], await shellEnvironment());
    expect(outputOf('checkpoints', listed.stdout).checkpoints).toMatchObject([{ name: 'checkpoints/first.pkl' }]);
    reached.add('capped');
  });

  it('maxCost while it installs, and trains nothing', async () => {
    const cloud = await Cloud.connect(undefined, 'cost-install');
    const silent = createServer(() => undefined);
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    try {
      const { port } = silent.address() as AddressInfo;
      const requirements = `six @ http://127.0.0.1:${port}/six-1.16.0-py2.py3-none-any.whl\n`;
      const arn = await start(cloud, { requirements, spec: { install: 'best-effort', maxCost: 0.000445 } });
      const run = await cloud.finished(arn);
      expect(run).toMatchObject({ status: 'FAILED', error: 'CostCapped', cause: { outcome: 'capped' } });
      const manifest = await cloud.manifest(arn);
      expect(manifest).toMatchObject({
        outcome: 'capped',
        message: expect.stringMatching(/^The install was stopped because of maxCost: .* of maxCost \(\$0\.000445\)/),
        jobs: { install: { state: 'stopped' }, train: null },
      });
      expect(manifest.cost.instance?.seconds).toBeGreaterThan(60); // 77 s, less the 10 s for its end.
    } finally {
      silent.close();
    }
  });

  it('another run that holds the instance: skipped, or refused', async () => {
    const cloud = await Cloud.connect(undefined, 'held');
    const holder = await start(cloud, {});
    await cloud.entered(holder, 'Watch training');
    for (const [ifBusy, outcome, error] of [
      ['skip', 'skipped', 'RunSkipped'],
      ['refuse', 'busy', 'InstanceBusy'],
    ] as const) {
      const run = await cloud.finished(await start(cloud, { spec: { ifBusy } }));
      expect(run).toMatchObject({ status: 'FAILED', error, cause: { outcome, next: ERRORS[error].next } });
      expect(run.cause?.message).toContain(holder.split(':').at(-1));
      expect(await cloud.manifest(run.arn)).toMatchObject({ outcome, jobs: { train: null } });
      reached.add(outcome);
    }
    await cloud.stop(holder);
    await cloud.manifest(holder);
  });
});

it('each outcome that there is has been reached', () => {
  for (const group of groups) rmdirSync(group);
  const possible = OUTCOMES.filter((outcome) => cgroups || outcome !== 'out-of-memory');
  expect([...reached].sort()).toEqual([...possible].sort());
});
