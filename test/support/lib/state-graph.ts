/** The parts of an Amazon States Language definition that the tests read. */
export interface State {
  readonly Type: 'Task' | 'Choice' | 'Wait' | 'Pass' | 'Succeed' | 'Fail';
  readonly Next?: string;
  readonly End?: boolean;
  readonly Default?: string;
  readonly Choices?: readonly { readonly Next: string; readonly Condition: string }[];
  readonly Catch?: readonly {
    readonly Next: string;
    readonly ErrorEquals: readonly string[];
    readonly Assign?: object;
  }[];
  readonly Retry?: readonly {
    readonly ErrorEquals: readonly string[];
    readonly IntervalSeconds: number;
    readonly MaxAttempts: number;
    readonly BackoffRate: number;
    readonly JitterStrategy?: string;
  }[];
  readonly TimeoutSeconds?: number | string;
  readonly Resource?: string;
  readonly Arguments?: Record<string, unknown>;
  readonly Error?: string;
  readonly Cause?: string;
}

export interface MachineDefinition {
  readonly StartAt: string;
  readonly QueryLanguage?: string;
  readonly TimeoutSeconds?: number;
  readonly States: Readonly<Record<string, State>>;
}

export function tasksOf({ States }: MachineDefinition): [name: string, state: State][] {
  return Object.entries(States).filter(([, state]) => state.Type === 'Task');
}

export function nextOf(state: State): string[] {
  const next = [state.Next, state.Default, ...(state.Choices ?? []).map((choice) => choice.Next)];
  return [...next, ...(state.Catch ?? []).map((one) => one.Next)].filter((name) => name !== undefined);
}

/** Names of the states that can be reached from `from`, itself included, without going through `without`. */
export function reachable({ States }: MachineDefinition, from: string, without: readonly string[] = []): Set<string> {
  const seen = new Set<string>();
  const left = [from];
  for (let name = left.pop(); name !== undefined; name = left.pop()) {
    if (seen.has(name) || without.includes(name)) continue;
    seen.add(name);
    const state = States[name];
    if (!state) throw new Error(`there is no state ${name}`);
    left.push(...nextOf(state));
  }
  return seen;
}
