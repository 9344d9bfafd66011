import { fileURLToPath } from 'node:url';
import { CancelCommandCommand } from '@aws-sdk/client-ssm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { markedProcesses } from '../../../local/cloud/processes.ts';
import { AgentProcess, running, until } from '../../support/agent/agent-process.ts';

const standIn = fileURLToPath(new URL('../../support/fixtures/agent-command.sh', import.meta.url));

describe('a program in the place of the imitated agent', () => {
  let agent: AgentProcess;
  beforeAll(async () => {
    agent = await AgentProcess.start(standIn);
    const inputs = { runCommand: ["printf '%s' '{{ Request }}' | base64 -d", 'printf warned >&2', 'exit {{ Code }}'] };
    await agent.createDocument('decodes', {
      schemaVersion: '2.2',
      parameters: {
        Request: { type: 'String', allowedPattern: '^[A-Za-z0-9+/=]*$' },
        Code: { type: 'String', default: '0' },
      },
      mainSteps: [{ action: 'aws:runShellScript', name: 'run', inputs }],
    });
  });
  afterAll(() => agent.stop());

  it('gets document and parameters, and its answer is the command’s', async () => {
    const commandId = await agent.send('decodes', { Request: ['aGVsbG8='], Code: ['3'] });
    expect(await agent.ended(commandId)).toMatchObject({
      Status: 'Failed',
      ResponseCode: 3,
      StandardOutputContent: 'hello',
      StandardErrorContent: 'warned',
    });
  });

  it('is killed with all it started when the command is cancelled', async () => {
    const inputs = { runCommand: ['sleep 600'] };
    await agent.createDocument('lasts', {
      schemaVersion: '2.2',
      mainSteps: [{ action: 'aws:runShellScript', name: 'run', inputs }],
    });
    const commandId = await agent.send('lasts');
    const processes = () => markedProcesses((entry) => entry === `AWS_SSM_INSTANCE_ID=${running}`);
    await until('it runs', async () => (await processes()).length > 1);
    await agent.client.send(new CancelCommandCommand({ CommandId: commandId }));
    expect(await agent.ended(commandId)).toMatchObject({ Status: 'Cancelled', ResponseCode: 137 });
    await until('all of it is gone', async () => (await processes()).length === 0);
  });
});

describe('a program that breaks the contract', () => {
  it.each([
    ['is not there', '/not/there', 'ENOENT'],
    ['answers nothing', '/bin/true', 'JSON'],
    ['fails', '/bin/false', 'it exited with 1'],
  ])('that %s makes the command Failed, and says why', async (_what, program, reason) => {
    const agent = await AgentProcess.start(program);
    try {
      const commandId = await agent.send('AWS-RunShellScript', { commands: ['true'] });
      const ended = await agent.ended(commandId);
      expect(ended.Status).toBe('Failed');
      expect(ended.StandardErrorContent).toContain(program);
      expect(ended.StandardErrorContent).toContain(reason);
    } finally {
      await agent.stop();
    }
  });
});
