import type { StateEvent } from '../../../core/workflow/history.ts';
import type { Clock } from '../clock.ts';
import type { Random } from '../random.ts';
import type { Catcher, Definition, Retrier, State, TaskState } from './definition.ts';
import { type Bindings, evaluate, QueryError } from './expressions.ts';

/** The maximum size of a payload and of a state's output, in bytes. */
const MOST_DATA = 262_144;
/** `States.ALL` does not match these. */
const NOT_ALL = ['States.DataLimitExceeded', 'States.Runtime'];

/** An error as a Task state sees it. */
export class TaskError extends Error {
  override readonly name: string;

  constructor(name: string, cause: string) {
    super(cause);
    this.name = name;
  }
}

export type Status = 'RUNNING' | 'SUCCEEDED' | 'FAILED' | 'TIMED_OUT' | 'ABORTED';

/** The services that Task states call. */
export interface Tasks {
  /** @throws TaskError */
  run(execution: Execution, resource: string, args: unknown, timeoutSeconds: number): Promise<unknown>;
}

export interface About {
  readonly machine: string;
  readonly machineArn: string;
  readonly definition: Definition;
  readonly arn: string;
  readonly name: string;
  readonly input: unknown;
  /** The execution that started this one, or null. */
  readonly parent: Execution | null;
}

interface ExecutionPorts {
  readonly clock: Clock;
  readonly tasks: Tasks;
  readonly random: Random;
  readonly onEnter?: (execution: Execution, state: string) => void;
}

/** One execution of a state machine, which runs the definition as AWS does. */
export class Execution {
  readonly about: About;
  readonly startedAt: string;
  readonly history: StateEvent[] = [];
  status: Status = 'RUNNING';
  output: unknown = null;
  error: string | null = null;
  cause: string | null = null;
  /** Epoch ms; null while it runs. */
  endedAt: number | null = null;
  /** States entered so far. */
  entered = 0;
  /** Events in its history, as AWS counts them (bench/history-events.ts). */
  events = 2;
  /** What it is waiting for. */
  readonly children = new Set<Execution>();
  readonly ended: Promise<void>;
  private readonly end: () => void;
  private variables: Record<string, unknown> = {};
  private state = '';
  /** Errors after which no retry followed: the state, and the error's name. */
  readonly givenUp: { readonly state: string; readonly error: string }[] = [];
  private readonly ports: ExecutionPorts;

  constructor(about: About, ports: ExecutionPorts) {
    this.about = about;
    this.ports = ports;
    this.startedAt = new Date(ports.clock.now()).toISOString();
    let end: () => void = () => undefined;
    this.ended = new Promise((resolve) => {
      end = resolve;
    });
    this.end = end;
    const { TimeoutSeconds } = about.definition;
    if (TimeoutSeconds !== undefined) {
      const cancel = ports.clock.timer(TimeoutSeconds * 1000, () =>
        this.finish('TIMED_OUT', null, 'States.Timeout', ''),
      );
      void this.ended.then(cancel);
    }
    void this.run();
  }

  get running(): boolean {
    return this.status === 'RUNNING';
  }

  /** The current state. */
  get at(): string {
    return this.state;
  }

  /** The value of a variable of the machine now. */
  variable(name: string): unknown {
    return this.variables[name];
  }

  /** Ends it from outside: no Catch runs. */
  finish(status: Status, output: unknown, error: string | null, cause: string | null): void {
    if (!this.running) return;
    this.status = status;
    this.endedAt = this.ports.clock.now();
    this.output = output;
    this.error = error;
    this.cause = cause;
    this.end();
  }

  private async run(): Promise<void> {
    let next: string | null = this.about.definition.StartAt;
    let input = this.about.input;
    try {
      while (next !== null && this.running) {
        const state: State | undefined = this.about.definition.States[next];
        if (!state) throw new TaskError('States.Runtime', `there is no state ${next}`);
        this.state = next;
        const enteredAt = new Date(this.ports.clock.now()).toISOString();
        this.record('entered', null);
        const left: { next: string | null; output: unknown } | null = await this.enter(state, input, enteredAt);
        if (left === null || !this.running) return;
        this.record('exited', left.output);
        ({ next, output: input } = left);
      }
      this.finish('SUCCEEDED', input, null, null);
    } catch (error) {
      // An error without a matching Catch ends the execution.
      const known = error instanceof TaskError || error instanceof QueryError;
      this.finish('FAILED', null, known ? error.name : 'States.Runtime', error instanceof Error ? error.message : '');
    }
  }

  private record(kind: StateEvent['kind'], output: unknown): void {
    this.events += 1;
    if (kind === 'entered') {
      this.entered += 1;
      this.ports.onEnter?.(this, this.state);
    }
    const text = kind === 'exited' ? JSON.stringify(output ?? null) : null;
    this.history.push({ kind, state: this.state, at: this.ports.clock.now(), output: text });
  }

  /** Returns null when the execution has ended in this state. */
  private async enter(state: State, input: unknown, enteredAt: string) {
    const bind = (retryCount: number, more: object = {}): Bindings => ({
      ...this.variables,
      states: { input, context: this.context(enteredAt, retryCount), ...more },
    });
    switch (state.Type) {
      case 'Task':
        return this.task(state, input, bind);
      case 'Choice':
        return this.choose(state, input, bind(0));
      case 'Wait': {
        const seconds = Number(await evaluate(state.Seconds, bind(0)));
        if (!(seconds >= 0)) throw new TaskError('States.Runtime', `${this.state} waits ${seconds} s`);
        await this.ports.clock.sleep(seconds * 1000);
        return this.leave(state, input, bind(0));
      }
      case 'Pass':
      case 'Succeed':
        return this.leave(state, input, bind(0));
      case 'Fail': {
        const error = String((await evaluate(state.Error, bind(0))) ?? '');
        this.finish('FAILED', null, error, String((await evaluate(state.Cause, bind(0))) ?? ''));
        return null;
      }
    }
  }

  private context(enteredAt: string, retryCount: number) {
    const { arn, name, input } = this.about;
    return {
      Execution: { Id: arn, Name: name, Input: input, StartTime: this.startedAt },
      State: { Name: this.state, EnteredTime: enteredAt, RetryCount: retryCount },
      StateMachine: { Id: this.about.machineArn, Name: this.about.machine },
    };
  }

  /** Assign and Output are evaluated with the variables from before the state. */
  private async leave(
    state: { Assign?: object; Output?: unknown; Next?: string; End?: boolean },
    value: unknown,
    bindings: Bindings,
  ) {
    const assigned = state.Assign === undefined ? {} : ((await evaluate(state.Assign, bindings)) as object);
    const output = state.Output === undefined ? value : await evaluate(state.Output, bindings);
    this.variables = { ...this.variables, ...assigned };
    return { next: state.Next ?? null, output };
  }

  private async choose(state: Extract<State, { Type: 'Choice' }>, input: unknown, bindings: Bindings) {
    for (const choice of state.Choices) {
      const is = await evaluate(choice.Condition, bindings);
      if (typeof is !== 'boolean') throw new QueryError(`${choice.Condition} gave ${JSON.stringify(is)}, no boolean`);
      if (is) return this.leave({ ...state, ...choice }, input, bindings);
    }
    if (state.Default === undefined) throw new TaskError('States.NoChoiceMatched', this.state);
    return this.leave({ ...state, Next: state.Default }, input, bindings);
  }

  private async task(state: TaskState, input: unknown, bind: (retryCount: number, more?: object) => Bindings) {
    const tried = new Map<Retrier, number>();
    for (let retryCount = 0; this.running; retryCount += 1) {
      try {
        const args = checkSize(await evaluate(state.Arguments ?? input, bind(retryCount)));
        // Scheduled, started, ended; of a nested execution also submitted.
        this.events += state.Resource.includes('states:startExecution') ? 4 : 3;
        const timeout = state.TimeoutSeconds ?? 99_999_999;
        const result = checkSize(await this.ports.tasks.run(this, state.Resource, args, timeout));
        if (!this.running) return null;
        return await this.leave(state, result, bind(retryCount, { result }));
      } catch (error) {
        if (!this.running) return null;
        const failure = toTaskError(error);
        const wait = this.retryWait(state.Retry ?? [], failure.name, tried);
        if (wait !== null) {
          await this.ports.clock.sleep(wait * 1000);
          continue;
        }
        this.givenUp.push({ state: this.state, error: failure.name });
        const catcher = (state.Catch ?? []).find((one) => matches(one, failure.name));
        if (!catcher) throw failure;
        const errorOutput = { Error: failure.name, Cause: failure.message };
        return this.leave(catcher, errorOutput, bind(retryCount, { errorOutput }));
      }
    }
    return null;
  }

  /** Seconds until the next attempt, or null. */
  private retryWait(retriers: readonly Retrier[], error: string, tried: Map<Retrier, number>): number | null {
    const retrier = retriers.find((one) => matches(one, error));
    if (!retrier) return null;
    const before = tried.get(retrier) ?? 0;
    if (before >= (retrier.MaxAttempts ?? 3)) return null;
    tried.set(retrier, before + 1);
    const wait = (retrier.IntervalSeconds ?? 1) * (retrier.BackoffRate ?? 2) ** before;
    const bounded = Math.min(wait, retrier.MaxDelaySeconds ?? Number.POSITIVE_INFINITY);
    return retrier.JitterStrategy === 'FULL' ? this.ports.random.between(0, bounded) : bounded;
  }
}

function matches({ ErrorEquals }: Retrier | Catcher, error: string): boolean {
  if (ErrorEquals.includes(error)) return true;
  if (ErrorEquals.includes('States.ALL')) return !NOT_ALL.includes(error);
  return ErrorEquals.includes('States.TaskFailed') && error !== 'States.Timeout';
}

function checkSize(value: unknown): unknown {
  const text = JSON.stringify(value) ?? 'null';
  if (text.length > MOST_DATA || (text.length > MOST_DATA / 4 && Buffer.byteLength(text) > MOST_DATA)) {
    throw new TaskError('States.DataLimitExceeded', `${text.length} characters of data`);
  }
  return JSON.parse(text) as unknown;
}

function toTaskError(error: unknown): TaskError {
  if (error instanceof TaskError) return error;
  if (error instanceof QueryError) return new TaskError(error.name, error.message);
  throw error;
}
