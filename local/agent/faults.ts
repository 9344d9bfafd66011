import * as z from 'zod';

// Faults that tests enable at run time with POST /_runctl/faults. By default, none is enabled.

const matching = {
  /** How many times the fault occurs. Default: until the faults are replaced. */
  times: z.number().int().positive().optional(),
  /** Limits the fault to this instance. */
  instance: z.string().optional(),
  /** Limit the fault to this document, and to base64 `Request` parameters with these keys and values. */
  document: z.string().optional(),
  request: z.record(z.string(), z.unknown()).optional(),
};

const fault = z.discriminatedUnion('kind', [
  /** SendCommand runs the command, and the connection breaks before the answer. */
  z.strictObject({ kind: z.literal('lose-answer'), ...matching }),
  /** The instance never gets the command: Pending, then TimedOut after TimeoutSeconds. */
  z.strictObject({ kind: z.literal('never-deliver'), ...matching }),
  z.strictObject({ kind: z.literal('deliver-late'), milliseconds: z.number().nonnegative(), ...matching }),
  z.strictObject({ kind: z.literal('deliver-twice'), ...matching }),
  /** The command runs to its end, but its status stays InProgress. */
  z.strictObject({ kind: z.literal('stuck'), ...matching }),
  /** The command runs to its end, but is reported with another status. */
  z.strictObject({ kind: z.literal('report'), status: z.enum(['TimedOut', 'Failed', 'Cancelled']), ...matching }),
  /** The API returns this instead of the command's stdout. */
  z.strictObject({ kind: z.literal('stdout'), how: z.enum(['empty', 'garble', 'cut']), ...matching }),
  /** GetCommandInvocation answers InvocationDoesNotExist; ListCommandInvocations omits the invocation. */
  z.strictObject({ kind: z.literal('missing'), ...matching }),
  /** Calls fail with the error `name` and the status `httpStatus`; `probability` is from 0 to 1. */
  z.strictObject({
    kind: z.literal('refuse'),
    operation: z.string().optional(),
    name: z.string().default('ThrottlingException'),
    httpStatus: z.number().int().default(400),
    probability: z.number().min(0).max(1).default(1),
    times: matching.times,
    instance: matching.instance,
  }),
  /** PingStatus is ConnectionLost; commands sent meanwhile are not delivered. */
  z.strictObject({ kind: z.literal('offline'), instance: matching.instance }),
]);

const replacement = z.strictObject({
  faults: z.array(fault),
  seed: z.number().int().optional(),
  /** All of `faults` apply to this instance; they replace only faults that were set for it. */
  instance: z.string().optional(),
});

export type Fault = z.infer<typeof fault>;
type CommandFault = Exclude<Fault, { kind: 'refuse' | 'offline' }>;

/** The command that a fault is matched against. */
export interface FaultSubject {
  readonly instanceIds: readonly string[];
  readonly documentName: string;
  readonly parameters: Readonly<Record<string, readonly string[]>>;
}

interface Entry {
  readonly fault: Fault;
  /** The instance whose faults a later call replaces; undefined: all instances. */
  readonly scope: string | undefined;
  readonly random: () => number;
  left: number;
}

/** The faults that are enabled. */
export class Faults {
  #active: Entry[] = [];

  /**
   * Replaces all faults, or those of one instance.
   * @throws ZodError if `input` is not `{faults: Fault[], seed?, instance?}`
   */
  replace(input: unknown): void {
    const { faults, seed, instance: scope } = replacement.parse(input);
    const random = generator(seed ?? 1);
    const added = faults.map((one) => ({
      fault: scope === undefined ? one : { ...one, instance: scope },
      scope,
      random,
      left: ('times' in one && one.times) || Number.POSITIVE_INFINITY,
    }));
    this.#active = [...this.#active.filter((entry) => scope !== undefined && entry.scope !== scope), ...added];
  }

  /** The enabled faults, each with its number of remaining uses; null means unlimited. */
  list(): { fault: Fault; left: number | null }[] {
    return this.#active.map(({ fault: one, left }) => ({ fault: one, left: Number.isFinite(left) ? left : null }));
  }

  /** Uses the fault of this kind for this command once; undefined if there is none. */
  take<K extends CommandFault['kind']>(kind: K, subject: FaultSubject): Extract<Fault, { kind: K }> | undefined {
    const found = this.#active.find(
      ({ fault: one, left }) => one.kind === kind && left > 0 && isFor(one as CommandFault, subject),
    );
    if (found === undefined) return undefined;
    found.left -= 1;
    return found.fault as Extract<Fault, { kind: K }>;
  }

  /** The `refuse` fault for a call of this operation on these instances, or undefined. */
  takeRefusal(operation: string, instanceIds: readonly string[]): Extract<Fault, { kind: 'refuse' }> | undefined {
    for (const entry of this.#active) {
      const { fault: one } = entry;
      if (one.kind !== 'refuse' || entry.left <= 0) continue;
      if (one.operation !== undefined && one.operation !== operation) continue;
      if (one.instance !== undefined && !instanceIds.includes(one.instance)) continue;
      if (entry.random() >= one.probability) continue;
      entry.left -= 1;
      return one;
    }
    return undefined;
  }

  isOffline(instanceId: string): boolean {
    return this.#active.some(({ fault: one }) => one.kind === 'offline' && (one.instance ?? instanceId) === instanceId);
  }
}

/** Park and Miller's generator: the same seed gives the same sequence of refusals. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}

function isFor(one: CommandFault, subject: FaultSubject): boolean {
  if (one.instance !== undefined && !subject.instanceIds.includes(one.instance)) return false;
  if (one.document !== undefined && one.document !== subject.documentName) return false;
  if (one.request === undefined) return true;
  const request = requestOf(subject);
  return Object.entries(one.request).every(([key, value]) => JSON.stringify(request[key]) === JSON.stringify(value));
}

function requestOf(subject: FaultSubject): Record<string, unknown> {
  try {
    return JSON.parse(Buffer.from(subject.parameters.Request?.[0] ?? '', 'base64').toString()) as Record<
      string,
      unknown
    >;
  } catch {
    return {}; // not a runctl request, so no key matches
  }
}

/** Applies the fault `stdout`. */
export function corrupt(stdout: string, how: 'empty' | 'garble' | 'cut'): string {
  if (how === 'empty') return '';
  if (how === 'cut') return stdout.slice(0, Math.floor(stdout.length / 2));
  return `\u0000\uFFFD{"protocol":${stdout.slice(5, 40)}`;
}
