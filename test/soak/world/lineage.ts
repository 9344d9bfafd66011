import type { JobName } from '../../../core/names.ts';
import type { RunnerRequest } from '../../../core/protocol/messages.ts';
import type { Random } from '../random.ts';
import type { JobPlans, RunPlan, Schedule } from './schedule.ts';

/** Answers to the starts of a job that are lost from the first one on, for `ms`. */
export interface LostStarts {
  readonly run: string;
  readonly job: JobName;
  readonly attempt: number;
  readonly ms: number;
}

const JOBS = ['sync', 'sync', 'install', 'restore'] as const;

/** The schedule, with later runs that go on from earlier ones. */
export function withLineages(schedule: Schedule, random: Random, longest: number): Schedule {
  const runs = schedule.runs.map((run, index): RunPlan => {
    const draws = random.fork(`run ${index}`);
    // Most runs begin when the one before it has saved something.
    const at = run.at + (index > 0 && draws.chance(0.7) ? index * draws.between(longest / 4, longest * 2) : 0);
    if (index === 0 || draws.chance(0.25)) return { ...run, at };
    const from = `run-${draws.int(0, index - 1)}`;
    return { ...run, at, spec: { ...run.spec, resume: draws.chance(0.4) ? 'latest' : from } };
  });
  return { ...schedule, runs };
}

/** Some starts of further attempts get no answer, mostly while the job that they start takes long. */
export function drawLostStarts(schedule: Schedule, random: Random): { schedule: Schedule; lost: LostStarts[] } {
  const lost: LostStarts[] = [];
  const runs = schedule.runs.map((run, index): RunPlan => {
    const draws = random.fork(`run ${index}`);
    if (!draws.chance(0.4)) return run;
    const [job, attempt] = [draws.pick(JOBS), draws.int(2, 3)];
    lost.push({ run: run.id, job, attempt, ms: draws.spread(60_000, 900_000) });
    const lasts = draws.spread(10_000, 900_000);
    const slow = (plans: JobPlans, at: number) =>
      at === attempt - 2 ? { ...plans, [job]: { ...plans[job], lasts } } : plans;
    return run.later ? { ...run, later: run.later.map(slow) } : run;
  });
  return { schedule: { ...schedule, runs }, lost };
}

/** Which answers get lost, as they come. */
export function losing(lost: readonly LostStarts[], now: () => number): (request: RunnerRequest) => boolean {
  const since = new Map<LostStarts, number>();
  return (request) => {
    if (request.verb !== 'start') return false;
    const { attempt = 1, job, run } = request;
    const found = lost.find((one) => one.run === run.id && one.job === job && one.attempt === attempt);
    if (!found) return false;
    const began = since.get(found) ?? now();
    since.set(found, began);
    return now() < began + found.ms;
  };
}
