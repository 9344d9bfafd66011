import { POWER_MACHINE, RUN_MACHINE, WATCH_MACHINE } from '../../core/names.ts';
import { synthesize } from '../support/lib/synth.ts';
import type { Definition } from './asl/definition.ts';
import type { Machine } from './asl/executions.ts';

/** The stack's machines and functions, as synthesized: plain JSON, so that one process synthesizes for all workers. */
export interface Definitions {
  /** By the id that definitions use for them. */
  readonly machines: Readonly<Record<string, Machine>>;
  /** The id that definitions use for a function → its name and time-out (seconds). */
  readonly functions: Readonly<Record<string, { readonly name: string; readonly timeout: number }>>;
}

export function readDefinitions(): Definitions {
  const stack = synthesize();
  try {
    const machines: Record<string, Machine> = {};
    const functions: Record<string, { name: string; timeout: number }> = {};
    for (const [id, { Type, Properties }] of Object.entries(stack.resources)) {
      if (Type === 'AWS::StepFunctions::StateMachine') {
        const name = String(Properties.StateMachineName);
        if (![RUN_MACHINE, WATCH_MACHINE, POWER_MACHINE].includes(name)) continue;
        machines[id] = { name, definition: stack.machine(name) as unknown as Definition };
      } else if (Type === 'AWS::Lambda::Function') {
        functions[`${id}.Arn`] = { name: String(Properties.FunctionName), timeout: Number(Properties.Timeout) };
      }
    }
    return { machines, functions };
  } finally {
    stack.remove();
  }
}

/** The id that definitions use for a machine. */
export function machineId({ machines }: Definitions, name: string): string {
  const found = Object.entries(machines).find(([, machine]) => machine.name === name);
  if (!found) throw new Error(`there is no machine ${name}`);
  return found[0];
}
