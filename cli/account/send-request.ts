import { setTimeout } from 'node:timers/promises';
import { AwsError, isTransient } from '../../aws/errors.ts';
import { findDocumentVersion, programPresigner } from '../../aws/program.ts';
import { type CommandPorts, commandsOver } from '../../aws/run-command.ts';
import { CLI_SETTINGS } from '../../aws/settings.ts';
import { ERRORS, RunError } from '../../core/errors.ts';
import { throwRefusal } from '../../core/job/instance-commands.ts';
import { LOOK_DOCUMENT } from '../../core/names.ts';
import type { RunnerRequest } from '../../core/protocol/messages.ts';
import type { ProbeRequest } from '../../core/protocol/probe.ts';
import type { RunProgram } from '../../core/workflow/data.ts';
import { setUpError } from '../errors.ts';
import type { Account } from './account.ts';

type SendPorts = Pick<CommandPorts, 'ssm' | 'presign'>;

/** Sends one request to an instance, and returns its answer as `check` accepts it. */
export type SendRequest = <T>(
  instanceId: string,
  request: RunnerRequest | ProbeRequest,
  check: (answer: object) => T,
  signal: AbortSignal,
) => Promise<T>;

/** Sends requests to instances without a Lambda function between, for `logs --live` and `doctor`. */
export function createSendRequest(account: Account, program: Omit<RunProgram, 'documentVersion'>): SendRequest {
  const presign = programPresigner({ ...CLI_SETTINGS, ...account.settings });
  return sendRequestOver({ ssm: account.ssm, presign }, program);
}

/** @throws CliError when the instance does not answer or refuses, or permissions are missing */
export function sendRequestOver(ports: SendPorts, program: Omit<RunProgram, 'documentVersion'>): SendRequest {
  let version: string | null = null;
  return async (instanceId, request, check, signal) => {
    const commands = commandsOver({
      ...ports,
      document: LOOK_DOCUMENT,
      instances: null,
      now: Date.now,
      sleep: (ms) => setTimeout(ms, undefined, { signal }),
      warn: () => {},
      signal,
    });
    try {
      version ??= await findDocumentVersion(ports.ssm, LOOK_DOCUMENT, program.sha256, signal);
      return check(throwRefusal(await commands.ask(instanceId, { ...program, documentVersion: version }, request)));
    } catch (error) {
      throw explain(error, instanceId);
    }
  };
}

/** Whether repeating the request cannot help: no permission, expired credentials. An agent that restarts may answer yet. */
export function isPermanent(error: unknown): boolean {
  return error instanceof AwsError && !isTransient(error);
}

function explain(error: unknown, instanceId: string): unknown {
  if (!(error instanceof RunError) || error instanceof AwsError) return error;
  const next =
    error.name === 'AgentSilent'
      ? `Try again; when that does not help, restart its agent: aws ec2 reboot-instances --instance-ids ${instanceId}`
      : ERRORS[error.name].next;
  return setUpError(`${instanceId} did not answer: ${error.name}: ${error.message}.`, next);
}
