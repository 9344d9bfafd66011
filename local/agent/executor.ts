import type { DocumentContent } from './document-content.ts';
import type { MachineVariables } from './machine.ts';

/** One command for one instance, as the agent on that instance receives it. */
export interface CommandRequest {
  readonly commandId: string;
  readonly instanceId: string;
  readonly region: string;
  readonly document: DocumentContent;
  /** The parameters of SendCommand, unchanged. */
  readonly parameters: Readonly<Record<string, readonly string[]>>;
  /** Of the instance's machine, for the command's environment. */
  readonly variables: MachineVariables;
}

export type EndStatus = 'Success' | 'Failed' | 'TimedOut' | 'Cancelled';

/** The result of one step of a document. */
export interface StepResult {
  readonly step: string;
  readonly action: string;
  readonly status: EndStatus;
  /** Exit code; null if no process was started. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly startedAt: Date;
  readonly endedAt: Date;
}

export interface ExecutionResult {
  readonly status: EndStatus;
  readonly steps: readonly StepResult[];
}

/**
 * Executes a command on the local instance. A command that fails does not reject; aborting `cancel`
 * ends it as CancelCommand does.
 */
export type Executor = (request: CommandRequest, cancel: AbortSignal) => Promise<ExecutionResult>;

/** Failed > TimedOut > Cancelled > Success: the agent's own order of precedence. */
export function overallStatus(steps: readonly StepResult[]): EndStatus {
  for (const status of ['Failed', 'TimedOut', 'Cancelled'] as const) {
    if (steps.some((step) => step.status === status)) return status;
  }
  return 'Success';
}
