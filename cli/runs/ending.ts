import * as z from 'zod';
import type { RunEnd } from './follow.ts';

/** A string that holds JSON. */
export const json = z.string().transform((text, context): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    context.addIssue('not JSON');
    return z.NEVER;
  }
});
/** What Finish run says: the output of a run that succeeded, the cause of one that failed. */
const ending = json.pipe(
  z.looseObject({
    outcome: z.string(),
    message: z.string(),
    next: z.string().nullable().default(null),
    exitCode: z.number().nullable().default(null),
    warnings: z.array(z.string()).default([]),
    lastLines: z.array(z.string()).default([]),
  }),
);

export type Ending = z.infer<typeof ending>;

/** How a run ended, in words; of an end that runctl did not tell, what Step Functions knows. */
export function readEnd({ status, output, cause }: Pick<RunEnd, 'status' | 'output' | 'cause'>): Ending {
  const said = ending.safeParse((status === 'SUCCEEDED' ? output : cause) ?? '').data;
  // A cause that is no JSON comes from Step Functions itself, as with an abort.
  return (
    said ?? {
      outcome: status.toLowerCase(),
      message: cause ?? 'no reason was given',
      next: null,
      exitCode: null,
      warnings: [],
      lastLines: [],
    }
  );
}
