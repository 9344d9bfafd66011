import type { AccountRuns } from './account-runs.ts';

/** A statement about runctl, and a check of it on an account. */
export interface Claim {
  readonly name: string;
  readonly statement: string;
  /** Not checked on a local cloud, which lacks the service or does not enforce permissions. */
  readonly onAwsOnly: boolean;
  /** How long the instance, and instances that the claim starts, run for it: estimates, not measured. */
  readonly minutes: { readonly instance: number; readonly others?: number };
  /** What the check needs and was not given; null: nothing. Left out: it needs nothing. */
  readonly missing?: (given: Given) => string | null;
  /** @returns a short summary of the evidence @throws AssertionError if the statement is false */
  check(runs: AccountRuns, given: Given): Promise<string>;
}

/** What a check may need. */
export interface Given {
  /** The instance has the tag runctl:power=managed. */
  readonly managed: boolean;
  readonly launchTemplate: string | null;
}
