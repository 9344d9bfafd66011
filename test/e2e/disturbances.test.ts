import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
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
os.makedirs("outputs", exist_ok=True)
open("outputs/model.txt", "w").close()
while not os.path.exists(os.path.join(home, "end-" + run)):
    time.sleep(0.05)
print("done")
`;

const OUTPUT =
  'import os\nos.makedirs("outputs", exist_ok=True)\nopen("outputs/model.txt", "w").close()\nprint("done")\n';

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

describe('a Lambda that dies after what it did, in every state that does something', () => {
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

describe('another program, deployed in the middle of runs', () => {
  /** The project as it will be: another program, and other functions. */
  function nextVersion(): string {
    const folder = join(own.folder, 'next version');
    mkdirSync(folder);
    const names = ['aws', 'bin', 'core', 'instance', 'lambdas', 'lib', 'cdk.json', 'package.json', 'tsconfig.json'];
    for (const name of names) cpSync(join(projectRoot, name), join(folder, name), { recursive: true });
    symlinkSync(join(projectRoot, 'node_modules'), join(folder, 'node_modules'));
    const path = join(folder, 'instance/runner/dispatch.py');
    writeFileSync(path, `${readFileSync(path, 'utf8')}\nNEXT_VERSION = True\n`);
    return folder;
  }

  async function deploy(cwd: string, schedules: readonly object[]): Promise<void> {
    const output = join(own.folder, 'cdk.out');
    const context = ['runctl:local=true', `runctl:schedules=${JSON.stringify(schedules)}`];
    const run = (...args: string[]) =>
      runCdk(
        { args, cwd, report: () => undefined, signal: new AbortController().signal },
        own.state,
        statePaths(own.folder),
      );
    await run('synth', '--quiet', ...context.flatMap((pair) => ['--context', pair]), '--output', output);
    await pushDocuments(own.state, output);
    await run('deploy', STACK_NAME, '--app', output, '--require-approval', 'never');
  }

  /** A run on an instance of its own, whose training ends at once. */
  async function startOn(there: Cloud, files: Record<string, string>): Promise<string> {
    const project = there.project;
    const code = await there.put(`archives/${project}.tar.gz`, await tarGz({ 'train.py': OUTPUT, ...files }));
    return there.start({ instance: there.instanceId, archive: code, project });
  }

  it('changes nothing for runs in every state; the next run, started by a schedule, has the new program', async () => {
    const programs = () => readdirSync(join(cloud.root, 'programs'));
    const [syncing, installing, finishing] = (await Promise.all(
      ['sync', 'install', 'finish'].map((state) => Cloud.connect(own.folder, state)),
    )) as [Cloud, Cloud, Cloud];

    const train = await start();
    await cloud.entered(train, 'Watch training');
    const waiting = await start();
    await cloud.entered(waiting, 'Wait for instance');

    // Its process is halted while it unpacks.
    const many = Object.fromEntries(Array.from({ length: 4_000 }, (_, at) => [`data/${at % 50}/${at}.txt`, `${at}`]));
    const sync = await startOn(syncing, many);
    const pid = await waitFor(async () => {
      const path = () => syncing.jobPath(idOf(sync), 'sync', 'identity.json');
      try {
        const { pid } = JSON.parse(readFileSync(path(), 'utf8')) as { pid: number };
        process.kill(pid, 'SIGSTOP');
        return pid;
      } catch {
        return null;
      }
    });

    // uv waits for a file.
    mkdirSync(join(installing.home, '.local/bin'), { recursive: true });
    const venv = 'venv) mkdir -p "$4/lib/python3/site-packages";;';
    const uv = `case $1 in --version) echo uv 0.9.1;; ${venv} *) while [ ! -e "$HOME/go" ]; do sleep 0.1; done;; esac`;
    rmSync(join(installing.home, '.local/bin/uv'), { force: true });
    writeFileSync(join(installing.home, '.local/bin/uv'), `#!/bin/sh\n${uv}\n`, { mode: 0o755 });
    const install = await startOn(installing, { 'requirements.txt': 'zz-none\n' });
    await installing.entered(install, 'Watch install');

    await finishing.faults({ kind: 'never-deliver', request: { verb: 'upload' } });
    const finish = await startOn(finishing, {});
    await finishing.entered(finish, 'Finish run');

    const before = programs();
    const key = 'archives/scheduled.tar.gz';
    const scheduled = await cloud.put(key, await tarGz({ 'train.py': 'print("on time")\n' }));
    // While the deployment lasts: so it is due as soon as the emulator, which looks every 10 s, knows of it.
    const due = new Date(Date.now() + 1_000).toISOString().slice(0, 19);
    const spec = { archive: scheduled, project: 'scheduled', instance: cloud.instanceId };
    await deploy(nextVersion(), [{ name: 'soon', expression: `at(${due})`, timezone: 'UTC', spec }]);

    expect(existsSync(syncing.jobPath(idOf(sync), 'sync', 'exit.json'))).toBe(false);
    expect(existsSync(installing.jobPath(idOf(install), 'install', 'exit.json'))).toBe(false);
    process.kill(pid, 'SIGCONT');
    writeFileSync(join(installing.home, 'go'), '');
    await finishing.faults();
    letEnd(idOf(train));
    letEnd(idOf(waiting));
    const runs: [Cloud, string][] = [
      [cloud, train],
      [cloud, waiting],
      [syncing, sync],
      [installing, install],
      [finishing, finish],
    ];
    for (const [there, arn] of runs) {
      const ended = await there.finished(arn);
      expect(ended).toMatchObject({ status: 'SUCCEEDED', output: { outcome: 'succeeded', warnings: [] } });
      expect(await there.log(ended.id, 'train')).toBe(there.jobFile(ended.id, 'train', 'log'));
      const manifest = await there.manifest(arn);
      expect(before, `the program of ${ended.id}`).toContain(manifest.program?.sha256);
      expect(manifest.program?.documentVersion).toBe('1');
      expect(manifest.outputs.files.map(({ path }) => path)).toEqual(['outputs/model.txt']);
      expect(manifest.logs.map(({ job }) => job)).toContain('train');
    }
    const next = await cloud.finished(await cloud.runAppears(key));
    expect(next).toMatchObject({ status: 'SUCCEEDED', output: { outcome: 'succeeded', warnings: [] } });
    expect(await cloud.log(next.id, 'train')).toBe('on time\n');
    const { program } = await cloud.manifest(next.arn);
    expect(before).not.toContain(program?.sha256);
    expect(programs()).toContain(program?.sha256);
    expect(program?.documentVersion).toBe('2');
  });
});
