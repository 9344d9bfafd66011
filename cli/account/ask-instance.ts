import { setTimeout } from 'node:timers/promises';
import { AwsError, isTransient } from '../../aws/errors.ts';
import { findDocumentVersion, programPresigner } from '../../aws/program.ts';
import { type CommandPorts, commandsOver } from '../../aws/run-command.ts';
import { CLI_SETTINGS } from '../../aws/settings.ts';
import { ERRORS, RunError } from '../../core/errors.ts';
import { accept } from '../../core/job/instance-commands.ts';
import { LOOK_DOCUMENT } from '../../core/names.ts';
import type { RunnerRequest } from '../../core/protocol/messages.ts';
import type { ProbeRequest } from '../../core/protocol/probe.ts';
import type { RunProgram } from '../../core/workflow/data.ts';
import { setUpError } from '../errors.ts';
import type { Account } from './account.ts';

type AskPorts = Pick<CommandPorts, 'ssm' | 'presign'>;
export type Ask = <T extends object>(
  instanceId: string,
  request: RunnerRequest | ProbeRequest,
  signal: AbortSignal,
) => Promise<T>;

/** Sends requests to instances as `logs --live` and `doctor` need them, without a function between. */
export function createAsk(account: Account, program: Omit<RunProgram, 'documentVersion'>): Ask {
  return askOver({ ssm: account.ssm, presign: programPresigner({ ...CLI_SETTINGS, ...account.settings }) }, program);
}

/** @throws CliError when the instance does not answer, refuses, or the person may not send the request */
export function askOver(ports: AskPorts, program: Omit<RunProgram, 'documentVersion'>): Ask {
  let version: string | null = null;
  return async <T extends object>(instanceId: string, request: RunnerRequest | ProbeRequest, signal: AbortSignal) => {
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
      return accept<T>(await commands.ask(instanceId, { ...program, documentVersion: version }, request));
    } catch (error) {
      throw explain(error, instanceId);
    }
  };
}

/** Whether another request is of no use: no permission, expired credentials. A silent instance, or an agent that restarts, may answer yet. */
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
