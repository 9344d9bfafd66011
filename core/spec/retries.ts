import * as z from 'zod/mini';

/** Ends of an attempt after which another one may help. */
export const RETRIED_OUTCOMES = [
  'instance-lost',
  'vanished',
  'interrupted',
  'out-of-memory',
  'failed',
  'killed',
] as const;
export type RetriedOutcome = (typeof RETRIED_OUTCOMES)[number];

/** When a run makes another attempt. */
export interface Retries {
  readonly on: readonly RetriedOutcome[];
  /** Attempts in a row without a new checkpoint that are followed by another one. */
  readonly times: number;
  /** Only with a checkpoint to go on with. */
  readonly needsCheckpoint: boolean;
}

const DEFAULT_TIMES = 3;
/** An instance that went away says nothing about the training, which goes on where its checkpoint was. */
const DEFAULT_RETRIES: Retries = {
  on: ['instance-lost', 'interrupted'],
  times: DEFAULT_TIMES,
  needsCheckpoint: true,
};

const times = z.int('is a whole number').check(z.minimum(0, 'is not negative'), z.maximum(20, 'is 20 at most'));

export const retriesSchema = z
  .union(
    [
      times,
      z.string().check(z.regex(/^(\d|1\d|20)$/, 'is a number from 0 to 20')),
      z.strictObject({
        on: z.optional(
          z
            .array(z.enum(RETRIED_OUTCOMES))
            .check(z.minLength(1, 'is empty'), z.describe('How an attempt ended that is followed by another one.')),
        ),
        times: z.optional(
          times.check(
            z.describe(
              'So many attempts in a row that saved no new checkpoint are followed by another one. Default: 3.',
            ),
          ),
        ),
      }),
    ],
    'must be a number, or a map with on and times',
  )
  .check(
    z.describe(
      'Further attempts of a training that did not end well, each from the newest checkpoint. A number: after any such end. Default: when the instance was lost or interrupted, if there is a checkpoint.',
    ),
  );

/** A number, or `on` alone, leaves the rest to the defaults. */
export function resolveRetries(given: z.output<typeof retriesSchema> | undefined): Retries {
  if (given === undefined) return DEFAULT_RETRIES;
  if (typeof given !== 'object') return { on: RETRIED_OUTCOMES, times: Number(given), needsCheckpoint: false };
  const { on, times = DEFAULT_TIMES } = given;
  return on === undefined ? { ...DEFAULT_RETRIES, times } : { on, times, needsCheckpoint: false };
}
