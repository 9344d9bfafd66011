import type { StateEvent } from '../../../core/workflow/history.ts';
import type { Clock } from '../clock.ts';
import type { Random } from '../random.ts';
import type { Definition } from './definition.ts';
import { type About, Execution, TaskError, type Tasks } from './execution.ts';

const LAMBDA = 'arn:aws:states:::lambda:invoke';
const NESTED = 'arn:aws:states:::states:startExecution.sync:2';

export interface MachinesPorts {
  readonly clock: Clock;
  readonly random: Random;
  /** Calls the function that `Arguments.FunctionName` names. @throws TaskError */
  readonly invoke: (functionName: string, payload: unknown, timeoutSeconds: number) => Promise<unknown>;
  /** Errors of the service at the start of a nested execution. */
  readonly startTrouble?: () => 'refused' | 'answer-lost' | null;
  /** Whether an abort reaches the nested execution as well: AWS tries to. */
  readonly abortsNested?: () => boolean;
  readonly onEnter?: (execution: Execution, state: string) => void;
  readonly onEnd?: (execution: Execution) => void;
}

export interface Machine {
  readonly name: string;
  readonly definition: Definition;
}

/** Step Functions. Machines are known by the id that definitions use for them. */
export class Executions implements Tasks {
  readonly all = new Map<string, Execution>();
  private readonly machines: Readonly<Record<string, Machine>>;
  private readonly ports: MachinesPorts;

  constructor(machines: Readonly<Record<string, Machine>>, ports: MachinesPorts) {
    this.machines = machines;
    this.ports = ports;
  }

  static machineArn(name: string): string {
    return `arn:aws:states:eu-central-1:111122223333:stateMachine:${name}`;
  }

  static arn(machine: string, name: string): string {
    return `arn:aws:states:eu-central-1:111122223333:execution:${machine}:${name}`;
  }

  /** @throws TaskError `StepFunctions.ExecutionAlreadyExistsException` */
  start(machineId: string, name: string, input: unknown, parent: Execution | null = null): Execution {
    const machine = this.machines[machineId];
    if (!machine) throw new TaskError('StepFunctions.StateMachineDoesNotExistException', machineId);
    const arn = Executions.arn(machine.name, name);
    const existing = this.all.get(arn);
    if (existing) {
      // Starting a running execution again, with the same name and input, is idempotent.
      if (existing.running && JSON.stringify(existing.about.input) === JSON.stringify(input)) return existing;
      throw new TaskError('StepFunctions.ExecutionAlreadyExistsException', arn);
    }
    const { definition } = machine;
    const machineArn = Executions.machineArn(machine.name);
    const about: About = { machine: machine.name, machineArn, definition, arn, name, input, parent };
    const { clock, random, onEnter } = this.ports;
    const execution = new Execution(about, {
      clock,
      random: random.fork(arn),
      tasks: this,
      ...(onEnter && { onEnter }),
    });
    this.all.set(arn, execution);
    void execution.ended.then(() => this.ports.onEnd?.(execution));
    return execution;
  }

  /** StopExecution. */
  stop(arn: string, error: string | null, cause: string | null): void {
    const execution = this.all.get(arn);
    if (!execution?.running) return;
    execution.finish('ABORTED', null, error, cause);
    if (this.ports.abortsNested?.() ?? true)
      for (const child of execution.children) this.stop(child.about.arn, null, null);
  }

  history(arn: string): readonly StateEvent[] {
    return this.all.get(arn)?.history ?? [];
  }

  async run(execution: Execution, resource: string, args: unknown, timeoutSeconds: number): Promise<unknown> {
    if (resource === LAMBDA) {
      const { FunctionName, Payload } = args as { FunctionName: string; Payload: unknown };
      return { Payload: await this.ports.invoke(FunctionName, Payload, timeoutSeconds), StatusCode: 200 };
    }
    if (resource === NESTED) return this.nested(execution, args as NestedArguments);
    throw new TaskError('States.Runtime', `the interpreter knows no ${resource}`);
  }

  private async nested(parent: Execution, { StateMachineArn, Name, Input }: NestedArguments): Promise<unknown> {
    await this.ports.clock.sleep(60);
    const trouble = this.ports.startTrouble?.() ?? null;
    if (trouble === 'refused') throw new TaskError('StepFunctions.AWSStepFunctionsException', 'Rate exceeded');
    const child = this.start(StateMachineArn, Name, Input, parent);
    if (trouble === 'answer-lost') throw new TaskError('StepFunctions.SdkClientException', 'the answer was lost');
    parent.children.add(child);
    await child.ended;
    parent.children.delete(child);
    // The parent is notified of the end by an event, as on AWS.
    await this.ports.clock.sleep(100);
    const described = { ExecutionArn: child.about.arn, Status: child.status, Output: child.output };
    if (child.status === 'SUCCEEDED') return described;
    const cause = JSON.stringify({ ...described, Error: child.error, Cause: child.cause });
    throw new TaskError('States.TaskFailed', cause);
  }
}

interface NestedArguments {
  readonly StateMachineArn: string;
  readonly Name: string;
  readonly Input: unknown;
}
