import type { SSMClient } from '@aws-sdk/client-ssm';
import { describe, expect, it } from 'vitest';
import { type PollRequest, PROTOCOL } from '../../../../core/protocol/messages.ts';
import type { FoundInstance } from '../../../../core/workflow/choose-instance.ts';
import { commandsOver } from '../../../../lambdas/adapters/commands.ts';
import { logger } from '../../../../lambdas/adapters/logger.ts';
import { foundInstance, instance, run } from '../../../support/fakes/samples.ts';
import { awsError, fakeClient, type Reply } from '../../../support/fakes/sdk-client.ts';

logger.setLogLevel('SILENT'); // A test that fails says why by itself.

const request: PollRequest = {
  protocol: PROTOCOL,
  runner: run.runner,
  root: instance.root,
  home: null,
  user: null,
  run: { id: run.id, key: run.key, arn: run.arn },
  project: 'demo',
  verb: 'poll',
  job: 'train',
  offset: 0,
  maxBytes: 10,
};
const ANSWER = { protocol: 1, ok: true, state: 'running' };
const done = (stdout: string, status = 'Success') => ({
  Status: status,
  StatusDetails: status,
  StandardOutputContent: stdout,
});
const answered = done(JSON.stringify(ANSWER));

/** SSM with a clock that only sleeping moves. `looks`: what GetCommandInvocation answers, by how often it was asked in all. */
function ssm(
  looks: (call: number) => Reply,
  send: (call: number) => Reply = (call) => ({ Command: { CommandId: `c${call}` } }),
  find: () => Promise<FoundInstance[]> = () => Promise.resolve([foundInstance]),
) {
  const fake = fakeClient<SSMClient>({
    SendCommandCommand: (_, call) => send(call),
    GetCommandInvocationCommand: (_, call) => looks(call),
  });
  let time = 0;
  const commands = commandsOver({
    ssm: fake.client,
    documents: {
      prepare: 'runctl-prepare',
      'prepare-install': 'runctl-prepare-install',
      'prepare-finish': 'runctl-prepare-finish',
      job: 'runctl-job',
    },
    instances: { find },
    now: () => time,
    sleep: (ms) => {
      time += ms;
      return Promise.resolve();
    },
  });
  const count = (name: string) => fake.sent.filter((command) => command.name === name).length;
  const ask = (changes: object = {}) => commands.ask('i-1', 'job', { ...request, ...changes });
  return { ask, commands, sent: fake.sent, count, elapsed: () => time };
}

describe('ask', () => {
  it('sends the request as base64, and gives the answer', async () => {
    const { ask, sent } = ssm(() => answered);
    expect(await ask()).toEqual(ANSWER);
    const { Parameters, ...rest } = { ...sent[0]?.input } as { Parameters: { Request: [string] } };
    expect(rest).toEqual({
      DocumentName: 'runctl-job',
      InstanceIds: ['i-1'],
      TimeoutSeconds: 30,
      Comment: 'runctl poll',
    });
    expect(Parameters.Request[0]).toMatch(/^[A-Za-z0-9+/=]*$/);
    expect(JSON.parse(Buffer.from(Parameters.Request[0], 'base64').toString())).toEqual(request);
    expect(sent[1]).toEqual({ name: 'GetCommandInvocationCommand', input: { CommandId: 'c0', InstanceId: 'i-1' } });
  });

  it('waits for an invocation that does not exist yet', async () => {
    const { ask, count } = ssm((call) => (call < 5 ? awsError('InvocationDoesNotExist') : answered));
    expect(await ask()).toEqual(ANSWER);
    expect(count('SendCommandCommand')).toBe(1);
  });

  it('looks soon at first: a tiny command takes a second or two', async () => {
    const { ask, elapsed } = ssm((call) => (call < 5 ? done('', 'InProgress') : answered));
    await ask();
    expect(elapsed()).toBe(2_000);
  });

  it.each([
    ['stays InProgress for ever', () => done('', 'InProgress')],
    ['is pending for ever', () => done('', 'Pending')],
  ])('sends again when the invocation %s, then gives up: AgentSilent', async (_, looks) => {
    const { ask, count, elapsed } = ssm(looks);
    await expect(ask()).rejects.toMatchObject({
      name: 'AgentSilent',
      message: expect.stringContaining('i-1 gave no answer to poll'),
    });
    expect(count('SendCommandCommand')).toBe(2);
    expect(elapsed()).toBeLessThanOrEqual(155_000);
  });

  it.each([
    ['stopped', [{ ...foundInstance, state: 'stopped' }]],
    ['gone', []],
  ])('does not wait for an instance that is %s', async (state, found) => {
    const find = () => Promise.resolve(found);
    const message = `i-1 is ${state}; it gave no answer to poll.`;
    const waiting = ssm(() => done('', 'InProgress'), undefined, find);
    await expect(waiting.ask()).rejects.toMatchObject({ name: 'InstanceLost', message });
    expect(waiting.elapsed()).toBeLessThanOrEqual(12_000);
    const refused = ssm(
      () => answered,
      () => awsError('InvalidInstanceId'),
      find,
    );
    await expect(refused.ask()).rejects.toMatchObject({ name: 'InstanceLost', message });
    await expect(refused.ask({ job: 'install' })).rejects.toMatchObject({ name: 'InstanceNotRunning', message });
  });

  it('waits on when EC2 cannot be asked', async () => {
    const unknown = () => Promise.reject(new Error('throttled'));
    const { ask } = ssm((call) => (call < 30 ? done('', 'InProgress') : answered), undefined, unknown);
    expect(await ask()).toEqual(ANSWER);
  });

  it('sends the runner again when somebody has cleared it away, once', async () => {
    const missing = done(JSON.stringify({ protocol: 1, ok: false, error: { name: 'RunnerMissing', message: 'x' } }));
    const { ask, sent } = ssm((call) => (call === 0 ? missing : answered));
    expect(await ask()).toEqual(ANSWER);
    expect(sent.flatMap(({ input }) => (input as { DocumentName?: string }).DocumentName ?? [])).toEqual([
      'runctl-job',
      'runctl-prepare',
    ]);
    expect(await ssm(() => missing).ask()).toMatchObject({ error: { name: 'RunnerMissing' } });
  });

  it('gives up after a minute when the invocation never comes to be: AgentSilent', async () => {
    const { ask, count, elapsed } = ssm(() => awsError('InvocationDoesNotExist'));
    await expect(ask()).rejects.toMatchObject({ name: 'AgentSilent', message: expect.stringContaining('60 s') });
    expect(count('SendCommandCommand')).toBe(1);
    expect(elapsed()).toBeLessThanOrEqual(62_000);
  });

  it.each([
    ['empty', ''],
    ['garbled', '{"protocol":1,"ok":tr--output truncated--'],
    ['of another protocol', '{"protocol":2,"ok":true}'],
    ['no object', '[]'],
    ['without ok', '{"protocol":1}'],
    ['two objects', '{"protocol":1,"ok":true}\n{"protocol":1,"ok":true}'],
  ])('asks again when a Success is %s, and never takes it for an answer', async (_, stdout) => {
    const again = ssm((call) => (call === 0 ? done(stdout) : answered));
    expect(await again.ask()).toEqual(ANSWER);
    expect(again.count('SendCommandCommand')).toBe(2);
    const never = ssm(() => done(stdout));
    await expect(never.ask()).rejects.toMatchObject({
      name: 'AgentSilent',
      message: expect.stringContaining('status Success'),
    });
  });

  it('does not repeat what the runner printed in an error: it may be the log', async () => {
    const { ask } = ssm(() => done('secret-looking {'));
    await expect(ask()).rejects.toMatchObject({ message: expect.not.stringContaining('secret') });
  });

  it.each(['TimedOut', 'Failed', 'Cancelled'])('takes a good answer although the status is %s', async (status) => {
    expect(await ssm(() => done(JSON.stringify(ANSWER), status)).ask()).toEqual(ANSWER);
  });

  it('hands on a refusal of the runner', async () => {
    const refusal = { protocol: 1, ok: false, error: { name: 'NoUser', message: 'x' } };
    expect(await ssm(() => done(JSON.stringify(refusal), 'Failed')).ask()).toEqual(refusal);
  });

  it.each([
    ['InvalidInstanceId', 'AgentOffline'],
    ['AccessDeniedException', 'AccessDenied'],
    ['ExpiredTokenException', 'AccessDenied'],
    ['ThrottlingException', 'ServiceUnavailable'],
    ['TimeoutError', 'ServiceUnavailable'],
  ])('%s of SendCommand is %s, at once', async (thrown, name) => {
    const { ask, count } = ssm(
      () => answered,
      () => awsError(thrown),
    );
    await expect(ask()).rejects.toMatchObject({ name });
    expect(count('SendCommandCommand')).toBe(1);
  });

  it.each([
    ['AccessDeniedException', 'AccessDenied'],
    ['InternalServerError', 'ServiceUnavailable'],
  ])('%s of GetCommandInvocation is %s', async (thrown, name) => {
    const { ask, count } = ssm(() => awsError(thrown));
    await expect(ask()).rejects.toMatchObject({ name, message: expect.stringContaining('ssm:GetCommandInvocation') });
    expect(count('GetCommandInvocationCommand')).toBe(1);
  });

  it('takes no SendCommand for sent without a command id', async () => {
    await expect(
      ssm(
        () => answered,
        () => ({}),
      ).ask(),
    ).rejects.toMatchObject({ name: 'ServiceUnavailable' });
  });

  it('refuses a request over 16 KB before it sends it, counting bytes', async () => {
    const { commands, sent } = ssm(() => answered);
    const long = { ...request, project: '€'.repeat(6_000) };
    await expect(commands.ask('i-1', 'job', long)).rejects.toMatchObject({
      name: 'RequestTooLarge',
      message: /18\d{3} bytes/,
    });
    expect(sent).toEqual([]);
  });
});
