import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  CancelCommandCommand,
  CreateDocumentCommand,
  DeleteDocumentCommand,
  DescribeDocumentCommand,
  DescribeInstanceInformationCommand,
  GetCommandInvocationCommand,
  GetDocumentCommand,
  GetParameterCommand,
  ListCommandInvocationsCommand,
  ListCommandsCommand,
  ListDocumentsCommand,
  SendCommandCommand,
  SSMClient,
  UpdateDocumentCommand,
  UpdateDocumentDefaultVersionCommand,
} from '@aws-sdk/client-ssm';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { newCredentials } from '../../../local/cloud/credentials.ts';
import { markedProcesses } from '../../../local/cloud/processes.ts';
import { AgentProcess, running, stopped, until } from '../../support/agent/agent-process.ts';

function script(...runCommand: string[]): object {
  return { schemaVersion: '2.2', mainSteps: [{ action: 'aws:runShellScript', name: 'run', inputs: { runCommand } }] };
}

describe('SSM as the local agent speaks it', () => {
  let agent: AgentProcess;
  beforeAll(async () => {
    agent = await AgentProcess.start();
    await agent.createDocument('echoes', {
      ...script('echo "{{ Text }}"'),
      parameters: { Text: { type: 'String', allowedPattern: '^[a-z]*$', maxChars: 5 } },
    });
    await agent.createDocument('waits', script(`while [ ! -e '${gate()}' ]; do sleep 0.02; done`));
  });
  afterAll(() => agent.stop());

  // The document `waits` runs until this file is there: no test depends on how fast the machine is.
  const gate = () => join(agent.folder, 'gate');
  const release = () => writeFile(gate(), '');
  afterEach(() => rm(gate(), { force: true }));

  const send = (input: Partial<ConstructorParameters<typeof SendCommandCommand>[0]>) =>
    agent.client.send(
      new SendCommandCommand({ InstanceIds: [running], DocumentName: 'echoes', Parameters: { Text: ['a'] }, ...input }),
    );

  it.each([
    ['an unknown document', { DocumentName: 'nothing' }, 'InvalidDocument'],
    ['an unknown version', { DocumentVersion: '7' }, 'InvalidDocumentVersion'],
    ['an unknown instance', { InstanceIds: ['i-00000000000000000'] }, 'InvalidInstanceId'],
    ['a stopped instance', { InstanceIds: [stopped] }, 'InvalidInstanceId'],
    ['no instance', { InstanceIds: [] }, 'ValidationException'],
    ['an unknown parameter', { Parameters: { Text: ['a'], Other: ['b'] } }, 'InvalidParameters'],
    ['a missing parameter', { Parameters: {} }, 'InvalidParameters'],
    ['two values for a String', { Parameters: { Text: ['a', 'b'] } }, 'InvalidParameters'],
    ['a value against the pattern', { Parameters: { Text: ['$(id)'] } }, 'InvalidParameters'],
    ['a value that is too long', { Parameters: { Text: ['abcdef'] } }, 'InvalidParameters'],
    ['a delivery time-out under 30 s', { TimeoutSeconds: 29 }, 'ValidationException'],
    ['a delivery time-out over 30 days', { TimeoutSeconds: 2_592_001 }, 'ValidationException'],
  ])('refuses %s', async (_what, input, name) => {
    await expect(send(input)).rejects.toMatchObject({ name });
  });

  it('takes a document by its ARN, and instances by a tag', async () => {
    const { Command } = await send({
      DocumentName: 'arn:aws:ssm:us-east-1:000000000000:document/echoes',
      InstanceIds: undefined,
      Targets: [{ Key: 'tag:runctl', Values: ['enabled'] }],
    });
    expect((await agent.ended(Command?.CommandId ?? '')).StandardOutputContent).toBe('a\n');
  });

  it('shows nothing of an invocation until it has ended', async () => {
    const commandId = await agent.send('waits');
    const seen = await until('it runs', async () => {
      const answer = await agent.invocation(commandId);
      return answer?.Status === 'InProgress' ? answer : undefined;
    });
    expect(seen).toMatchObject({ StatusDetails: 'InProgress', ResponseCode: -1, StandardOutputContent: '' });
    await release();
    expect(await agent.ended(commandId)).toMatchObject({
      Status: 'Success',
      StatusDetails: 'Success',
      ResponseCode: 0,
    });
  });

  it('has five workers: of eight commands three wait', async () => {
    const ids = await Promise.all(Array.from({ length: 8 }, () => agent.send('waits')));
    const count = async () => {
      const all = await Promise.all(ids.map((id) => agent.invocation(id)));
      return ['InProgress', 'Pending'].map((status) => all.filter((one) => one?.Status === status).length);
    };
    await until('all are visible', async () => (await count()).reduce((sum, one) => sum + one) === 8);
    expect(await count()).toEqual([5, 3]);
    await release();
    await Promise.all(ids.map((id) => agent.ended(id)));
  });

  it('cancels what waits, and knows no foreign command', async () => {
    const busy = await Promise.all(Array.from({ length: 5 }, () => agent.send('waits')));
    const waiting = await agent.send('waits');
    await agent.client.send(new CancelCommandCommand({ CommandId: waiting }));
    expect(await agent.ended(waiting)).toMatchObject({ Status: 'Cancelled', ResponseCode: -1 });
    await release();
    await Promise.all(busy.map((id) => agent.ended(id)));
    const unknown = new CancelCommandCommand({ CommandId: '00000000-0000-0000-0000-000000000000' });
    await expect(agent.client.send(unknown)).rejects.toMatchObject({ name: 'InvalidCommandId' });
  });

  it('shows 8,000 characters of stderr, and 2,500 of both in lists', async () => {
    await agent.createDocument('talks', script("head -c 9000 /dev/zero | tr '\\0' e >&2; echo out"));
    const commandId = await agent.send('talks');
    const ended = await agent.ended(commandId);
    expect(ended.StandardErrorContent).toBe('e'.repeat(8_000));
    const { CommandInvocations } = await agent.client.send(
      new ListCommandInvocationsCommand({ CommandId: commandId, Details: true }),
    );
    const output = CommandInvocations?.[0]?.CommandPlugins?.[0]?.Output ?? '';
    expect(output).toHaveLength(2_500);
    expect(output.startsWith('out\n\n----------ERROR-------\neee')).toBe(true);
    const { Commands } = await agent.client.send(new ListCommandsCommand({ CommandId: commandId }));
    expect(Commands?.[0]).toMatchObject({ Status: 'Success', CompletedCount: 1, DocumentName: 'talks' });
  });

  it('wants the step named when there are two', async () => {
    const step = (name: string) => ({ action: 'aws:runShellScript', name, inputs: { runCommand: [`echo ${name}`] } });
    await agent.createDocument('two-steps', { schemaVersion: '2.2', mainSteps: [step('first'), step('second')] });
    const commandId = await agent.send('two-steps');
    const asked = { CommandId: commandId, InstanceId: running };
    const ended = await until('the second step has ended', async () => {
      const answer = await agent.client.send(new GetCommandInvocationCommand({ ...asked, PluginName: 'second' }));
      return answer.Status === 'Success' ? answer : undefined;
    });
    expect(ended.StandardOutputContent).toBe('second\n');
    await expect(agent.client.send(new GetCommandInvocationCommand(asked))).rejects.toMatchObject({
      name: 'InvalidPluginName',
    });
  });

  it('says which instances have an agent that answers', async () => {
    const { InstanceInformationList } = await agent.client.send(new DescribeInstanceInformationCommand({}));
    expect(InstanceInformationList?.map((one) => [one.InstanceId, one.PingStatus, one.PlatformType])).toEqual([
      [running, 'Online', 'Linux'],
      [stopped, 'ConnectionLost', 'Linux'],
    ]);
    const one = await agent.client.send(
      new DescribeInstanceInformationCommand({ Filters: [{ Key: 'InstanceIds', Values: [running] }] }),
    );
    expect(one.InstanceInformationList).toHaveLength(1);
  });

  it('keeps documents by version', async () => {
    const { client } = agent;
    const content = (line: string) => JSON.stringify(script(`echo ${line}`));
    const named = { Name: 'versions' };
    await client.send(new CreateDocumentCommand({ ...named, Content: content('one'), DocumentType: 'Command' }));
    await expect(client.send(new CreateDocumentCommand({ ...named, Content: content('x') }))).rejects.toMatchObject({
      name: 'DocumentAlreadyExists',
    });
    await client.send(new UpdateDocumentCommand({ ...named, Content: content('two'), DocumentVersion: '$LATEST' }));
    await expect(client.send(new UpdateDocumentCommand({ ...named, Content: content('two') }))).rejects.toMatchObject({
      name: 'DuplicateDocumentContent',
    });
    const run = async () => (await agent.ended(await agent.send('versions'))).StandardOutputContent;
    expect(await run()).toBe('one\n');
    await client.send(new UpdateDocumentDefaultVersionCommand({ ...named, DocumentVersion: '2' }));
    expect(await run()).toBe('two\n');
    const { Document } = await client.send(new DescribeDocumentCommand(named));
    expect(Document).toMatchObject({ DocumentVersion: '2', DefaultVersion: '2', LatestVersion: '2', Status: 'Active' });
    expect((await client.send(new GetDocumentCommand({ ...named, DocumentVersion: '1' }))).Content).toBe(
      content('one'),
    );
    const { DocumentIdentifiers } = await client.send(new ListDocumentsCommand({}));
    expect(DocumentIdentifiers?.map((one) => one.Name)).toContain('versions');
    await client.send(new DeleteDocumentCommand(named));
    await expect(agent.send('versions')).rejects.toMatchObject({ name: 'InvalidDocument' });
  });

  it.each([
    ['no JSON', 'echo', 'InvalidDocumentContent'],
    ['no steps', JSON.stringify({ schemaVersion: '2.2', mainSteps: [] }), 'InvalidDocumentContent'],
    ['another schema', JSON.stringify({ ...script('true'), schemaVersion: '1.2' }), 'InvalidDocumentSchemaVersion'],
    ['more than 64 KB', JSON.stringify(script('#'.repeat(66_000))), 'MaxDocumentSizeExceeded'],
  ])('refuses a document with %s', async (_what, Content, name) => {
    const create = new CreateDocumentCommand({ Name: 'refused', Content, DocumentType: 'Command' });
    await expect(agent.client.send(create)).rejects.toMatchObject({ name });
  });

  it('has AWS-RunShellScript', async () => {
    const commandId = await agent.send('AWS-RunShellScript', {
      commands: ['echo one', 'pwd'],
      workingDirectory: ['/'],
    });
    expect((await agent.ended(commandId)).StandardOutputContent).toBe('one\n/\n');
  });

  it('hands every other call to the emulator', async () => {
    const { Parameter } = await agent.client.send(new GetParameterCommand({ Name: '/x' }));
    expect(Parameter?.Value).toBe('from the emulator');
    expect(Parameter?.Name).toBe(new URL(agent.endpoint).host); // the Host that was signed
  });

  it('does nothing that the guard before the emulator refuses, and gives its answer', async () => {
    await agent.faults({ kind: 'refuse', operation: 'ListCommands', times: 1 });
    const before = await agent.client.send(new ListDocumentsCommand({}));
    const credentials = newCredentials();
    const stranger = new SSMClient({ endpoint: agent.endpoint, region: 'us-east-1', credentials, maxAttempts: 1 });
    const Content = JSON.stringify(script('true'));
    const calls = [
      () => stranger.send(new CreateDocumentCommand({ Name: 'theirs', Content })),
      () => stranger.send(new SendCommandCommand({ InstanceIds: [running], DocumentName: 'echoes' })),
      () => stranger.send(new ListCommandsCommand({})),
      () => stranger.send(new GetParameterCommand({ Name: '/x' })),
    ];
    for (const call of calls) await expect(call()).rejects.toMatchObject({ $metadata: { httpStatusCode: 403 } });
    for (const path of ['/', '/_runctl/health', '/_runctl/faults']) {
      for (const method of ['GET', 'POST', 'DELETE', 'OPTIONS']) {
        const answer = await fetch(`${agent.endpoint}${path}`, { method });
        expect([answer.status, await answer.text()]).toEqual([403, 'refused by the guard']);
      }
    }
    expect((await agent.client.send(new ListDocumentsCommand({}))).DocumentIdentifiers).toEqual(
      before.DocumentIdentifiers,
    );
    // The fault is still to come: no refused call has taken it away.
    await expect(agent.client.send(new ListCommandsCommand({}))).rejects.toThrow('A fault that a test enabled.');
    stranger.destroy();
  });

  it('ends the processes of a stopped instance, and keeps the status of its commands', async () => {
    await agent.createDocument('lasts', script('sleep 600'));
    const commandId = await agent.send('lasts');
    await until('it runs', async () => (await agent.invocation(commandId))?.Status === 'InProgress');
    // The watch must have seen the instance running before.
    await until('its processes are there', async () => (await processesOn(running)).length > 0);
    agent.stopInstance();
    await until('its processes are gone', async () => (await processesOn(running)).length === 0);
    expect((await agent.invocation(commandId))?.Status).toBe('InProgress');
  });
});

async function processesOn(instanceId: string): Promise<number[]> {
  return await markedProcesses((entry) => entry === `AWS_SSM_INSTANCE_ID=${instanceId}`);
}
