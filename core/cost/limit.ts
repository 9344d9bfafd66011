import { RunError } from '../errors.ts';
import type { RunSpec } from '../spec/spec.ts';
import type { Instance, JobInput, JobSnapshot, Run, RunFacts } from '../workflow/data.ts';
import { type CostCap, capText, costCap } from './cost-cap.ts';
import { type Price, priceText } from './price.ts';

/** Seconds between TERM and KILL of an install, and how long one may last at most (instance/runner/jobs/commands.py). */
export const INSTALL_GRACE_S = 10;
export const INSTALL_MAX_S = 6 * 3_600;

/** Seconds for which the attempt has had its instance, when the state was entered. */
export function heldFor({ heldSince, context }: Pick<JobInput, 'heldSince' | 'context'>): number {
  return heldSince ? Math.max(0, Date.parse(context.enteredAt) - Date.parse(heldSince)) / 1_000 : 0;
}

/** Seconds that maxDuration leaves for the training of an attempt. */
export function trainingLimit(
  { maxDuration }: Pick<RunSpec, 'maxDuration'>,
  run: Pick<Run, 'trainedSeconds'> | null,
): number {
  return Math.max(1, maxDuration - (run?.trainedSeconds ?? 0));
}

type Limits = Pick<RunSpec, 'maxCost' | 'stopGrace'>;

/**
 * Whether maxCost pays for a second of training on an instance that the run is about to get.
 * @param spentUsd dollars of earlier attempts; null: not known
 */
export function isAffordable(
  { maxCost, stopGrace }: Limits,
  price: Price | null | undefined,
  spentUsd: number | null = 0,
): boolean {
  if (!maxCost) return true;
  if (!price || spentUsd === null) return false;
  return costCap({ maxCost, price, usedSeconds: 0, spentUsd, grace: stopGrace }).seconds >= 1;
}

/**
 * Refuses a run with maxCost before anything is started for it.
 * @throws RunError `PriceUnknown`; `CostCapped` when maxCost does not pay for a second of training
 */
export function assertAffordable(spec: Limits, instance: Instance, price: Price | null): void {
  const { maxCost, stopGrace } = spec;
  if (isAffordable(spec, price)) return;
  if (price === null) throw new RunError('PriceUnknown', priceUnknown(instance));
  throw new RunError(
    'CostCapped',
    `Nothing was started: maxCost ($${maxCost}) does not pay for a second of training and stopGrace (${stopGrace} s) at ${priceText(price)}.`,
  );
}

/**
 * How long maxCost lets a job last that is about to be started. null: the run has no cap.
 * @param grace seconds between TERM and KILL of that job
 * @throws RunError `CostCapped` when nothing is left; `PriceUnknown`
 */
export function jobCap(input: JobInput, grace: number): CostCap | null {
  const { run, spec, instance } = input;
  const { maxCost } = spec;
  const { price = null } = instance;
  const { spentUsd = 0 } = run;
  if (!maxCost) return null;
  if (price === null || spentUsd === null) throw new RunError('PriceUnknown', priceUnknown(instance));
  const usedSeconds = heldFor(input);
  const cap = costCap({ maxCost, price, usedSeconds, spentUsd, grace });
  if (cap.seconds >= 1) return cap;
  const cost = capText({ maxCost, price, usedSeconds, spentUsd });
  throw new RunError(
    'CostCapped',
    `The run ended before its next step: the instance cost ${cost}, and ${grace} s of what is left are for ending a job.`,
  );
}

export function priceUnknown({ id, type }: Pick<Instance, 'id' | 'type'>): string {
  return `maxCost is set, and no source has a price of ${type}, the type of ${id}.`;
}

/** Of a job that was ended because of maxCost: the message of CostCapped. null: it ended otherwise. */
export function capReached({ spec, instance }: Pick<RunFacts, 'spec' | 'instance'>, step: JobSnapshot | null) {
  if (!step?.costCap || step.state !== 'stopped' || step.reason !== 'max-duration') return null;
  return cappedMessage(spec, instance, step);
}

/** @param what was stopped, as the subject of a sentence */
export function cappedMessage(
  spec: Pick<RunSpec, 'maxCost'> | null,
  instance: Pick<Instance, 'price'> | null,
  { job, costCap: cap }: Pick<JobSnapshot, 'job' | 'costCap'>,
): string {
  const what = job === 'install' ? 'The install' : 'Training';
  if (!spec?.maxCost || !instance?.price || !cap) return `${what} was stopped because the run reached maxCost.`;
  const used = {
    maxCost: spec.maxCost,
    price: instance.price,
    usedSeconds: cap.usedSeconds + cap.seconds,
    spentUsd: cap.spentUsd ?? 0,
  };
  return `${what} was stopped because of maxCost: the instance cost ${capText(used)}.`;
}
