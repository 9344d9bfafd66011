import { GetCommandInvocationCommand, SendCommandCommand, type SSMClient } from '@aws-sdk/client-ssm';
import { AwsError, errorName, isTransient, unless, withAwsErrors } from '../../aws/errors.ts';
import { RunError } from '../../core/errors.ts';
import { isRefusal, parseAnswer, type RunnerRequest, UnreadableAnswer } from '../../core/protocol/messages.ts';
import type { ProbeRequest } from '../../core/protocol/probe.ts';
import { setUpError } from '../errors.ts';
import { pollUntil } from '../terminal/poll.ts';

/** SSM's minimum, in seconds, for handing the command to the agent. */
const DELIVERY_SECONDS = 30;
/** The document times out after 60 s, so by then the invocation has ended. */
const WITHIN_MS = 75_000;
/** Run Command takes 1 to 3 s on AWS (docs/internals/aws-facts.md). */
const POLL_MS = 250;
const IN_PROGRESS = ['Pending', 'InProgress', 'Delayed', 'Cancelling'];

/**
 * Sends one request to the instance with one of runctl's documents and waits for the answer, without a Lambda function
 * between: for `logs --live` and `doctor`.
 * @throws CliError when the instance does not answer or refuses, or permissions are missing
 */
export async function sendRequest<T>(
  ssm: Pick<SSMClient, 'send'>,
  to: { readonly instanceId: string; readonly document: string },
  request: RunnerRequest | ProbeRequest,
  check: (answer: object) => T,
  signal: AbortSignal,
): Promise<T> {
  const { instanceId, document } = to;
  const command = new SendCommandCommand({
    DocumentName: document,
    InstanceIds: [instanceId],
    Parameters: { Request: [Buffer.from(JSON.stringify(request)).toString('base64')] },
    TimeoutSeconds: DELIVERY_SECONDS,
    Comment: `runctl ${request.verb}`,
  });
  const send = ssm.send(command, { abortSignal: signal });
  const { Command } = await withAwsErrors(`ssm:SendCommand of ${document} to ${instanceId}`, send);
  const stdout = await waitForOutput(ssm, instanceId, Command?.CommandId ?? '', signal);
  return accepted(instanceId, stdout, check);
}

/** Whether repeating the request cannot help: no permission, expired credentials. An agent that restarts may answer yet. */
export function isPermanent(error: unknown): boolean {
  return error instanceof AwsError && !isTransient(error) && errorName(error.cause) !== 'InvalidInstanceId';
}

async function waitForOutput(
  ssm: Pick<SSMClient, 'send'>,
  InstanceId: string,
  CommandId: string,
  signal: AbortSignal,
): Promise<string> {
  const deadline = Date.now() + WITHIN_MS;
  const readOutput = async () => {
    if (Date.now() > deadline) throw silent(InstanceId, `no answer within ${WITHIN_MS / 1_000} s`);
    // Right after SendCommand the invocation does not exist yet.
    const invocation = await unless(
      ['InvocationDoesNotExist'],
      `ssm:GetCommandInvocation of ${InstanceId}`,
      ssm.send(new GetCommandInvocationCommand({ CommandId, InstanceId }), { abortSignal: signal }),
    );
    // The answer counts, not the status: an agent may report TimedOut for a command that finished.
    if (invocation === null || IN_PROGRESS.includes(invocation.Status ?? '')) return undefined;
    return invocation.StandardOutputContent ?? '';
  };
  return await pollUntil(POLL_MS, readOutput, signal);
}

function accepted<T>(instanceId: string, stdout: string, check: (answer: object) => T): T {
  try {
    const answer = parseAnswer<object>(stdout);
    if (!isRefusal(answer)) return check(answer);
    throw setUpError(`${instanceId}: ${answer.error.name}: ${answer.error.message}`, 'See docs/reference/errors.md.');
  } catch (error) {
    if (error instanceof UnreadableAnswer) throw silent(instanceId, error.message);
    if (error instanceof RunError)
      throw setUpError(`${instanceId}: ${error.message}`, 'Update runctl, or deploy its stack again.');
    throw error;
  }
}

function silent(instanceId: string, why: string) {
  return setUpError(
    `${instanceId} did not answer: ${why}.`,
    `Try again. If it still does not answer, reboot it: aws ec2 reboot-instances --instance-ids ${instanceId}`,
  );
}
