import {
  GetCommandInvocationCommand,
  type GetCommandInvocationResult,
  SendCommandCommand,
  type SSMClient,
} from '@aws-sdk/client-ssm';
import { RunError } from '../core/errors.ts';
import { type InstanceCommands, isRefusedWith } from '../core/job/instance-commands.ts';
import { type BringRequest, MAX_REQUEST_BYTES, type RunnerRequest } from '../core/protocol/messages.ts';
import type { ProbeRequest } from '../core/protocol/probe.ts';
import { parseAnswer, UnreadableAnswer } from '../core/protocol/read-answer.ts';
import type { RunProgram } from '../core/workflow/data.ts';
import { errorName, toAwsError, withSignal } from './errors.ts';
import type { Instances } from './instances.ts';

/** Seconds for the service to hand the command to the agent: SSM's minimum. */
const DELIVERY_SECONDS = 30;
/** An attempt outlives the document's own time-out, 60 s, so that two attempts rarely run side by side. */
const ATTEMPT_MS = 75_000;
const ATTEMPTS = 2;
/** Commands that let the instance fetch the program: each tries three times itself, for half a minute at most (instance/document/run.py). */
const FETCH_ATTEMPTS = 3;
const FETCH_AGAIN_WITHIN_MS = 60_000;
const PROGRAM_REFUSALS = ['ProgramFetchFailed', 'ProgramBroken', 'ProgramUntrusted', 'DiskFull', 'PythonMissing'];
/** Right after SendCommand an invocation does not exist yet; one that has not come to be by now never will. */
const APPEARS_WITHIN_MS = 60_000;
/** Waits between looks, ms: a tiny command takes 0.1 s of agent and 1 to 3 s of service and network. */
const LOOKS_MS = [200, 200, 300, 300, 500, 500];
const LAST_LOOK_MS = 1_000;
/** A command that is not over by now is a long one, or its instance was stopped: SSM goes on saying InProgress then. EC2 is asked this often. */
const ASK_EC2_MS = 10_000;
const ENDED = ['Success', 'Failed', 'TimedOut', 'Cancelled'];

type Request = RunnerRequest | ProbeRequest;

export interface CommandPorts {
  readonly ssm: Pick<SSMClient, 'send'>;
  readonly document: string;
  /** A URL to GET the program from, for a few minutes. */
  readonly presign: (program: RunProgram) => Promise<string>;
  /** EC2, to ask whether an instance that does not answer runs at all; null: the caller tolerates a silent instance. */
  readonly instances: Pick<Instances, 'find'> | null;
  readonly now: () => number;
  readonly sleep: (ms: number) => Promise<void>;
  readonly warn: (message: string, error: Error) => void;
  readonly signal?: AbortSignal;
}

interface Target {
  readonly instanceId: string;
  readonly program: RunProgram;
}

export function commandsOver(ports: CommandPorts): InstanceCommands {
  return {
    async ask(instanceId, program, request) {
      const target = { instanceId, program };
      const answer = await requestAnswer(ports, target, request);
      return isRefusedWith(answer, 'ProgramMissing') ? await askWithProgram(ports, target, request) : answer;
    },
  };
}

/** Sends the request again with a URL from which the instance fetches the program. */
async function askWithProgram(ports: CommandPorts, target: Target, request: Request): Promise<object> {
  const began = ports.now();
  for (let attempt = 1; ; attempt += 1) {
    const program = { url: await ports.presign(target.program) };
    const whole = { ...request, program };
    const fits = sizeOf(whole) <= MAX_REQUEST_BYTES;
    const answer = await requestAnswer(ports, target, fits ? whole : { ...smallRequest(request), program });
    const again = attempt < FETCH_ATTEMPTS && ports.now() - began < FETCH_AGAIN_WITHIN_MS;
    if (isRefusedWith(answer, 'ProgramFetchFailed') && again) continue;
    if (fits || isRefusedWith(answer, ...PROGRAM_REFUSALS)) return answer;
    return requestAnswer(ports, target, request);
  }
}

/** One that leaves room for a URL, and changes nothing else on the instance. */
function smallRequest(request: Request): Request {
  if (request.verb === 'probe') return request;
  const { protocol, root, home, user, users, projects, run, project } = request;
  const base = { protocol, root, home, user, users, projects, run, project };
  return { ...base, verb: 'poll', job: 'sync', offset: 0, maxBytes: 0 };
}

/** The program's answer, or the document's. A command without a readable answer is sent again. */
async function requestAnswer(ports: CommandPorts, target: Target, request: Request & BringRequest): Promise<object> {
  const { instanceId } = target;
  let last = '';
  for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
    const commandId = await send(ports, target, request);
    const result = await waitForEnd(ports, instanceId, commandId, request);
    if (result === null) {
      throw new RunError(
        'AgentSilent',
        `${instanceId} never saw the command for ${request.verb}: SSM had no invocation of it within ${APPEARS_WITHIN_MS / 1_000} s`,
      );
    }
    try {
      // The answer counts, not the status: an agent may report TimedOut for a command that has finished.
      return parseAnswer<object>(result.StandardOutputContent ?? '');
    } catch (error) {
      if (!(error instanceof UnreadableAnswer)) throw error;
      last = `status ${result.StatusDetails ?? result.Status ?? 'unknown'}, ${error.message}`;
    }
  }
  throw new RunError('AgentSilent', `${instanceId} gave no answer to ${request.verb} in ${ATTEMPTS} attempts: ${last}`);
}

function sizeOf(request: object): number {
  return Buffer.byteLength(JSON.stringify(request));
}

async function send(ports: CommandPorts, { instanceId, program }: Target, request: Request) {
  const bytes = sizeOf(request);
  if (bytes > MAX_REQUEST_BYTES) {
    throw new RunError('RequestTooLarge', `the request has ${bytes} bytes; ${MAX_REQUEST_BYTES} fit`);
  }
  const command = new SendCommandCommand({
    DocumentName: ports.document,
    DocumentVersion: program.documentVersion,
    InstanceIds: [instanceId],
    Parameters: { Request: [Buffer.from(JSON.stringify(request)).toString('base64')] },
    TimeoutSeconds: DELIVERY_SECONDS,
    Comment: `runctl ${request.verb}`,
  });
  try {
    const { Command } = await ports.ssm.send(command, withSignal(ports.signal));
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
    throw toAwsError(error, `ssm:SendCommand of ${ports.document} to ${instanceId}`);
  }
}

/** The invocation when it has ended, or as it was last seen; null when it did not come to be. */
async function waitForEnd(ports: CommandPorts, instanceId: string, commandId: string, request: Request) {
  const began = ports.now();
  let asked = began;
  let seen: GetCommandInvocationResult | null = null;
  for (let look = 0; ports.now() < began + (seen === null ? APPEARS_WITHIN_MS : ATTEMPT_MS); look += 1) {
    await ports.sleep(LOOKS_MS[look] ?? LAST_LOOK_MS);
    try {
      const poll = new GetCommandInvocationCommand({ CommandId: commandId, InstanceId: instanceId });
      seen = await ports.ssm.send(poll, withSignal(ports.signal));
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
async function refuseGone({ instances, warn }: CommandPorts, instanceId: string, request: Request): Promise<void> {
  if (instances === null) return;
  let found: Awaited<ReturnType<Instances['find']>>;
  try {
    found = await instances.find({ id: instanceId });
  } catch (error) {
    warn('EC2 could not be asked about the instance', error as Error);
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
