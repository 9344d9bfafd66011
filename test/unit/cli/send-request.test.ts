import type { SSMClient } from '@aws-sdk/client-ssm';
import { describe, expect, it } from 'vitest';
import { toReadable } from '../../../cli/account/aws-errors.ts';
import { isPermanent, sendRequestOver } from '../../../cli/account/send-request.ts';
import type { RunnerRequest } from '../../../core/protocol/messages.ts';
import { run } from '../../support/fakes/samples.ts';
import { awsError, fakeClient, type Reply } from '../../support/fakes/sdk-client.ts';

const never = new AbortController().signal;
const request = { verb: 'poll' } as RunnerRequest;
const ID = 'i-0123456789abcdef0';
const { documentVersion: _, ...program } = run.program;

function ask(send: Reply, ...reads: readonly Reply[]) {
  const { client, sent } = fakeClient<SSMClient>({
    GetDocumentCommand: () => ({ DocumentVersion: '4', Content: `SHA256 = "${program.sha256}"` }),
    SendCommandCommand: () => send,
    GetCommandInvocationCommand: (_, call) => reads[call] ?? new Error('unexpected read'),
  });
  const sendRequest = sendRequestOver({ ssm: client, presign: () => Promise.resolve('https://x') }, program);
  return { sent, answer: sendRequest(ID, request, (answer) => answer, never) };
}

const sentOne = { Command: { CommandId: 'c-1' } };
const ended = (StandardOutputContent: string) => ({ Status: 'Success', StandardOutputContent });

describe('a question to the instance', () => {
  it('is one command; the answer is waited for, also before SSM knows of the invocation', async () => {
    const { sent, answer } = ask(
      sentOne,
      awsError('InvocationDoesNotExist'),
      { Status: 'InProgress' },
      ended('{"protocol":1,"ok":true,"state":"running"}'),
    );
    expect(await answer).toMatchObject({ state: 'running' });
    const command = sent.find(({ name }) => name === 'SendCommandCommand');
    expect(command?.input).toMatchObject({
      DocumentName: 'runctl-look',
      DocumentVersion: '4',
      InstanceIds: [ID],
    });
    const { Request: asked } = (command?.input.Parameters ?? {}) as { Request?: string[] };
    expect(JSON.parse(Buffer.from(asked?.[0] ?? '', 'base64').toString())).toEqual(request);
  });

  it.each([
    ['the person may not ask', awsError('AccessDeniedException'), true],
    ['the credentials have expired', awsError('ExpiredTokenException'), true],
    ['there are too many calls', awsError('ThrottlingException'), false],
    ['its agent restarts', awsError('InvalidInstanceId'), false],
    ['the network is gone', awsError('TimeoutError'), false],
  ])('that fails with %s: retried or not', async (_, error, final) => {
    const failure = await ask(error).answer.catch((thrown: unknown) => thrown);
    expect(toReadable(failure)).toMatchObject({ name: 'CliError', exitCode: 3 });
    expect(isPermanent(failure)).toBe(final);
  });

  it('is retried after an empty answer; a refusal names the error', async () => {
    const garbled = await ask(sentOne, ended(''), ended('')).answer.catch((thrown: unknown) => thrown);
    expect(garbled).toMatchObject({ message: expect.stringContaining('did not answer') });
    expect(isPermanent(garbled)).toBe(false);
    const refusal = '{"protocol":1,"ok":false,"error":{"name":"NoUser","message":"there is no user x"}}';
    await expect(ask(sentOne, ended(refusal)).answer).rejects.toThrow(/NoUser: there is no user x/);
  });
});
