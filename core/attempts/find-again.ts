import { priceUnknown } from '../cost/limit.ts';
import { type Price, type PricedInstance, priceMs } from '../cost/price.ts';
import { RunError } from '../errors.ts';
import {
  chooseInstance,
  type FoundInstance,
  type InstanceSelector,
  parseSelector,
  pricedOf,
} from '../workflow/choose-instance.ts';
import type { EndedAttempt, Instance, JobSnapshot, VerifyOutput } from '../workflow/data.ts';

export interface FindPorts {
  readonly instances: {
    find(selector: InstanceSelector): Promise<FoundInstance[]>;
    ping(instanceId: string): Promise<string | null>;
  };
  readonly prices: { priceOf(instance: PricedInstance, withinMs: number): Promise<Price | null> };
  readonly now: () => number;
}

/** An instance for the next attempt. */
export interface Place {
  readonly kind: 'instance';
  readonly instance: Instance;
}

export type Found =
  | Place
  /** The instance answers again, and its training may be running, or has ended and its log waits. */
  | { readonly kind: 'same-training' }
  | { readonly kind: 'wait'; readonly why: string }
  /** It will not come back. */
  | { readonly kind: 'gone'; readonly why: string };

const GONE = ['terminated', 'shutting-down'];
/** States of a training that its instance has a record of. */
const BEGUN: ReadonlySet<JobSnapshot['state']> = new Set(['running', 'exited', 'stopped', 'vanished']);
/** EC2 takes an instance at the time of its notice, or some minutes later. */
const AFTER_NOTICE_MS = 5 * 60_000;

interface Lost {
  readonly spec: VerifyOutput['spec'];
  readonly instance: Instance;
  readonly train: JobSnapshot | null;
}

/**
 * Looks for the instance of the next attempt: the same one, as long as it exists, since the training may be running there;
 * else another one that the spec means.
 */
export async function findAgain(
  { instances, prices, now }: FindPorts,
  { spec, instance, train }: Lost,
  { outcome }: EndedAttempt,
): Promise<Found> {
  const [same] = await instances.find({ id: instance.id });
  if (!same || GONE.includes(same.state)) return await findAnother({ instances, prices }, spec, instance.id);
  const wait = { kind: 'wait', why: `${instance.id} is ${same.state}.` } as const;
  if (same.state !== 'running') return wait;
  const notice = train?.checkpoints?.notice;
  if (outcome === 'interrupted' && notice && now() < notice.time * 1_000 + AFTER_NOTICE_MS)
    return { kind: 'wait', why: `EC2 takes ${instance.id} back.` };
  if ((await instances.ping(instance.id)) !== 'Online')
    return { kind: 'wait', why: `The SSM agent of ${instance.id} is not online.` };
  if (train !== null && !train.ended && BEGUN.has(train.state)) return { kind: 'same-training' };
  const chosen = chooseInstance([same], instance.id, spec);
  const price = instance.type === chosen.type ? instance.price : null;
  return withPrice(spec, chosen, price ?? (await prices.priceOf(same.priced, priceMs(spec))));
}

/** A run with maxCost waits for a price: the price list may answer later. */
function withPrice({ maxCost }: Lost['spec'], instance: Instance, price: Price | null): Found {
  if (maxCost && price === null) return { kind: 'wait', why: priceUnknown(instance) };
  return { kind: 'instance', instance: { ...instance, price } };
}

async function findAnother(
  { instances, prices }: Pick<FindPorts, 'instances' | 'prices'>,
  spec: VerifyOutput['spec'],
  lost: string,
): Promise<Found> {
  const selector = parseSelector(spec.instance);
  if ('id' in selector) return { kind: 'gone', why: `${lost} no longer exists.` };
  const others = await instances.find(selector);
  try {
    const instance = chooseInstance(others, spec.instance, spec);
    if ((await instances.ping(instance.id)) !== 'Online')
      return { kind: 'wait', why: `The SSM agent of ${instance.id} is not online.` };
    return withPrice(spec, instance, await prices.priceOf(pricedOf(others, instance), priceMs(spec)));
  } catch (error) {
    if (!(error instanceof RunError)) throw error;
    return { kind: 'wait', why: `${lost} no longer exists. ${error.message}` };
  }
}
