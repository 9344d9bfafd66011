import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { Cloud } from '../support/cloud/cloud.ts';
import { waitFor } from '../support/instance/processes.ts';
import { tarGz } from './archives.ts';

let cloud: Cloud;
let patient: string;
let short: string;
let brief: string;
beforeAll(async () => {
  cloud = await Cloud.connect();
  const checkpoint = `import os, signal, sys, time
def leave(*_):
    os.makedirs("outputs", exist_ok=True)
    open("outputs/checkpoint", "w").write(str(time.time()))
    print("checkpoint written", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
for step in range(10_000):
    print("step", step, flush=True)
    time.sleep(0.1)
`;
  const body = await tarGz({ 'train.py': checkpoint, 'requirements.txt': 'tiny_stop_wheel_that_is_not_there\n' });
  patient = await cloud.put('archives/patient.tar.gz', body);
  const awaited = `import os, time
print("begun", flush=True)
while not os.path.exists(os.path.expanduser("~/go")):
    time.sleep(0.05)
print("ended by itself")
`;
  brief = await cloud.put('archives/brief.tar.gz', await tarGz({ 'train.py': awaited }));
  short = await cloud.put('archives/after.tar.gz', await tarGz({ 'train.py': 'print("done")\n' }));
});

const idOf = (arn: string) => arn.split(':').at(-1) ?? '';
/** Milliseconds after its start: before anything, on the way, in the queue, while another one's end is at work. */
const MOMENTS = [0, 700, 1_500, 2_600, 4_200, 6_000];

const start = (archive: string, project: string, spec: object = {}) =>
  cloud.start({ instance: cloud.instanceId, archive, project, ...spec });

/** What is so after every stop, however early or late it came. */
async function isOver(arn: string) {
  const manifest = await cloud.manifest(arn);
  expect(manifest).toMatchObject({ outcome: 'stopped', error: 'RunStopped' });
  await waitFor(() => cloud.processesOf(arn).length === 0 || null);
  return manifest;
}

describe('an abort', () => {
  it('while training: TERM, a checkpoint, outputs and the whole log in S3, every line in CloudWatch', async () => {
    const arn = await start(patient, 'patient', { install: 'skip' });
    await cloud.entered(arn, 'Watch training');
    const id = idOf(arn);
    await waitFor(() => cloud.jobFile(id, 'train', 'log').includes('step 10') || null);
    const abortedAt = Date.now() / 1_000;
    await cloud.stop(arn);
    await cloud.stop(arn);
    const manifest = await isOver(arn);
    // 15 s is the aim; here the machine may be busy.
    expect(Number(cloud.readHome('patient/outputs/checkpoint')) - abortedAt).toBeLessThan(60);
    const log = cloud.jobFile(id, 'train', 'log');
    expect(log).toMatch(/checkpoint written\n$/);
    expect(await cloud.log(id, 'train')).toBe(log);
    expect(manifest.outputs.files.map(({ path }) => path)).toEqual(['outputs/checkpoint']);
    expect(manifest.logs.map(({ job }) => job)).toEqual(['sync', 'train']);
    expect(manifest.spec?.project).toBe('patient');
    expect(cloud.holder()).toBe(null);
    expect(await cloud.invokeStopRun(arn)).toEqual({ outcome: 'done before' });
  });

  it('when the training has just ended by itself, unseen: stopped, with how it ended before, and its whole log', async () => {
    const arn = await start(brief, 'brief', { install: 'skip' });
    const id = idOf(arn);
    await cloud.entered(arn, 'Watch training');
    // No look comes back from now on.
    await cloud.faults({ kind: 'stuck', request: { verb: 'poll' } });
    writeFileSync(join(cloud.home, 'go'), '');
    await waitFor(() => (existsSync(join(cloud.runFolder(id), 'train', 'exit.json')) ? true : null));
    await cloud.stop(arn);
    await cloud.faults();
    const manifest = await isOver(arn);
    expect(manifest).toMatchObject({ exitCode: 0, jobs: { train: { state: 'exited' } } });
    expect(manifest.message).toContain('Before that: Training ended with exit code 0');
    expect(await cloud.log(id, 'train')).toBe('begun\nended by itself\n');
    expect(cloud.holder()).toBe(null);
  });

  it('at any moment, again and again: nothing of those runs is alive, and the next one trains', async () => {
    const stopped = await Promise.all(
      MOMENTS.map(async (moment) => {
        const arn = await start(patient, 'patient', { install: 'skip', stopGrace: '5s' });
        await sleep(moment);
        await cloud.stop(arn);
        return arn;
      }),
    );
    const last = await start(short, 'after');
    for (const arn of stopped) await isOver(arn);
    expect((await cloud.finished(last)).status).toBe('SUCCEEDED');
    expect(stopped.flatMap((arn) => cloud.processesOf(arn))).toEqual([]);
    await waitFor(() => cloud.holder() === null || null);
  });

  const STATES = [
    'Verify archive',
    'Find instance',
    'Sync code',
    'Install requirements',
    'Start training',
    'Confirm PID',
    'Watch training',
    'Finish run',
  ];
  it('in every state: each run ends as stopped, and the next one has the instance', async () => {
    const stopped: string[] = [];
    for (const state of STATES) {
      const ends = state === 'Finish run';
      const arn = await start(ends ? short : patient, ends ? 'after' : 'patient', { stopGrace: '5s' });
      await cloud.entered(arn, state);
      await cloud.stop(arn);
      stopped.push(arn);
    }
    const last = await cloud.finished(await start(short, 'after'));
    expect(last.status).toBe('SUCCEEDED');
    for (const arn of stopped.slice(0, -1)) await isOver(arn);
    // Finish run's own function may have written its manifest before the abort reached anything.
    expect((await cloud.manifest(stopped.at(-1) ?? '')).outcome).toMatch(/^(stopped|succeeded)$/);
    expect(stopped.flatMap((arn) => cloud.processesOf(arn))).toEqual([]);
    await waitFor(() => cloud.holder() === null || null);
  });

  it('whose event never comes: the next run finds the orphan and has it cleared up', async () => {
    const orphan = await start(patient, 'patient', { install: 'skip' });
    await cloud.loseEndOf(orphan);
    await cloud.entered(orphan, 'Watch training');
    await cloud.stop(orphan);
    const next = await cloud.finished(await start(short, 'after'));
    expect(next.status).toBe('SUCCEEDED');
    expect(next.states).toContain('Wait for instance');
    const manifest = await isOver(orphan);
    expect(manifest.outputs.files.map(({ path }) => path)).toEqual(['outputs/checkpoint']);
  });

  it('is ignored if the event is forged', async () => {
    const arn = await start(patient, 'patient', { install: 'skip' });
    await cloud.entered(arn, 'Watch training');
    expect(await cloud.invokeStopRun(arn)).toEqual({ outcome: 'not an ended run' });
    expect(cloud.processesOf(arn).length).toBeGreaterThan(0);
    await cloud.stop(arn);
    await isOver(arn);
  });
});

describe('maxDuration', () => {
  it('ends the training, with its grace', async () => {
    const run = await cloud.finished(
      await start(patient, 'patient', { install: 'skip', maxDuration: '2s', stopGrace: '5s' }),
    );
    expect(run).toMatchObject({ status: 'FAILED', error: 'TrainingTimedOut', cause: { outcome: 'timed-out' } });
    expect(run.cause?.lastLines.at(-1)).toBe('checkpoint written');
    expect((await cloud.manifest(run.arn)).outputs.count).toBe(1);
  });
});
