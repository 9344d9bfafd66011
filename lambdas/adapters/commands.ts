import {
  GetCommandInvocationCommand,
  type GetCommandInvocationResult,
  SendCommandCommand,
  SSMClient,
} from '@aws-sdk/client-ssm';
import { errorName, toAwsError } from '../../aws/errors.ts';
import type { Instances } from '../../aws/instances.ts';
import { CLIENT_SETTINGS } from '../../aws/settings.ts';
import { RunError } from '../../core/errors.ts';
import { type DocumentName, type InstanceCommands, lacksRunner } from '../../core/job/instance-commands.ts';
import { MAX_REQUEST_BYTES, parseAnswer, type RunnerRequest, UnreadableAnswer } from '../../core/protocol/messages.ts';
import { requireEnv } from './environment.ts';
import { logger } from './logger.ts';

/** Seconds for the service to hand the command to the agent: SSM's minimum. */
const DELIVERY_SECONDS = 30;
/** An attempt outlives the document's own time-out, 60 s, so that two attempts rarely run side by side. */
const ATTEMPT_MS = 75_000;
const ATTEMPTS = 2;
/** Right after SendCommand an invocation does not exist yet; one that has not come to be by now never will. */
const APPEARS_WITHIN_MS = 60_000;
/** Waits between looks, ms: a tiny command takes 0.1 s of agent and 1 to 3 s of service and network (AWS-FACTS). */
const LOOKS_MS = [200, 200, 300, 300, 500, 500];
const LAST_LOOK_MS = 1_000;
/** A command that is not over by now is a long one, or its instance was stopped: SSM goes on saying InProgress then. EC2 is asked this often. */
const ASK_EC2_MS = 10_000;
const ENDED = ['Success', 'Failed', 'TimedOut', 'Cancelled'];

export interface CommandPorts {
  readonly ssm: Pick<SSMClient, 'send'>;
  readonly documents: Readonly<Record<DocumentName, string>>;
  /** EC2, to ask whether an instance that does not answer runs at all; null: the caller has patience instead. */
  readonly instances: Pick<Instances, 'find'> | null;
  readonly now: () => number;
  readonly sleep: (ms: number) => Promise<void>;
}

export function createCommands(instances: CommandPorts['instances']): InstanceCommands {
  const documents = {
    prepare: requireEnv('prepareDocument'),
    'prepare-install': requireEnv('prepareInstallDocument'),
    'prepare-finish': requireEnv('prepareFinishDocument'),
    job: requireEnv('jobDocument'),
  };
  const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
  return commandsOver({ ssm: new SSMClient(CLIENT_SETTINGS), documents, instances, now: Date.now, sleep });
}

export function commandsOver(ports: CommandPorts): InstanceCommands {
  return {
    async ask(instanceId, document, request) {
      let last = '';
      let carrier = document;
      for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
        const commandId = await send(ports, instanceId, carrier, request);
        const result = await waitForEnd(ports, instanceId, commandId, request);
        if (result === null) {
          throw new RunError(
            'AgentSilent',
            `${instanceId} never saw the command for ${request.verb}: SSM had no invocation of it within ${APPEARS_WITHIN_MS / 1_000} s`,
          );
        }
        try {
          // The answer counts, not the status: an agent may report TimedOut for what has finished (M6).
          const answer = parseAnswer<object>(result.StandardOutputContent ?? '');
          // Somebody has cleared it away; `prepare` brings it again.
          if (!lacksRunner(answer) || carrier === 'prepare' || attempt === ATTEMPTS) return answer;
          carrier = 'prepare';
        } catch (error) {
          if (!(error instanceof UnreadableAnswer)) throw error;
          last = `status ${result.StatusDetails ?? result.Status ?? 'unknown'}, ${error.message}`;
        }
      }
      throw new RunError(
        'AgentSilent',
        `${instanceId} gave no answer to ${request.verb} in ${ATTEMPTS} attempts: ${last}`,
      );
    },
  };
}

async function send(ports: CommandPorts, instanceId: string, document: DocumentName, request: RunnerRequest) {
  const json = JSON.stringify(request);
  const bytes = Buffer.byteLength(json);
  if (bytes > MAX_REQUEST_BYTES) {
    throw new RunError('RequestTooLarge', `the request has ${bytes} bytes; ${MAX_REQUEST_BYTES} fit`);
  }
  const command = new SendCommandCommand({
    DocumentName: ports.documents[document],
    InstanceIds: [instanceId],
    Parameters: { Request: [Buffer.from(json).toString('base64')] },
    TimeoutSeconds: DELIVERY_SECONDS,
    Comment: `runctl ${request.verb}`,
  });
  try {
    const { Command } = await ports.ssm.send(command);
    if (!Command?.CommandId) throw new RunError('ServiceUnavailable', 'ssm:SendCommand answered without a command id');
    return Command.CommandId;
  } catch (error) {
    if (errorName(error) === 'InvalidInstanceId') {
      await refuseGone(ports, instanceId, request);
      throw new RunError(
        'AgentOffline',
        `${instanceId} takes no commands: it is not running, or its SSM agent is not connected`,
      );
    }
    throw toAwsError(error, `ssm:SendCommand with ${ports.documents[document]} to ${instanceId}`);
  }
}

/** The invocation when it has ended, or as it was last seen; null when it did not come to be. */
async function waitForEnd(ports: CommandPorts, instanceId: string, commandId: string, request: RunnerRequest) {
  const began = ports.now();
  let asked = began;
  let seen: GetCommandInvocationResult | null = null;
  for (let look = 0; ports.now() < began + (seen === null ? APPEARS_WITHIN_MS : ATTEMPT_MS); look += 1) {
    await ports.sleep(LOOKS_MS[look] ?? LAST_LOOK_MS);
    try {
      seen = await ports.ssm.send(new GetCommandInvocationCommand({ CommandId: commandId, InstanceId: instanceId }));
      if (ENDED.includes(seen.Status ?? '')) return seen;
    } catch (error) {
      // Right after SendCommand the invocation does not exist yet.
      if (errorName(error) !== 'InvocationDoesNotExist')
        throw toAwsError(error, `ssm:GetCommandInvocation of ${instanceId}`);
    }
    if (ports.now() - asked >= ASK_EC2_MS) {
      asked = ports.now();
      await refuseGone(ports, instanceId, request);
    }
  }
  return seen;
}

/** @throws RunError `InstanceLost` (while training) or `InstanceNotRunning`, when EC2 says so. One that runs may yet answer. */
async function refuseGone({ instances }: CommandPorts, instanceId: string, request: RunnerRequest): Promise<void> {
  if (instances === null) return;
  let found: Awaited<ReturnType<Instances['find']>>;
  try {
    found = await instances.find({ id: instanceId });
  } catch (error) {
    logger.warn('EC2 could not be asked about the instance', error as Error);
    return;
  }
  const state = found.at(0)?.state ?? 'gone';
  if (state === 'running') return;
  const trains = request.verb === 'poll' && request.job === 'train';
  throw new RunError(
    trains ? 'InstanceLost' : 'InstanceNotRunning',
    `${instanceId} is ${state}; it gave no answer to ${request.verb}.`,
  );
}
