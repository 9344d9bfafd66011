import { toReadable } from '../account/aws-errors.ts';
import { CliError } from '../errors.ts';

/** What a check of `runctl doctor` found. */
export interface Finding {
  readonly check: string;
  /** `warning`: runs work, but not as well as they could. `skipped`: it hangs on something that fails. */
  readonly state: 'ok' | 'warning' | 'failed' | 'skipped';
  readonly detail: string;
  /** Commands, or a sentence with one, that mend it. */
  readonly mend: readonly string[];
}

export function ok(check: string, detail: string): Finding {
  return { check, state: 'ok', detail, mend: [] };
}

export function warning(check: string, detail: string, ...mend: string[]): Finding {
  return { check, state: 'warning', detail, mend };
}

export function failed(check: string, detail: string, ...mend: string[]): Finding {
  return { check, state: 'failed', detail, mend };
}

export function skipped(check: string, detail: string): Finding {
  return { check, state: 'skipped', detail, mend: [] };
}

/** Makes a finding of what a check answers, and of what it throws for a person to read. */
export async function find(check: string, work: () => Promise<Finding | string>): Promise<Finding> {
  try {
    const found = await work();
    return typeof found === 'string' ? ok(check, found) : found;
  } catch (error) {
    const problem = toReadable(error);
    if (!(problem instanceof CliError)) throw error;
    return failed(check, problem.message, problem.next);
  }
}
