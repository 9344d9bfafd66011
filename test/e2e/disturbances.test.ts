import { cpSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  DescribeStateMachineCommand,
  ListStateMachinesCommand,
  SFNClient,
  UpdateStateMachineCommand,
} from '@aws-sdk/client-sfn';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type JobName, STACK_NAME } from '../../core/names.ts';
import { runCdk } from '../../local/cloud/cdk.ts';
import { pushDocuments } from '../../local/cloud/documents.ts';
import { markName } from '../../local/cloud/environment.ts';
import { killInstanceProcesses } from '../../local/cloud/instance-processes.ts';
import { projectRoot, statePaths } from '../../local/cloud/paths.ts';
import { Cloud } from '../support/cloud/cloud.ts';
import { bringUpOwnCloud, type OwnCloud } from '../support/cloud/own-cloud.ts';
import { killQuietly, processesWith, waitFor } from '../support/instance/processes.ts';
import { tarGz } from './archives.ts';

// What no other test could bear in its cloud: deaths of Lambdas and of the agent, a reboot, a deployment.

/** Goes on until it may end. */
const PATIENT = `import os, time
run = os.environ["RUNCTL_RUN_ID"]
home = os.path.expanduser("~")
with open(os.path.join(home, "starts.txt"), "a") as starts:
    print(run, file=starts)
print("begun", flush=True)
while not os.path.exists(os.path.join(home, "end-" + run)):
    time.sleep(0.05)
print("done")
`;

let own: OwnCloud;
let cloud: Cloud;
let archive: string;
const KEY = 'archives/patient.tar.gz';
beforeAll(async () => {
  own = await bringUpOwnCloud('disturbances', 'always');
  cloud = await Cloud.connect(own.folder);
  archive = await cloud.put(KEY, await tarGz({ 'train.py': PATIENT, 'requirements.txt': '# none\n' }));
});
afterAll(() => own.remove());

const start = () => cloud.start({ instance: cloud.instanceId, archive, project: 'patient' });
const idOf = (arn: string) => arn.split(':').at(-1) ?? '';
const letEnd = (runId: string) => writeFileSync(join(cloud.home, `end-${runId}`), '');
const startsOf = (runId: string) =>
  cloud
    .readHome('starts.txt')
    .split('\n')
    .filter((line) => line === runId);

describe('a Lambda that dies after what it did, in every state that does something (W3)', () => {
  /** The state's function, and the request whose end its Lambda will not live to see. */
  const DEATHS: readonly [name: string, verb: string, job?: JobName][] = [
    ['sync-code', 'start', 'sync'],
    ['install-requirements', 'start', 'install'],
    ['start-training', 'start', 'train'],
    ['confirm-pid', 'poll', 'train'],
    ['poll-logs', 'poll', 'train'],
    ['finish-run', 'collect'],
    ['finish-run', 'upload'],
    ['finish-run', 'release'],
  ];

  it('is repeated, and nothing happens twice', async () => {
    await own.scaleWaits(0.1); // The pauses before a retry.
    await callDeathsByTheirName();
    const arn = await start();
    for (const [name, verb, job] of DEATHS) {
      // Not the poll that Confirm PID repeats.
      if (name === 'poll-logs') await cloud.entered(arn, 'Watch training');
      // Done on the instance, and never told: the function waits for the answer when it is killed.
      await cloud.faults({ kind: 'stuck', times: 1, request: { verb, ...(job && { job }) } });
      await cloud.faultsHappened();
      expect(killFunction(`runctl-${name}`), `${name} was at work`).toBeGreaterThan(0);
      if (name === 'poll-logs') letEnd(idOf(arn));
    }
    const run = await cloud.finished(arn);
    expect(run).toMatchObject({ status: 'SUCCEEDED', output: { outcome: 'succeeded', warnings: [] } });
    expect(startsOf(run.id)).toHaveLength(1);
    for (const job of ['sync', 'install', 'train'] as const) {
      expect(await cloud.log(run.id, job)).toBe(cloud.jobFile(run.id, job, 'log'));
    }
    expect((await cloud.manifest(arn)).logs.map(({ job }) => job)).toEqual(['sync', 'install', 'train']);
    expect(cloud.holder()).toBe(null);
    await own.scaleWaits(1);
  });

  /** MiniStack names a worker's death otherwise than AWS does: the deployed machines are told so. */
  async function callDeathsByTheirName(): Promise<void> {
    const sfn = cloud.client(SFNClient);
    const { stateMachines = [] } = await sfn.send(new ListStateMachinesCommand({}));
    for (const { stateMachineArn } of stateMachines) {
      const { definition = '' } = await sfn.send(new DescribeStateMachineCommand({ stateMachineArn }));
      expect(definition).toContain('"Runtime.ExitError"');
      const told = definition.replaceAll('"Runtime.ExitError"', '"Runtime.HandlerError"');
      await sfn.send(new UpdateStateMachineCommand({ stateMachineArn, definition: told }));
    }
  }

  /** @returns how many of its workers there were. */
  function killFunction(name: string): number {
    const ours = new Set(processesWith(`${markName}=${statePaths(own.folder).local}`));
    const pids = processesWith(`AWS_LAMBDA_FUNCTION_NAME=${name}`).filter((pid) => ours.has(pid));
    for (const pid of pids) killQuietly(pid);
    return pids.length;
  }
});

describe('the lease and the queue', () => {
  it('survive a restart of the agent, and a reboot', async () => {
    const holder = await start();
    await cloud.entered(holder, 'Watch training');
    const waiting = await start();
    await cloud.entered(waiting, 'Wait for instance');
    await own.restartAgent();
    expect(cloud.holder()).toMatchObject({ run: idOf(holder) });
    const looks = (await cloud.outputsOf(waiting, 'Sync code')).length;
    await waitFor(async () => (await cloud.outputsOf(waiting, 'Sync code')).length > looks || null);
    expect(await cloud.outputOf(waiting, 'Sync code')).toMatchObject({ state: 'busy', queue: { place: 1, length: 1 } });

    await killInstanceProcesses(cloud.instanceId);
    const identity = join(cloud.runFolder(idOf(holder)), 'train', 'identity.json');
    const before = JSON.parse(readFileSync(identity, 'utf8'));
    writeFileSync(identity, JSON.stringify({ ...before, bootId: '00000000-0000-0000-0000-000000000000' }));
    expect(await cloud.finished(holder)).toMatchObject({ status: 'FAILED', cause: { outcome: 'vanished' } });
    letEnd(idOf(waiting));
    expect(await cloud.finished(waiting)).toMatchObject({ status: 'SUCCEEDED' });
    expect(startsOf(idOf(holder))).toHaveLength(1);
  });
});

describe('a new version, deployed in the middle of a run (W8), with a schedule', () => {
  /** The project as it will be: another runner, and other Lambdas. */
  function nextVersion(): string {
    const folder = join(own.folder, 'next version');
    mkdirSync(folder);
    for (const name of [
      'aws',
      'bin',
      'core',
      'instance',
      'lambdas',
      'lib',
      'cdk.json',
      'package.json',
      'tsconfig.json',
    ])
      cpSync(join(projectRoot, name), join(folder, name), { recursive: true });
    symlinkSync(join(projectRoot, 'node_modules'), join(folder, 'node_modules'));
    for (const file of ['dispatch.py', 'collect/main.py', 'install/main.py']) {
      const path = join(folder, 'instance/runner', file);
      writeFileSync(path, `${readFileSync(path, 'utf8')}\nNEXT_VERSION = True\n`);
    }
    return folder;
  }

  async function deploy(cwd: string, schedules: readonly object[]): Promise<void> {
    const context = ['runctl:local=true', `runctl:schedules=${JSON.stringify(schedules)}`];
    const output = join(own.folder, 'cdk.out');
    const args = ['deploy', STACK_NAME, ...context.flatMap((pair) => ['--context', pair])];
    args.push('--output', output, '--require-approval', 'never');
    const paths = statePaths(own.folder);
    await runCdk({ args, cwd, report: () => undefined, signal: new AbortController().signal }, own.state, paths);
    await pushDocuments(own.state, output);
  }

  it('leaves the run to its own runner, and is what the next one gets, which the schedule starts when its time has come', async () => {
    const runners = () => new Set(readdirSync(join(cloud.root, 'runners')));
    const old = await start();
    await cloud.entered(old, 'Watch training');
    const before = runners();
    const key = 'archives/scheduled.tar.gz';
    const scheduled = await cloud.put(key, await tarGz({ 'train.py': 'print("on time")\n' }));
    // While the deployment lasts: so it is due as soon as the emulator, which looks every 10 s, knows of it.
    const due = new Date(Date.now() + 1_000).toISOString().slice(0, 19);
    const spec = { archive: scheduled, project: 'scheduled', instance: cloud.instanceId };
    await deploy(nextVersion(), [{ name: 'soon', expression: `at(${due})`, timezone: 'UTC', spec }]);
    letEnd(idOf(old));
    const ended = await cloud.finished(old);
    expect(ended).toMatchObject({ status: 'SUCCEEDED', output: { outcome: 'succeeded', warnings: [] } });
    expect(await cloud.log(ended.id, 'train')).toBe('begun\ndone\n');
    const next = await cloud.finished(await cloud.runAppears(key));
    expect(next).toMatchObject({ status: 'SUCCEEDED', output: { outcome: 'succeeded', warnings: [] } });
    expect(await cloud.log(next.id, 'train')).toBe('on time\n');
    const runnerOf = (id: string) => JSON.parse(cloud.jobFile(id, 'train', 'request.json')).runner;
    expect(before).toContain(runnerOf(ended.id));
    expect(before).not.toContain(runnerOf(next.id));
    expect(runners()).toContain(runnerOf(next.id));
  });
});
