import * as z from 'zod/mini';
import { ERRORS, type ErrorName, isErrorName, OUTCOMES, type Outcome } from '../errors.ts';

/**
 * How a schema treats what another version of runctl wrote. Strict: every key is there. Tolerant: a key that is missing has this value,
 * and keys that are not known are kept.
 */
export interface Reading {
  readonly object: typeof z.object;
  readonly or: <T extends z.ZodMiniType>(schema: T, value: z.output<T>) => T;
}
export const STRICT: Reading = { object: z.object, or: (schema) => schema };
export const TOLERANT: Reading = {
  object: z.looseObject as unknown as typeof z.object,
  or: (schema, value) => z._default(schema as z.ZodMiniType, value) as unknown as typeof schema,
};

/** How a run ended: in its manifest, in the output of Finish run, and in the cause of Failed. */
export const endingFields = ({ or }: Reading) => ({
  outcome: z.enum(OUTCOMES),
  message: or(z.string(), ''),
  next: or(z.nullable(z.string()), null),
  exitCode: or(z.nullable(z.int()), null),
  signal: or(z.nullable(z.string()), null),
  warnings: or(z.array(z.string()), []),
  lastLines: or(z.array(z.string()), []),
});

const strict = z.object(endingFields(STRICT));
/** The outcome of a later version may be one that this one does not know. */
const tolerant = z.looseObject({ ...endingFields(TOLERANT), outcome: z.string() });

type Ending = z.infer<typeof strict>;
export type RunEnding = {
  readonly [Key in keyof Ending]: Ending[Key] extends (infer Item)[] ? readonly Item[] : Ending[Key];
};

/** What Step Functions says of an execution. `output` and `cause` are JSON, or text of the service's own. */
export interface EndedExecution {
  readonly status: string;
  readonly error?: string | null;
  readonly output: string | null;
  readonly cause: string | null;
}

/** How an execution ended, as it says itself, or as Step Functions says when it was aborted or timed out. */
export function readEnding({ status, error, output, cause }: EndedExecution): RunEnding {
  const written = tolerant.safeParse(parse(status === 'SUCCEEDED' ? output : cause)).data;
  const named = error != null && isErrorName(error) ? ERRORS[error] : null;
  return {
    outcome: outcomeOf(status, written?.outcome, named?.outcome),
    message: written?.message ?? cause ?? 'Step Functions gives no reason.',
    next: written?.next ?? named?.next ?? null,
    exitCode: written?.exitCode ?? null,
    signal: written?.signal ?? null,
    warnings: written?.warnings ?? [],
    lastLines: written?.lastLines ?? [],
  };
}

function outcomeOf(status: string, written: string | undefined, named: Outcome | undefined): Outcome {
  if (status === 'SUCCEEDED') return 'succeeded';
  if (status === 'ABORTED') return 'stopped';
  if (status === 'TIMED_OUT') return 'timed-out';
  return OUTCOMES.find((outcome) => outcome === written) ?? named ?? 'internal';
}

function parse(text: string | null): unknown {
  try {
    return JSON.parse(text ?? '');
  } catch {
    return null; // Text of Step Functions itself, as after an abort.
  }
}

/** An error of a run by its name; null for none, and for one that another version has. */
export function errorNamed(name: string | null): ErrorName | null {
  return name !== null && isErrorName(name) ? name : null;
}
