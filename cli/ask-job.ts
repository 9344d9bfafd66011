import { setTimeout } from 'node:timers/promises';
import { GetCommandInvocationCommand, SendCommandCommand, type SSMClient } from '@aws-sdk/client-ssm';
import { accept } from '../core/instance-commands.ts';
import { type JobStatus, type PollRequest, parseAnswer } from '../core/job-protocol.ts';
import { JOB_DOCUMENT } from '../core/names.ts';
import { at, nameOf } from './aws-errors.ts';
import { setUpError } from './errors.ts';

/** Seconds for the service to hand the command to the agent: SSM's minimum. */
const DELIVERY_SECONDS = 30;
/** A poll is over in 1 to 3 s; the document's own time-out is 60 s. */
const ANSWERS_WITHIN_MS = 60_000;
const LOOK_MS = 250;
const ENDED = ['Success', 'Failed', 'TimedOut', 'Cancelled'];

/**
 * Asks the instance itself how a job stands, as runctl-watch does: a poll changes nothing there.
 * @throws CliError when SSM or the instance does not answer; RunError for what the runner refuses
 */
export async function askJob(
  ssm: Pick<SSMClient, 'send'>,
  instanceId: string,
  request: PollRequest,
  signal: AbortSignal,
): Promise<JobStatus> {
  const options = { abortSignal: signal };
  const command = new SendCommandCommand({
    DocumentName: JOB_DOCUMENT,
    InstanceIds: [instanceId],
    Parameters: { Request: [Buffer.from(JSON.stringify(request)).toString('base64')] },
    TimeoutSeconds: DELIVERY_SECONDS,
    Comment: 'runctl logs --live',
  });
  const sent = await at(`ssm:SendCommand with ${JOB_DOCUMENT} to ${instanceId}`, ssm.send(command, options));
  const look = new GetCommandInvocationCommand({ CommandId: sent.Command?.CommandId, InstanceId: instanceId });
  const until = performance.now() + ANSWERS_WITHIN_MS;
  while (performance.now() < until) {
    await setTimeout(LOOK_MS, undefined, { signal });
    // Right after SendCommand the invocation does not exist yet.
    const notYet = (error: unknown) => {
      if (nameOf(error) === 'InvocationDoesNotExist') return null;
      throw error;
    };
    const seen = await at(`ssm:GetCommandInvocation of ${instanceId}`, ssm.send(look, options).catch(notYet));
    if (seen && ENDED.includes(seen.Status ?? ''))
      return accept(parseAnswer<JobStatus>(seen.StandardOutputContent ?? ''));
  }
  throw setUpError(`${instanceId} has not answered within a minute.`, 'Without --live, logs come from CloudWatch.');
}
