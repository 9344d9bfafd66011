import { classify } from '../../aws/errors.ts';
import { MANAGED_POLICIES } from '../../core/names.ts';
import { toReadable } from '../account/aws-errors.ts';
import { CliError } from '../errors.ts';

/** The result of one check of `runctl doctor`. */
export interface Check {
  readonly name: string;
  /** `warning`: runs work, with limitations. `skipped`: a check that it depends on failed. */
  readonly state: 'ok' | 'warning' | 'failed' | 'skipped';
  readonly detail: string;
  /** Commands, or sentences with one, that fix the problem. */
  readonly fix: readonly string[];
}

export function ok(name: string, detail: string): Check {
  return { name, state: 'ok', detail, fix: [] };
}

export function warning(name: string, detail: string, ...fix: string[]): Check {
  return { name, state: 'warning', detail, fix };
}

export function failed(name: string, detail: string, ...fix: string[]): Check {
  return { name, state: 'failed', detail, fix };
}

export function skipped(name: string, detail: string): Check {
  return { name, state: 'skipped', detail, fix: [] };
}

/** Runs one check: a text that it returns is the detail of a success, and a CliError that it throws a failure. */
export async function runCheck(name: string, check: () => Promise<Check | string>): Promise<Check> {
  try {
    const result = await check();
    return typeof result === 'string' ? ok(name, result) : result;
  } catch (thrown) {
    const error = toReadable(thrown);
    if (!(error instanceof CliError)) throw error;
    return failed(name, error.message, error.next);
  }
}

/** The same for what only operators may ask. Others can start and watch runs all the same: the check is skipped. */
export async function runOperatorCheck(name: string, check: () => Promise<Check | string>): Promise<Check> {
  return await runCheck(name, async () => {
    try {
      return await check();
    } catch (thrown) {
      const error = toReadable(thrown);
      if (!(error instanceof CliError) || classify(error.cause) !== 'denied') throw thrown;
      return skipped(name, `requires the policy ${MANAGED_POLICIES.operator}. ${error.message}`);
    }
  });
}
