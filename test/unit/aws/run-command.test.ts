import type { SSMClient } from '@aws-sdk/client-ssm';
import { describe, expect, it } from 'vitest';
import { commandsOver } from '../../../aws/run-command.ts';
import { MAX_REQUEST_BYTES, type PollRequest, PROTOCOL } from '../../../core/protocol/messages.ts';
import type { FoundInstance } from '../../../core/workflow/choose-instance.ts';
import { foundInstance, instance, run } from '../../support/fakes/samples.ts';
import { awsError, fakeClient, type Reply } from '../../support/fakes/sdk-client.ts';

const request: PollRequest = {
  protocol: PROTOCOL,
  root: instance.root,
  home: null,
  user: null,
  users: null,
  projects: null,
  run: { id: run.id, key: run.key, arn: run.arn },
  project: 'demo',
  verb: 'poll',
  job: 'train',
  offset: 0,
  maxBytes: 10,
};
const URL = 'https://assets/runctl/program.zip?X-Amz-Signature=secret';
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
    document: 'runctl',
    presign: () => Promise.resolve(URL),
    warn: () => undefined,
    instances: { find },
    now: () => time,
    sleep: (ms) => {
      time += ms;
      return Promise.resolve();
    },
  });
  const count = (name: string) => fake.sent.filter((command) => command.name === name).length;
  const ask = (changes: object = {}) => commands.ask('i-1', run.program, { ...request, ...changes });
  return { ask, commands, sent: fake.sent, count, elapsed: () => time };
}

describe('ask', () => {
  it('sends the request as base64, and gives the answer', async () => {
    const { ask, sent } = ssm(() => answered);
    expect(await ask()).toEqual(ANSWER);
    const { Parameters, ...rest } = { ...sent[0]?.input } as { Parameters: { Request: [string] } };
    expect(rest).toEqual({
      DocumentName: 'runctl',
      DocumentVersion: run.program.documentVersion,
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

  it('polls soon at first, because a short command takes a second or two', async () => {
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

  it('keeps waiting when EC2 does not answer', async () => {
    const unknown = () => Promise.reject(new Error('throttled'));
    const { ask } = ssm((call) => (call < 30 ? done('', 'InProgress') : answered), undefined, unknown);
    expect(await ask()).toEqual(ANSWER);
  });

  describe('on an instance without the program', () => {
    const refusal = (name: string) => done(JSON.stringify({ protocol: 1, ok: false, error: { name, message: 'x' } }));
    const requests = (sent: readonly { input: object }[]) =>
      sent.flatMap(({ input }) => {
        const [encoded] = (input as { Parameters?: { Request: [string] } }).Parameters?.Request ?? [];
        return encoded === undefined ? [] : [JSON.parse(Buffer.from(encoded, 'base64').toString()) as PollRequest];
      });

    const small = { ...request, verb: 'stop', grace: 1, reason: '' };
    const large = { ...small, reason: 'r'.repeat(MAX_REQUEST_BYTES - JSON.stringify(small).length) };

    it('sends the same request with a URL', async () => {
      const { ask, sent } = ssm((call) => (call === 0 ? refusal('ProgramMissing') : answered));
      expect(await ask()).toEqual(ANSWER);
      expect(requests(sent)).toEqual([request, { ...request, program: { url: URL } }]);
    });

    it('lets a small request bring it, when the URL would make this one too large', async () => {
      const { ask, sent } = ssm((call) => (call === 0 ? refusal('ProgramMissing') : answered));
      expect(await ask(large)).toEqual(ANSWER);
      const [first, second, third] = requests(sent);
      expect(second).toMatchObject({ verb: 'poll', job: 'sync', maxBytes: 0, run: request.run, program: { url: URL } });
      expect(third).toEqual(first);
    });

    it.each(['ProgramFetchFailed', 'ProgramBroken'])('hands on %s of the small request', async (name) => {
      const { ask } = ssm((call) => refusal(call === 0 ? 'ProgramMissing' : name));
      expect(await ask(large)).toMatchObject({ error: { name } });
    });

    it('lets it fetch again, three times at most', async () => {
      const fetched = ssm((call) =>
        call < 3 ? refusal(call === 0 ? 'ProgramMissing' : 'ProgramFetchFailed') : answered,
      );
      expect(await fetched.ask()).toEqual(ANSWER);
      const never = ssm((call) => refusal(call === 0 ? 'ProgramMissing' : 'ProgramFetchFailed'));
      expect(await never.ask()).toMatchObject({ error: { name: 'ProgramFetchFailed' } });
      expect(never.count('SendCommandCommand')).toBe(4);
    });

    it.each(['ProgramBroken', 'ProgramUntrusted'])('hands on %s at once', async (name) => {
      const { ask, count } = ssm(() => refusal(name));
      expect(await ask()).toMatchObject({ error: { name } });
      expect(count('SendCommandCommand')).toBe(1);
    });
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
    await expect(commands.ask('i-1', run.program, long)).rejects.toMatchObject({
      name: 'RequestTooLarge',
      message: /18\d{3} bytes/,
    });
    expect(sent).toEqual([]);
  });
});
