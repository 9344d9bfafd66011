import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DescribeInstancesCommand, EC2Client } from '@aws-sdk/client-ec2';
import { GetCommandInvocationCommand, SendCommandCommand, SSMClient } from '@aws-sdk/client-ssm';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { localSettings, ssmSettings } from '../../local/cloud/clients.ts';
import { markName } from '../../local/cloud/environment.ts';
import { type StatePaths, statePaths } from '../../local/cloud/paths.ts';
import { markedProcesses } from '../../local/cloud/processes.ts';
import { type LocalState, readState } from '../../local/cloud/state.ts';
import { until } from '../support/agent/agent-process.ts';
import { listeningAddresses } from '../support/cloud/listening.ts';

const runctl = fileURLToPath(new URL('../../bin/runctl.js', import.meta.url));
const standIn = fileURLToPath(new URL('../support/fixtures/agent-command.sh', import.meta.url));

// Settings of a person's that must not lead anything astray.
const personal = { AWS_PROFILE: 'mine', AWS_ENDPOINT_URL: 'http://example.invalid', AWS_SESSION_TOKEN: 'secret' };

describe('the local cloud', () => {
  let folder: string;
  let paths: StatePaths;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'runctl cloud '));
    paths = statePaths(folder);
  });
  afterEach(async () => {
    await run('down');
    await rm(folder, { recursive: true, force: true });
  });

  function start(command: string, ...args: string[]) {
    const child = spawn(process.execPath, [runctl, 'local', command, ...args, '--state', folder], {
      env: { ...process.env, ...personal },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    const output = { stdout: '', stderr: '' };
    child.stdout.on('data', (text) => {
      output.stdout += text;
    });
    child.stderr.on('data', (text) => {
      output.stderr += text;
    });
    const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
    return { pid: child.pid ?? 0, output, ended };
  }

  async function run(command: string, ...args: string[]) {
    const { output, ended } = start(command, ...args);
    return { code: await ended, ...output };
  }

  async function up(...args: string[]) {
    const result = await run('up', '--no-deploy', ...args);
    expect(result).toMatchObject({ code: 0, stderr: '' });
    const state = await readState(paths);
    if (state === undefined) throw new Error('no state after up');
    return { ...result, state };
  }

  const ours = () => markedProcesses((entry) => entry === `${markName}=${paths.local}`);
  const listening = async () => (await Promise.all((await ours()).map(listeningAddresses))).flat().sort();
  const hosts = (state: LocalState) => [state.endpoint, state.ssmEndpoint].map((url) => new URL(url).host).sort();

  /** Runs shell lines on the local instance. @returns its stdout. */
  async function onInstance(state: LocalState, lines: string[]): Promise<string> {
    const client = new SSMClient(ssmSettings(state));
    const InstanceId = state.instanceId ?? '';
    const { Command } = await client.send(
      new SendCommandCommand({
        DocumentName: 'AWS-RunShellScript',
        InstanceIds: [InstanceId],
        Parameters: { commands: lines },
      }),
    );
    return await until('the command has ended', async () => {
      const answer = await client.send(new GetCommandInvocationCommand({ CommandId: Command?.CommandId, InstanceId }));
      return answer.Status === 'Success' ? (answer.StandardOutputContent ?? '') : undefined;
    });
  }

  it('comes up on loopback alone, with one instance that any client finds, and goes without a trace', async () => {
    const { state } = await up();
    const client = new EC2Client(localSettings(state));
    const found = await client.send(
      new DescribeInstancesCommand({
        Filters: [
          { Name: 'tag:runctl', Values: ['enabled'] },
          { Name: 'tag:Project', Values: ['digits'] },
        ],
      }),
    );
    const instance = found.Reservations?.[0]?.Instances?.[0];
    expect(instance).toMatchObject({ InstanceId: state.instanceId, State: { Name: 'running' } });
    const tags = Object.fromEntries((instance?.Tags ?? []).map((tag) => [tag.Key, tag.Value]));
    expect(tags).toMatchObject({
      'runctl:root': join(paths.instance, 'root'),
      'runctl:home': join(paths.instance, 'home'),
      'runctl:user': userInfo().username,
    });

    expect(await listening()).toEqual(hosts(state));

    const job = `setsid sh -c 'echo $$ > "${join(paths.local, 'job')}"; exec sleep 600' >/dev/null 2>&1 </dev/null &`;
    await onInstance(state, [job]);
    const jobs = () => markedProcesses((entry) => entry === `AWS_SSM_INSTANCE_ID=${state.instanceId}`);
    await until('the job runs', async () => (await jobs()).length > 0);

    expect((await run('down')).code).toBe(0);
    expect([await ours(), await jobs()]).toEqual([[], []]);
    await expect(fetch(state.endpoint)).rejects.toThrow();
    await expect(fetch(state.ssmEndpoint)).rejects.toThrow();
    expect(await readState(paths)).toBeUndefined();
    const again = await run('down');
    expect(again).toMatchObject({ code: 0, stdout: 'The local cloud was not running.\n' });
  });

  it('prints what a shell needs, and says that it is up', async () => {
    expect(await run('env')).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining('runctl local up') });
    expect(await run('status')).toMatchObject({ code: 1, stdout: expect.stringContaining('is not running') });
    const { state } = await up();
    const { stdout } = await run('env');
    expect(stdout.split('\n')).toEqual([
      `export AWS_ENDPOINT_URL=${state.endpoint}`,
      `export AWS_ENDPOINT_URL_SSM=${state.ssmEndpoint}`,
      `export AWS_ACCESS_KEY_ID=${state.credentials.accessKeyId}`,
      `export AWS_SECRET_ACCESS_KEY=${state.credentials.secretAccessKey}`,
      'export AWS_REGION=us-east-1',
      'export AWS_DEFAULT_REGION=us-east-1',
      'unset AWS_PROFILE',
      'unset AWS_SESSION_TOKEN',
      '',
    ]);
    expect(JSON.parse((await run('env', '--json')).stdout)).toMatchObject({ AWS_ENDPOINT_URL: state.endpoint });
    const status = await run('status', '--json');
    expect(status.code).toBe(0);
    expect(JSON.parse(status.stdout)).toMatchObject({ up: true, instanceId: state.instanceId, deployed: null });
  });

  it('is left alone by a second up, and repaired when half of it has died', async () => {
    const first = await up();
    const second = await up();
    expect(second.state).toEqual(first.state);
    expect(second.stdout).toContain('was already running');
    const place = `--state '${folder}'`; // it has a space in its name
    expect(second.stdout.trimEnd().split('\n').slice(-3)).toEqual([
      `  Open a shell that uses it:  runctl local shell ${place}`,
      `  Deploy runctl into it:      runctl local up ${place}`,
      `  Stop it:                    runctl local down ${place}`,
    ]);

    process.kill(first.state.agent?.pid ?? 0, 'SIGKILL');
    expect((await run('status')).code).toBe(1);
    const third = await up();
    expect(third.state).toMatchObject({
      ...first.state,
      agent: { pid: expect.not.toBeOneOf([first.state.agent?.pid]) },
    });
    expect(await onInstance(third.state, ['echo well'])).toBe('well\n');

    process.kill(first.state.ministack.pid, 'SIGKILL');
    const fourth = await up();
    expect(fourth.state.ministack.pid).not.toBe(first.state.ministack.pid);
    expect(JSON.parse((await run('status', '--json')).stdout)).toMatchObject({ up: true });
    expect(await listening()).toEqual(hosts(fourth.state));
  });

  it.each(['SIGINT', 'SIGTERM'] as const)('ends what it started when %s interrupts its start', async (signal) => {
    const { pid, output, ended } = start('up', '--no-deploy');
    await until('a process of it runs', async () => (await ours()).length > 0);
    process.kill(-pid, signal); // the whole group, as a terminal does
    expect(await ended).toBe(1);
    expect(output.stderr).toContain('Interrupted');
    expect(await ours()).toEqual([]);
    expect(await readState(paths)).toBeUndefined();
  });

  it('lets a program take the place of the imitated agent, and gives it back', async () => {
    const { state } = await up('--agent-command', standIn);
    const home = ['echo "$HOME $PATH"'];
    const throughProgram = await run('status');
    expect(throughProgram.stdout).toContain(standIn);
    const after = await up();
    expect(after.state).toMatchObject({ endpoint: state.endpoint, ssmEndpoint: state.ssmEndpoint, agentCommand: null });
    expect(after.state.agent?.pid).not.toBe(state.agent?.pid);
    expect(await onInstance(after.state, home)).toBe(' /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin\n');
  });
});
