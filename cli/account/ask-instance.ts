import { setTimeout } from 'node:timers/promises';
import { GetCommandInvocationCommand, SendCommandCommand, type SSMClient } from '@aws-sdk/client-ssm';
import { AwsError, errorName, isTransient, withAwsErrors } from '../../aws/errors.ts';
import { RunError } from '../../core/errors.ts';
import { isRefusal, parseAnswer, type RunnerRequest, UnreadableAnswer } from '../../core/protocol/messages.ts';
import type { ProbeRequest } from '../../core/protocol/probe.ts';
import { setUpError } from '../errors.ts';

/** SSM's minimum, in seconds, for handing the command to the agent. */
const DELIVERY_SECONDS = 30;
/** A document is killed after 60 s; a little later there is an end, whatever happened. */
const WITHIN_MS = 75_000;
/** The service and the network take 1 to 3 s on AWS. */
const LOOK_MS = 250;
const UNDER_WAY = ['Pending', 'InProgress', 'Delayed', 'Cancelling'];

/**
 * Sends one request to the instance by a document of ours, and waits for the answer: what `logs --live` and `doctor` need without a Lambda between.
 * @throws CliError when the instance does not answer, refuses, or the person may not send it
 */
export async function askInstance<T>(
  ssm: Pick<SSMClient, 'send'>,
  about: { readonly instanceId: string; readonly document: string },
  request: RunnerRequest | ProbeRequest,
  check: (answer: object) => T,
  signal: AbortSignal,
): Promise<T> {
  const { instanceId, document } = about;
  const command = new SendCommandCommand({
    DocumentName: document,
    InstanceIds: [instanceId],
    Parameters: { Request: [Buffer.from(JSON.stringify(request)).toString('base64')] },
    TimeoutSeconds: DELIVERY_SECONDS,
    Comment: `runctl ${request.verb}`,
  });
  const send = ssm.send(command, { abortSignal: signal });
  const { Command } = await withAwsErrors(`ssm:SendCommand of ${document} to ${instanceId}`, send);
  const stdout = await outputOf(ssm, instanceId, Command?.CommandId ?? '', signal);
  return accepted(instanceId, stdout, check);
}

/** Whether another request is of no use: no permission, expired credentials. A silent instance, or an agent that restarts, may answer yet. */
export function isPermanent(error: unknown): boolean {
  return error instanceof AwsError && !isTransient(error) && errorName(error.cause) !== 'InvalidInstanceId';
}

async function outputOf(ssm: Pick<SSMClient, 'send'>, InstanceId: string, CommandId: string, signal: AbortSignal) {
  const deadline = Date.now() + WITHIN_MS;
  while (Date.now() < deadline) {
    await setTimeout(LOOK_MS, undefined, { signal });
    try {
      const look = new GetCommandInvocationCommand({ CommandId, InstanceId });
      const seen = await ssm.send(look, { abortSignal: signal });
      // The answer counts, not the status: an agent may report TimedOut for what has finished.
      if (!UNDER_WAY.includes(seen.Status ?? '')) return seen.StandardOutputContent ?? '';
    } catch (error) {
      // Right after SendCommand the invocation does not exist yet.
      if (errorName(error) !== 'InvocationDoesNotExist')
        await withAwsErrors(`ssm:GetCommandInvocation of ${InstanceId}`, Promise.reject(error));
    }
  }
  throw silent(InstanceId, `no answer within ${WITHIN_MS / 1_000} s`);
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
    `Try again; when that does not help, restart its agent: aws ec2 reboot-instances --instance-ids ${instanceId}`,
  );
}
