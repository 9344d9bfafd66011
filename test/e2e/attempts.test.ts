import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { EC2Client, TerminateInstancesCommand } from '@aws-sdk/client-ec2';
import { beforeAll, expect, inject, it } from 'vitest';
import { registerInstance } from '../../local/cloud/instance.ts';
import { killInstanceProcesses } from '../../local/cloud/instance-processes.ts';
import { statePaths } from '../../local/cloud/paths.ts';
import { readState } from '../../local/cloud/state.ts';
import { Cloud } from '../support/cloud/cloud.ts';
import { projectFolder, runctl, shellEnvironment } from '../support/cloud/runctl.ts';
import { waitFor } from '../support/instance/processes.ts';
import { outputOf } from '../support/outputs.ts';
import { tarGz } from './archives.ts';

let cloud: Cloud;
let env: Record<string, string>;
beforeAll(async () => {
  cloud = await Cloud.connect();
  env = await shellEnvironment();
});

/**
 * Adds up the numbers of its epochs, and saves the sum after each. argv: epochs, seconds of an epoch, and the epochs in
 * which it ends itself, each once: the marker is beside the project.
 */
const TRAIN = `import os, pickle, signal, sys, time
epochs, pause, deaths = int(sys.argv[1]), float(sys.argv[2]), [int(word) for word in sys.argv[3].split(",") if word]
start, total = 0, 0
source = os.environ.get("RUNCTL_RESUME_FROM")
print("attempt", os.environ["RUNCTL_ATTEMPT"], "from", source and os.path.basename(source), sys.argv[4:], flush=True)
if source:
    with open(source, "rb") as file:
        state = pickle.load(file)
    start, total = state["epoch"] + 1, state["total"]
folder = os.environ["RUNCTL_CHECKPOINT_DIR"]
os.makedirs(folder, exist_ok=True)
os.makedirs("outputs", exist_ok=True)
for epoch in range(start, epochs):
    total += epoch
    print(f"epoch {epoch} loss: {1 / (epoch + 1)}", flush=True)
    with open(folder + "/state.tmp", "wb") as file:
        pickle.dump({"epoch": epoch, "total": total, "weights": [0.5] * 1000}, file)
    os.rename(folder + "/state.tmp", f"{folder}/epoch-{epoch}.pkl")
    time.sleep(pause)
    marker = f"outputs/died-{epoch}"
    if epoch in deaths and not os.path.exists(marker):
        open(marker, "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
print("total", total, flush=True)
`;

it('a training that is killed is tried again from its newest checkpoint, and has the result of one that was not', async () => {
  const key = `uploads/${cloud.project}/retries.tar.gz`;
  await cloud.put(key, await tarGz({ 'train.py': TRAIN }), {
    args: ['5', '9', '1,3'],
    retries: { on: ['killed'], times: 1 },
    resumeArgs: ['--from', '{checkpoint}'],
  });
  const run = await cloud.runAppears(key);
  const id = run.split(':').at(-1) ?? '';
  const ended = await cloud.finished(run);
  expect(ended.output, JSON.stringify(ended.cause)).toMatchObject({ outcome: 'succeeded' });
  const manifest = await cloud.manifest(id);
  expect(manifest.attempts).toMatchObject([
    { attempt: 1, outcome: 'killed', signal: 'SIGKILL', resumedFrom: null, saved: { name: 'checkpoints/epoch-1.pkl' } },
    { attempt: 2, outcome: 'killed', resumedFrom: { run: id, name: 'checkpoints/epoch-1.pkl' } },
    { attempt: 3, outcome: 'succeeded', resumedFrom: { run: id, name: 'checkpoints/epoch-3.pkl' } },
  ]);
  expect(manifest.logs.map(({ key: name }) => name.split('/').at(-1))).toEqual(
    expect.arrayContaining(['train.log.gz', 'train-2.log.gz', 'train-3.log.gz', 'restore-2.log.gz']),
  );
  const folder = projectFolder(cloud.project);
  const log = async (...more: string[]) => (await runctl(folder, ['logs', id, ...more], env)).stdout;
  expect(await log()).toContain('total 10');
  expect(await log('--attempt', '2')).toContain("attempt 2 from epoch-1.pkl ['--from', 'checkpoints/epoch-1.pkl']");
  const metrics = await runctl(folder, ['metrics', id, '--json'], env);
  const [{ values = [] } = {}] = outputOf('metrics', metrics.stdout)[0]?.metrics ?? [];
  expect(values.map(({ step, attempt }) => [step, attempt])).toEqual([
    [0, 1],
    [1, 1],
    [2, 2],
    [3, 2],
    [4, 3],
  ]);
  const status = outputOf('status', (await runctl(folder, ['status', id, '--json'], env)).stdout);
  expect(status).toMatchObject({ attempt: 3, attempts: [{ outcome: 'killed' }, { outcome: 'killed' }] });
  expect(ended.history).not.toMatch(/x-amz-signature|X-Amz-Signature/);
}, 600_000);

it('a run goes on from the newest checkpoint of another one', async () => {
  const first = `uploads/${cloud.project}/first.tar.gz`;
  const archive = await tarGz({ 'train.py': TRAIN });
  await cloud.put(first, archive, { args: ['4', '8', '2'] });
  const firstRun = await cloud.runAppears(first);
  expect((await cloud.finished(firstRun)).cause).toMatchObject({ outcome: 'killed' });
  const firstId = firstRun.split(':').at(-1) ?? '';
  const second = `uploads/${cloud.project}/second.tar.gz`;
  await cloud.put(second, archive, { args: ['4', '1', ''], resume: firstId });
  const secondRun = await cloud.runAppears(second);
  const secondId = secondRun.split(':').at(-1) ?? '';
  expect((await cloud.finished(secondRun)).output).toMatchObject({ outcome: 'succeeded' });
  const manifest = await cloud.manifest(secondId);
  expect(manifest.attempts).toMatchObject([
    { attempt: 1, resumedFrom: { run: firstId, name: 'checkpoints/epoch-2.pkl' } },
  ]);
  expect(manifest.checkpoints).toMatchObject({ lineage: firstId, latest: { name: 'checkpoints/epoch-3.pkl' } });
  const folder = projectFolder(cloud.project);
  const listed = outputOf('checkpoints', (await runctl(folder, ['checkpoints', secondId, '--json'], env)).stdout);
  expect(listed.lineage).toBe(firstId);
  expect(listed.checkpoints.map(({ run }) => run)).toContain(firstId);
}, 600_000);

it('a run that goes on from one without checkpoints is refused before it touches an instance', async () => {
  const key = `uploads/${cloud.project}/none.tar.gz`;
  await cloud.put(key, await tarGz({ 'train.py': TRAIN }), { resume: 'no-such-run' });
  const ended = await cloud.finished(await cloud.runAppears(key));
  expect(ended).toMatchObject({ error: 'CheckpointNotFound', cause: { outcome: 'rejected' } });
  expect(ended.states).not.toContain('Find instance');
}, 120_000);

/** Waits until a run has a checkpoint in S3. */
async function hasCheckpoint(id: string): Promise<void> {
  const folder = projectFolder(cloud.project);
  await waitFor(async () => {
    const { stdout, code } = await runctl(folder, ['checkpoints', id, '--json'], env);
    return code === 0 && outputOf('checkpoints', stdout).checkpoints.length > 0;
  }, 120);
}

it('a training that EC2 interrupts ends at once, and another run goes on from what it saved', async () => {
  const paths = statePaths(inject('cloudFolder'));
  const notice = join(paths.notices, `${cloud.instanceId}.json`);
  const archive = await tarGz({ 'train.py': TRAIN });
  const key = `uploads/${cloud.project}/interrupted.tar.gz`;
  await cloud.put(key, archive, { args: ['100', '6', ''], maxWait: '1s' });
  const run = await cloud.runAppears(key);
  const id = run.split(':').at(-1) ?? '';
  await hasCheckpoint(id);
  mkdirSync(paths.notices, { recursive: true });
  const time = new Date(Date.now() + 60_000).toISOString();
  writeFileSync(notice, JSON.stringify({ 'instance-action': { action: 'terminate', time } }));
  try {
    const ended = await cloud.finished(run);
    expect(ended).toMatchObject({ error: 'TrainingInterrupted', cause: { outcome: 'interrupted' } });
    expect(ended.cause?.message).toContain('EC2 interrupted the training: it was to terminate the Spot Instance at');
  } finally {
    rmSync(notice);
  }
  const again = `uploads/${cloud.project}/resumed.tar.gz`;
  await cloud.put(again, archive, { args: ['1', '1', ''], resume: 'latest' });
  const resumed = await cloud.runAppears(again);
  expect((await cloud.finished(resumed)).output).toMatchObject({ outcome: 'succeeded' });
  const manifest = await cloud.manifest(resumed.split(':').at(-1) ?? '');
  expect(manifest.attempts[0]?.resumedFrom).toMatchObject({ run: id });
}, 600_000);

it('a run whose instance is terminated goes on on another one of its tag', async () => {
  const folder = inject('cloudFolder');
  const [paths, state] = [statePaths(folder), await readState(statePaths(folder))];
  if (state === undefined) throw new Error('there is no local cloud');
  const beside = await Cloud.connect(folder, 'spot');
  const key = `uploads/${beside.project}/moves.tar.gz`;
  await beside.put(key, await tarGz({ 'train.py': TRAIN }), { args: ['6', '8', ''] });
  const run = await beside.runAppears(key);
  const id = run.split(':').at(-1) ?? '';
  await hasCheckpoint(id);
  const ec2 = beside.client(EC2Client);
  await ec2.send(new TerminateInstancesCommand({ InstanceIds: [beside.instanceId] }));
  await killInstanceProcesses(beside.instanceId);
  const other = { name: `${beside.project}-2`, project: beside.project, folder: join(paths.instance, `${id}-2`) };
  const replacement = await registerInstance(state, other);
  try {
    expect((await beside.finished(run)).output).toMatchObject({ outcome: 'succeeded' });
    const manifest = await beside.manifest(id);
    expect(manifest.instance?.id).toBe(replacement);
    expect(manifest.attempts).toMatchObject([
      { attempt: 1, outcome: 'instance-lost', instance: beside.instanceId },
      { attempt: 2, outcome: 'succeeded', instance: replacement, resumedFrom: { run: id } },
    ]);
    const log = await runctl(projectFolder(beside.project), ['logs', id], env);
    expect(log.stdout).toContain('total 15');
  } finally {
    await ec2.send(new TerminateInstancesCommand({ InstanceIds: [replacement] }));
    await killInstanceProcesses(replacement);
  }
}, 600_000);
