import { newestOf } from '../checkpoints/find-resume.ts';
import { lineageOf } from '../checkpoints/resume.ts';
import type { CheckpointStore } from '../checkpoints/store.ts';
import { heldFor, isAffordable } from '../cost/limit.ts';
import { ATTEMPT_OPEN, decideOutcome, readFailure } from '../outcome/decide-outcome.ts';
import { endedAttempt } from '../outcome/ended-attempt.ts';
import type { AttemptPlan, EndedAttempt, PlanInput, ResumePlan, Run, VerifyOutput } from '../workflow/data.ts';
import { RUN_STATES } from '../workflow/states.ts';
import { type FindPorts, findAgain, type Place } from './find-again.ts';
import { decide } from './policy.ts';
import { MAX_VISITS, waitSeconds } from './waits.ts';

export interface PlanPorts extends FindPorts {
  readonly checkpoints: Pick<CheckpointStore, 'head' | 'list' | 'read'>;
  /** Epoch milliseconds. */
  readonly now: () => number;
}

/** What a run has that has reached its instance. */
type Reached = PlanInput & {
  readonly run: Run;
  readonly spec: VerifyOutput['spec'];
  readonly instance: NonNullable<PlanInput['instance']>;
};

/**
 * Decides what follows an attempt that did not end well: another one, from the newest checkpoint, on an instance that is
 * there; the same one, when its instance answers again; or the end of the run. Called again while it waits for an instance.
 */
export async function planAttempt(ports: PlanPorts, input: PlanInput): Promise<AttemptPlan> {
  const { run, spec, instance, plan: before } = input;
  if (!run || !spec || !instance) return end(input, null);
  const reached: Reached = { ...input, run, spec, instance };
  if (isEarlierOpen(input)) return waitForEarlier(ports, reached);
  const isWaiting = before?.next === 'wait';
  const ended = isWaiting && before.ended !== null ? before.ended : endOf(reached, ports.now());
  const decision = decide({ run, spec }, ended, input.attempts);
  if (!decision.isRetried) return end(input, decision.why);
  const visits = (before?.visits ?? 0) + 1;
  const since = (isWaiting ? before.since : null) ?? ports.now() / 1_000;
  const place = await findAgain(ports, reached, ended);
  if (place.kind === 'gone') return end(input, place.why);
  if (place.kind === 'wait') {
    const waited = ports.now() / 1_000 - since;
    if (waited > spec.maxWait) return end(input, `${place.why} That did not change within maxWait.`);
    if (visits > MAX_VISITS) return end(input, `${place.why} runctl has waited for instances ${MAX_VISITS} times.`);
    const { startedAgain = false } = before ?? {};
    return { ...base(input, visits), next: 'wait', wait: waitSeconds(waited), since, startedAgain, ended };
  }
  if (place.kind === 'same-training') return watchFurther(reached, { ended, visits, before, now: ports.now() });
  if (isUnanswered(input) && place.instance.id === instance.id) {
    if (before?.startedAgain) return end(input, `${instance.id} did not answer whether the training has begun.`);
    return { ...base(input, visits), next: 'start', startedAgain: true, ended };
  }
  if (!isAffordable(spec, place.instance.price, add(run.spentUsd, ended.usd)))
    return end(input, 'There was no further attempt: what is left of maxCost does not pay for one.');
  return await nextAttempt(ports, reached, { ended, place, fallback: decision.fallback, visits });
}

/** A watch that ends so soon had no answer all the while: it gives up after 30 minutes (core/job/poll-job.ts). Seconds. */
const SILENT_WATCH_S = 2_700;

/** The instance is online. Whether it answers, the watch finds out: for maxWait, if it never does. */
function watchFurther(
  input: Reached,
  about: { ended: EndedAttempt; visits: number; before: AttemptPlan | null; now: number },
): AttemptPlan {
  const { ended, visits, before, now } = about;
  const at = now / 1_000;
  const wasSilent =
    before?.next === 'watch' && before.ended && at - Date.parse(before.ended.endedAt) / 1_000 < SILENT_WATCH_S;
  const since = (wasSilent ? before.since : null) ?? at;
  if (at - since > input.spec.maxWait)
    return end(input, `${input.instance.id} is online, and did not answer within maxWait.`);
  return { ...base(input, visits), next: 'watch', since, ended };
}

/**
 * The attempt begins when the instance has no job of an earlier one any more: its start, or that job's, got no answer,
 * so that the run knows of no job that it could watch.
 */
function waitForEarlier({ now }: PlanPorts, input: Reached): AttemptPlan {
  const { spec, plan: before } = input;
  const visits = (before?.visits ?? 0) + 1;
  const since = before?.since ?? now() / 1_000;
  const plan = { ...base(input, visits), since };
  if (before?.next === 'wait' && before.ended === null) return { ...plan, next: 'attempt' };
  const waited = now() / 1_000 - since;
  if (waited > spec.maxWait || visits > MAX_VISITS)
    return end(input, 'A job of an earlier attempt did not end within maxWait.');
  return { ...plan, next: 'wait', wait: waitSeconds(waited) };
}

async function nextAttempt(
  ports: PlanPorts,
  input: Reached,
  { ended, place, fallback, visits }: { ended: EndedAttempt; place: Place; fallback: boolean; visits: number },
): Promise<AttemptPlan> {
  const { run, spec } = input;
  const resume = await resumeOf(ports, input, ended, fallback);
  // Without an older one, the attempt would be the same again, which only the key retries may ask for.
  if (fallback && resume.checkpoint === null) {
    const strict = decide({ run: { ...run, resume: { ...resume, isFallback: true } }, spec }, ended, input.attempts);
    if (!strict.isRetried) return end(input, strict.why);
    return await nextAttempt(ports, input, { ended, place, fallback: false, visits });
  }
  return {
    ...base(input, visits),
    next: 'attempt',
    run: {
      ...run,
      attempt: ended.attempt + 1,
      trainedSeconds: (run.trainedSeconds ?? 0) + ended.seconds,
      spentUsd: add(run.spentUsd, ended.usd),
      resume: fallback ? { ...resume, isFallback: true } : resume,
    },
    instance: place.instance,
    attempts: [...input.attempts, ended],
  };
}

/** What the next attempt goes on from: the newest checkpoint of this run, or the one before it. */
async function resumeOf(
  { checkpoints }: PlanPorts,
  { run, spec }: Reached,
  ended: EndedAttempt,
  fallback: boolean,
): Promise<ResumePlan> {
  const { project } = spec;
  const earlier = run.resume?.checkpoint ?? null;
  const lineage = run.resume?.lineage ?? run.id;
  const none: ResumePlan = { lineage, firstSeq: 1, checkpoint: null, kept: [] };
  if (spec.resume === 'never' || (spec.checkpoints?.keep ?? 0) === 0) return none;
  const { base } = await lineageOf(checkpoints, project, run.id);
  const before = fallback ? (ended.resumedFrom?.seq ?? null) : null;
  const wanted = { project, lineage, runId: run.id, base: base ?? earlier?.seq ?? null, before };
  return (await newestOf(checkpoints, wanted)) ?? none;
}

/** The training may have begun: starting it is idempotent, and only another start of the same one shows that. */
function isUnanswered({ failure, train }: PlanInput): boolean {
  return train === null && failure?.state === RUN_STATES.start;
}

function isEarlierOpen({ sync, failure }: PlanInput): boolean {
  return failure === null && sync?.state === 'refused' && sync.reason === ATTEMPT_OPEN;
}

/** How the attempt ended. One whose instance was away, and that then was found without its training, ended by that. */
function endOf(input: Reached, now: number): EndedAttempt {
  const outcome = decideOutcome(input, null, input.run.id);
  const heldSeconds = input.heldSince === undefined ? null : heldFor(input);
  const ended = endedAttempt(input, { ...outcome, outcome: outcomeOf(input, outcome.outcome) }, { now, heldSeconds });
  const isSame = input.plan?.next === 'watch' || input.plan?.next === 'start';
  const away = isSame ? (input.plan?.ended ?? null) : null;
  const isConsequence = ended.outcome === 'vanished' || ended.signal === 'SIGTERM';
  return away && isConsequence ? { ...ended, outcome: away.outcome, error: away.error } : ended;
}

/** An instance that is not there is lost, also before the training began; so is a job that a reboot ended. */
function outcomeOf({ failure, sync, install, restore, train }: Reached, outcome: EndedAttempt['outcome']) {
  const name = failure && readFailure(failure).name;
  if (name !== null && ['AgentOffline', 'AgentSilent', 'InstanceNotRunning'].includes(name)) return 'instance-lost';
  const last = train ?? restore ?? install ?? sync;
  return last?.state === 'vanished' && last.job !== 'train' ? 'vanished' : outcome;
}

/** Dollars; null: not known. */
function add(before: number | null = 0, usd: number | null = null): number | null {
  return before === null || usd === null ? null : before + usd;
}

function base({ run, instance, attempts }: PlanInput, visits: number) {
  const none = { wait: null, since: null, startedAgain: false, ended: null, why: null };
  return { run, instance, attempts, visits, ...none };
}

function end(input: PlanInput, why: string | null): AttemptPlan {
  return { ...base(input, input.plan?.visits ?? 0), next: 'finish', why };
}
