import { RunError } from '../errors.ts';
import type { RunSpec } from '../spec/spec.ts';
import type { FoundInstance } from './choose-instance.ts';
import type { Starting } from './data.ts';
import { shareWait } from './share-wait.ts';

/** A boot that takes longer has failed, as has a stop; and an agent that is not online by then will not be. Seconds. */
export const BOOT_S = 900;
/** A boot is looked at so often at first. */
const FIRST_WAIT_S = 5;
const FIRST_S = 120;
/** Later waits are a tenth of the time that has passed: a month of them is 420 visits, of nine events each (bench/history-events.ts). */
const SHARE = 10;
const LONGEST_WAIT_S = 7_200;
const RETRY_WAIT_S = 15;
/** Starts that EC2 accepts, and after which the instance is stopped again. */
const MOST_STARTS = 3;
/** EC2 found out after it had accepted a start (EC2 User Guide, "Troubleshoot instance launch issues"). */
export const NO_CAPACITY = /^Server\.Insufficient\w*Capacity/;

/** Why EC2 does not start an instance. */
export interface StartRefusal {
  /** `no-capacity`: it may have room later. `changed`: it is in another state by now. */
  readonly kind: 'no-capacity' | 'changed' | 'other';
  /** EC2's error, for people. */
  readonly message: string;
}

export interface StartPorts {
  /** What EC2 answers to a start; null: it starts the instance. */
  readonly start: (id: string) => Promise<StartRefusal | null>;
  /** Epoch milliseconds. */
  readonly now: () => number;
}

/** Seconds until the next visit of a run that has waited for so long. */
export function startWait(waited: number, kind: Starting['kind']): number {
  if (kind !== 'no-capacity' && waited < FIRST_S) return FIRST_WAIT_S;
  return shareWait(waited, { shortest: RETRY_WAIT_S, longest: LONGEST_WAIT_S, share: SHARE });
}

/**
 * One visit to a managed instance that cannot be used yet: starts one that is stopped, and says what the run waits for.
 * @param before of the visit before; null: this is the first
 * @throws RunError `NoCapacity` after maxWait; `InstanceStartFailed`; `InstanceNotRunning` or `AgentOffline` when a stop or a boot
 * does not come to its end
 */
export async function startInstance(
  { start, now }: StartPorts,
  instance: FoundInstance,
  { maxWait }: Pick<RunSpec, 'maxWait'>,
  before: Starting | null,
): Promise<Starting> {
  const { id, state } = instance;
  const at = now() / 1_000;
  const since = before?.since ?? at;
  const waited = at - since;
  const starts = before?.id === id ? before.starts : 0;
  const next = (kind: Starting['kind'], message: string, count = starts): Starting => {
    const longest = kind === 'no-capacity' ? maxWait : Math.max(maxWait, BOOT_S);
    if (waited >= longest) throw tooLong(kind, message, waited);
    const wait = Math.min(startWait(waited, kind), Math.max(1, Math.ceil(longest - waited)));
    return { id, kind, message, since, wait, starts: count };
  };
  if (state === 'stopping') return next('stopping', `${id} is stopping; it is started when it has stopped.`);
  if (state !== 'stopped') return next('booting', bootText(instance));
  const capacity = starts > 0 && NO_CAPACITY.test(instance.reason ?? '');
  if (starts >= MOST_STARTS && !capacity) {
    const reason = instance.reason ?? 'EC2 gives no reason';
    throw new RunError('InstanceStartFailed', `${id} was started ${starts} times, and is stopped again: ${reason}.`);
  }
  const refusal = await start(id);
  if (refusal?.kind === 'other') {
    throw new RunError('InstanceStartFailed', `EC2 does not start ${id}: ${refusal.message}`);
  }
  if (refusal?.kind === 'no-capacity') return next('no-capacity', noCapacity(instance, refusal.message));
  // Its state has changed meanwhile: the next visit sees it.
  if (refusal !== null) return next('stopping', `${id} cannot be started yet.`);
  // It was accepted before, and EC2 had no room: back off as after a refusal.
  return capacity
    ? next('no-capacity', noCapacity(instance, instance.reason ?? ''), starts + 1)
    : next('booting', bootText(instance), starts + 1);
}

function bootText({ id }: FoundInstance): string {
  return `${id} starts; its SSM agent is not online yet.`;
}

function noCapacity({ id, type, priced }: FoundInstance, why: string): string {
  return `EC2 has no capacity for ${id} (${type}${priced.zone === null ? '' : ` in ${priced.zone}`}) now: ${why}`;
}

function tooLong(kind: Starting['kind'], message: string, waited: number): RunError {
  const text = `${message} That did not change within ${Math.round(waited)} s.`;
  if (kind === 'no-capacity') return new RunError('NoCapacity', text);
  return new RunError(kind === 'stopping' ? 'InstanceNotRunning' : 'AgentOffline', text);
}

/** Whether the agent of a running instance may still come online. */
export function isBooting({ startedAt }: Pick<FoundInstance, 'startedAt'>, nowMs: number): boolean {
  return startedAt !== null && nowMs - startedAt < BOOT_S * 1_000;
}
