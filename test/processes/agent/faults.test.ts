import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DescribeInstanceInformationCommand, ListCommandsCommand } from '@aws-sdk/client-ssm';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { AgentProcess, anInstanceId, running, until } from '../../support/agent/agent-process.ts';

// Faults stand in for what AWS does to a run on its bad days: FAULTS M1–M10.
describe('faults that a test switches on', () => {
  let agent: AgentProcess;
  let count: string;
  beforeAll(async () => {
    agent = await AgentProcess.start();
    count = join(agent.folder, 'count');
    await agent.createDocument('counts', {
      schemaVersion: '2.2',
      parameters: { Request: { type: 'String', default: '' } },
      mainSteps: [
        {
          action: 'aws:runShellScript',
          name: 'run',
          inputs: { runCommand: [`echo x >> '${count}'`, 'echo "{{ Request }}"'] },
        },
      ],
    });
  });
  afterEach(() => agent.faults());
  afterAll(() => agent.stop());

  const runs = async () => (await readFile(count, 'utf8').catch(() => '')).split('x').length - 1;
  const base64 = (request: object) => Buffer.from(JSON.stringify(request)).toString('base64');

  it('loses the answer of a SendCommand that ran, once', async () => {
    const before = await runs();
    await agent.faults({ kind: 'lose-answer', times: 1 });
    await expect(agent.send('counts')).rejects.toThrow(/socket|ECONNRESET/);
    await until('it ran', async () => (await runs()) === before + 1);
    await agent.ended(await agent.send('counts'));
    expect(await runs()).toBe(before + 2);
  });

  it('touches only the commands that a fault is for', async () => {
    await agent.faults({ kind: 'report', status: 'Failed', request: { verb: 'start', job: 'train' } });
    const other = await agent.send('counts', { Request: [base64({ verb: 'poll', job: 'train' })] });
    const meant = await agent.send('counts', { Request: [base64({ verb: 'start', job: 'train', more: 1 })] });
    expect((await agent.ended(other)).Status).toBe('Success');
    expect((await agent.ended(meant)).Status).toBe('Failed');
  });

  it('does not deliver while the agent is offline', async () => {
    await agent.faults({ kind: 'offline' });
    const { InstanceInformationList } = await agent.client.send(new DescribeInstanceInformationCommand({}));
    expect(InstanceInformationList?.find((one) => one.InstanceId === running)?.PingStatus).toBe('ConnectionLost');
    const before = await runs();
    const commandId = await agent.send('counts');
    expect((await until('it is visible', () => agent.invocation(commandId))).Status).toBe('Pending');
    await agent.faults();
    await agent.ended(await agent.send('counts'));
    expect(await runs()).toBe(before + 1);
  });

  it('never delivers, delivers late, delivers twice', async () => {
    const before = await runs();
    await agent.faults(
      { kind: 'never-deliver', times: 1 },
      { kind: 'deliver-late', milliseconds: 400, times: 1 },
      { kind: 'deliver-twice', times: 1 },
    );
    const sentAt = Date.now();
    const first = await agent.send('counts'); // never, and uses up the late one, which is asked for first
    await agent.faults({ kind: 'deliver-late', milliseconds: 400, times: 1 });
    await agent.ended(await agent.send('counts'));
    expect(Date.now() - sentAt).toBeGreaterThanOrEqual(400);
    expect(await runs()).toBe(before + 1);
    await agent.faults({ kind: 'deliver-twice', times: 1 });
    await agent.ended(await agent.send('counts'));
    expect(await runs()).toBe(before + 3);
    expect((await agent.invocation(first))?.Status).toBe('Pending');
  });

  it('refuses calls: throttled N times, or with a probability from a seed', async () => {
    await agent.faults({ kind: 'refuse', operation: 'ListCommands', times: 2 });
    const list = () =>
      agent.client.send(new ListCommandsCommand({})).then(
        () => 'answered',
        (error: Error) => error.name,
      );
    expect([await list(), await list(), await list()]).toEqual([
      'ThrottlingException',
      'ThrottlingException',
      'answered',
    ]);
    const pattern = async () => {
      await agent.faults({ kind: 'refuse', probability: 0.5, name: 'InternalServerError', httpStatus: 500 });
      const answers: string[] = [];
      for (let index = 0; index < 12; index += 1) answers.push(await list());
      return answers;
    };
    const first = await pattern();
    expect(new Set(first)).toEqual(new Set(['answered', 'InternalServerError']));
    expect(await pattern()).toEqual(first);
  });

  it('reports InProgress for ever, or TimedOut, though it is done', async () => {
    await agent.faults({ kind: 'report', status: 'TimedOut', times: 1 });
    const reported = await agent.ended(await agent.send('counts'));
    expect(reported).toMatchObject({ Status: 'TimedOut', StatusDetails: 'Execution Timed Out' });
    const before = await runs();
    await agent.faults({ kind: 'stuck', times: 1 });
    const stuck = await agent.send('counts');
    await until('it ran', async () => (await runs()) === before + 1);
    await agent.ended(await agent.send('counts'));
    expect((await agent.invocation(stuck))?.Status).toBe('InProgress');
  });

  it('empties, cuts and garbles stdout', async () => {
    const text = 'a'.repeat(100);
    const stdout = async (how: string) => {
      await agent.faults({ kind: 'stdout', how, times: 1 });
      return (await agent.ended(await agent.send('counts', { Request: [text] }))).StandardOutputContent ?? '';
    };
    expect(await stdout('empty')).toBe('');
    expect(text.startsWith(await stdout('cut'))).toBe(true);
    const garbled = await stdout('garble');
    expect(() => JSON.parse(garbled)).toThrow();
    expect(garbled).not.toBe('');
  });

  it('forgets an invocation N times', async () => {
    const commandId = await agent.send('counts');
    await agent.ended(commandId);
    await agent.faults({ kind: 'missing', times: 2 });
    const seen = [
      await agent.invocation(commandId),
      await agent.invocation(commandId),
      await agent.invocation(commandId),
    ];
    expect(seen.map((one) => one?.Status)).toEqual([undefined, undefined, 'Success']);
  });

  it('keeps the faults of one instance from the others, and from being replaced with theirs', async () => {
    const other = anInstanceId();
    const status = async () => (await agent.ended(await agent.send('counts'))).Status;
    await agent.replaceFaults({ instance: running, faults: [{ kind: 'report', status: 'Failed' }] });
    await agent.replaceFaults({
      instance: other,
      faults: [{ kind: 'refuse' }, { kind: 'report', status: 'TimedOut' }],
    });
    expect(await status()).toBe('Failed');
    await agent.replaceFaults({ instance: running, faults: [] });
    expect(await status()).toBe('Success');
    await agent.replaceFaults({ instance: running, faults: [{ kind: 'refuse', operation: 'SendCommand' }] });
    await expect(agent.send('counts')).rejects.toThrow('A fault that a test enabled.');
    await agent.faults({ kind: 'offline', instance: other });
    expect(await status()).toBe('Success');
  });

  it('says what it does not understand', async () => {
    await expect(agent.faults({ kind: 'nonsense' })).rejects.toThrow(/kind/);
  });
});
