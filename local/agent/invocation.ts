import type { DocumentContent } from './document-content.ts';
import type { CommandRequest, ExecutionResult, Executor, StepResult } from './executor.ts';
import { corrupt, type FaultSubject, type Faults } from './faults.ts';
import type { MachineVariables } from './machine.ts';
import type { Workers } from './workers.ts';

export type Status = 'Pending' | 'InProgress' | 'Cancelling' | 'Success' | 'Failed' | 'TimedOut' | 'Cancelled';

export interface Command {
  readonly id: string;
  readonly documentName: string;
  readonly documentVersion: string;
  readonly content: DocumentContent;
  readonly parameters: Readonly<Record<string, readonly string[]>>;
  readonly comment: string;
  readonly timeoutSeconds: number;
  readonly requestedAt: Date;
}

export interface DeliveryOptions {
  readonly region: string;
  readonly execute: Executor;
  readonly faults: Faults;
  readonly workers: Workers;
}

/** One command on one instance, from SendCommand to its end. */
export class Invocation {
  readonly command: Command;
  readonly instanceId: string;
  /** The API returns the invocation from then on: on AWS it is not visible at once either. */
  readonly visibleAt: number;
  status: Status = 'Pending';
  details = 'Pending';
  steps: readonly StepResult[] = [];
  readonly #variables: MachineVariables;
  readonly #cancel = new AbortController();
  #lost = false;

  constructor(command: Command, instanceId: string, variables: MachineVariables) {
    this.command = command;
    this.instanceId = instanceId;
    this.#variables = variables;
    this.visibleAt = Date.now() + 50 + Math.random() * 50;
  }

  /** The command that a fault is matched against. */
  get subject(): FaultSubject {
    return { ...this.command, instanceIds: [this.instanceId] };
  }

  get ended(): boolean {
    return !['Pending', 'InProgress', 'Cancelling'].includes(this.status);
  }

  /** Delivers the command to the instance and waits for its end. Resolves when nothing more will happen. */
  async deliver(options: DeliveryOptions): Promise<void> {
    const { faults } = options;
    const { subject } = this;
    const late = faults.take('deliver-late', subject);
    const undelivered = faults.take('never-deliver', subject) !== undefined || faults.isOffline(this.instanceId);
    const deadline = setTimeout(() => this.#expire(), this.command.timeoutSeconds * 1_000);
    if (undelivered) return; // the deadline is the only event left
    if (late !== undefined) await new Promise((resolve) => setTimeout(resolve, late.milliseconds));
    const twice = faults.take('deliver-twice', subject) !== undefined;
    await options.workers.run(async () => {
      clearTimeout(deadline);
      if (this.ended) return;
      this.status = 'InProgress';
      this.details = 'InProgress';
      const request: CommandRequest = {
        commandId: this.command.id,
        instanceId: this.instanceId,
        region: options.region,
        document: this.command.content,
        parameters: this.command.parameters,
        variables: this.#variables,
      };
      let result = await options.execute(request, this.#cancel.signal);
      if (twice) result = await options.execute(request, this.#cancel.signal);
      this.#finish(result, faults);
    });
  }

  /** CancelCommand: a pending command never runs, a running one is killed, an ended one stays as it is. */
  cancel(): void {
    if (this.ended) return;
    if (this.status === 'Pending') {
      this.status = 'Cancelled';
      this.details = 'Cancelled';
    } else {
      this.status = 'Cancelling';
      this.details = 'Cancelling';
    }
    this.#cancel.abort();
  }

  /** The instance has stopped: no agent reports the command's end, so its status no longer changes. */
  lose(): void {
    this.#lost = true;
  }

  /** Kills the running script; called when the agent itself ends. */
  abandon(): void {
    this.#cancel.abort();
  }

  #expire(): void {
    if (this.status !== 'Pending') return;
    this.status = 'TimedOut';
    this.details = 'Delivery Timed Out';
  }

  #finish(result: ExecutionResult, faults: Faults): void {
    if (this.#lost || faults.take('stuck', this.subject) !== undefined) return;
    const corruption = faults.take('stdout', this.subject);
    this.steps = result.steps.map((step) =>
      corruption ? { ...step, stdout: corrupt(step.stdout, corruption.how) } : step,
    );
    this.status = faults.take('report', this.subject)?.status ?? result.status;
    this.details = this.status === 'TimedOut' ? 'Execution Timed Out' : this.status;
  }
}
