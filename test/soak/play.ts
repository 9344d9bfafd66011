import type { JobName } from '../../core/names.ts';
import { parseDuration } from '../../core/units.ts';
import { ticketLife } from '../../core/workflow/queue-wait.ts';
import { RUN_STATES } from '../../core/workflow/states.ts';
import { type Clock, ScaledClock, VirtualClock } from './clock.ts';
import type { Definitions } from './definitions.ts';
import { Random } from './random.ts';
import { checkWorld, type Findings, outcomeOf } from './world/check.ts';
import { drawLostStarts, type LostStarts, losing, withLineages } from './world/lineage.ts';
import { ModelInstance } from './world/model-instance.ts';
import { drawPower, type PowerPlan } from './world/power.ts';
import { BucketServer, RealInstance } from './world/real-instance.ts';
import { type Abilities, drawSchedule, jobsOf, type RunPlan, type Schedule } from './world/schedule.ts';
import { CALM } from './world/weather.ts';
import { World } from './world/world.ts';

const EPOCH = Date.parse('2026-11-24T00:00:00Z');
const HOUR_MS = 3_600_000;
/** The time from a run's start to its training's start without faults. An overridden clean-up takes 20 minutes. */
const NEXT_RUN_MS = 45 * 60_000;
const TICKET_MS = 1_000 * ticketLife(parseDuration('24h')) + 1;
/** Level (b): real processes answer in 0.1 s, SSM in 2 s. */
const SCALE = 20;

const MODEL: Abilities = {
  powerOff: true,
  longest: 900_000,
  latest: 4 * HOUR_MS,
  scale: 1,
  mostRuns: 4,
  attempts: true,
};
const PROCESSES: Abilities = {
  powerOff: false,
  longest: 30_000,
  latest: 60_000,
  scale: SCALE,
  mostRuns: 2,
  attempts: true,
};

export interface Played {
  readonly schedule: Schedule;
  readonly findings: Findings;
  /** The number of runs by outcome. */
  readonly ends: Readonly<Record<string, number>>;
  /** The number of checkpoints that were committed. */
  readonly committed: number;
  /** Attempts that were not the first of their run, and those that went on from a checkpoint. */
  readonly further: { readonly attempts: number; readonly resumed: number };
  /** Events of the longest history of a run. */
  readonly events: number;
  readonly world: World;
}

/** A last run after all others, without faults: it must get the instance. */
const LAST: RunPlan = {
  id: 'last',
  at: 0,
  spec: { instance: 'tag:Project=soak', maxDuration: '1h', stopGrace: '1s' },
  hasRequirements: false,
  hasOutputs: true,
  jobs: { sync: planOf(1_000), install: planOf(1_000), restore: planOf(1_000), train: planOf(3_000) },
};

function planOf(lasts: number): RunPlan['jobs']['train'] {
  const end = { code: 0, signal: null, outOfMemory: false };
  return { output: [{ at: lasts, text: 'done\n' }], lasts, end, onTerm: 'dies', result: null };
}

/** Level (a): plays one schedule with the model, in virtual time. */
export async function playModel(seed: number, definitions: Definitions): Promise<Played> {
  return await playInModel(drawSchedule(seed, MODEL), definitions);
}

/** As level (a), on a managed instance: it is started and stopped for the runs. */
export async function playPower(seed: number, definitions: Definitions): Promise<Played> {
  const drawn = drawSchedule(seed, MODEL);
  // EC2 does not take it, and does not terminate it: a person stops it, which the plan says.
  const incidents = drawn.incidents.filter(({ deed }) => deed.kind !== 'notice' && deed.kind !== 'stop-instance');
  return await playInModel({ ...drawn, incidents }, definitions, {
    power: drawPower(new Random(seed).fork('power'), MODEL.longest),
  });
}

/** A run without faults on a managed instance that is stopped right after it, and another one that is started `at` ms after it. */
export async function playArrival(at: number, definitions: Definitions): Promise<Played> {
  const first = { ...LAST, id: 'first' };
  const runs = [first, { ...first, id: 'second', at }];
  const power = { stopAfterMs: 0, isStopped: false, people: [], full: [], gone: [], stops: [] };
  return await playInModel({ seed: at, weather: CALM, runs, incidents: [] }, definitions, { power });
}

/** As level (a), with runs that go on from others, and starts of further attempts that get no answer. */
export async function playLineage(seed: number, definitions: Definitions): Promise<Played> {
  const random = new Random(seed).fork('lineage');
  const resuming = withLineages(drawSchedule(seed, MODEL), random.fork('runs'), MODEL.longest);
  const { schedule, lost } = drawLostStarts(resuming, random.fork('lost'));
  return await playInModel(schedule, definitions, { lost });
}

async function playInModel(
  schedule: Schedule,
  definitions: Definitions,
  { power, lost = [] }: { readonly power?: PowerPlan; readonly lost?: readonly LostStarts[] } = {},
): Promise<Played> {
  const clock = new VirtualClock(EPOCH);
  const plans = new Map([...schedule.runs, LAST].map((run) => [run.id, run]));
  const planned = (runId: string) => {
    const found = plans.get(runId);
    if (!found) throw new Error(`nobody started ${runId}`);
    return found;
  };
  const world = new World(schedule, {
    clock,
    definitions,
    origin: 'http://soak.invalid',
    tags: power ? { 'runctl:power': 'managed', 'runctl:stop-after': `${power.stopAfterMs / 60_000}m` } : {},
    keepsCheckpoints: true,
    ...(power ? { power } : {}),
    instance: (made) =>
      new ModelInstance({
        power: () => made.power,
        clock,
        random: made.random.fork('instance'),
        weather: () => made.weather,
        bucket: made.bucket,
        attempts: made.attempts,
        plan: (runId: string, job: JobName, attempt: number) => jobsOf(planned(runId), attempt)[job],
        hasOutputs: (runId) => planned(runId).hasOutputs,
        onStart: (runId, job) => made.jobBegan(runId, job),
      }),
  });
  const loses = losing(lost, () => clock.now());
  world.ssm.loses = (request) => world.weather !== CALM && loses(request);
  // A start that was running at an abort may leave a ticket, which expires unless it is renewed.
  return finish(world, clock, 72 * HOUR_MS, () => pass(clock, TICKET_MS));
}

/** Level (b): plays one schedule with the real runner and real processes, in accelerated time. */
export async function playProcesses(seed: number, definitions: Definitions): Promise<Played> {
  const schedule = drawSchedule(seed, PROCESSES);
  const clock = new ScaledClock(SCALE, Date.now());
  let world: World | null = null;
  const server = new BucketServer(
    (method, url, content) => {
      if (world === null || (method === 'PUT' && world.random.chance(world.weather.put)))
        return { status: 500, body: null };
      return world.bucket.request(method, url, content);
    },
    (grant, key, content) =>
      world !== null && !world.random.chance(world.weather.put) && world.bucket.post(grant, key, content),
  );
  const origin = await server.open();
  const instance = new RealInstance({
    runs: [...schedule.runs, LAST],
    scale: SCALE,
    onStart: (runId, job) => world?.jobBegan(runId, job),
    attempts: () => world?.attempts,
  });
  try {
    const { tags } = instance;
    world = new World(schedule, {
      clock,
      definitions,
      origin,
      tags,
      keepsCheckpoints: true,
      instance: () => instance,
    });
    return await finish(world, clock, 4 * HOUR_MS); // a run of 100 attempts takes more than one
  } finally {
    await instance.remove();
    await server.close();
  }
}

/** Plays the schedule to its end and checks what it left behind. `longest`: the time limit, ms. */
async function finish(
  world: World,
  clock: Clock,
  longest: number,
  settle: () => Promise<void> = async () => undefined,
): Promise<Played> {
  const { schedule } = world;
  await clock.run(() => world.isQuiet, clock.now() + longest);
  world.calm();
  const returns = Math.max(0, ...world.stops.map(({ to }) => to));
  if (Number.isFinite(returns)) await clock.run(() => clock.now() > returns, returns + 1);
  const isThere = world.ssm.state === 'running' || world.power !== null;
  const trouble = isThere ? await playLast(world, clock, longest) : [];
  // Wait for late deliveries of SSM, which must have no effect.
  await clock.run(() => world.isQuiet && world.ssm.isQuiet, clock.now() + longest);
  await settle();
  const findings = await checkWorld(world);
  findings.leftLeases.push(...trouble);
  const ends: Record<string, number> = {};
  for (const { id } of schedule.runs) {
    const end = outcomeOf(world, id) ?? 'not reported';
    ends[end] = (ends[end] ?? 0) + 1;
  }
  return {
    schedule,
    findings,
    ends,
    committed: world.checkpoints.commits.length,
    further: { attempts: world.attempts.further, resumed: world.attempts.resumed },
    events: Math.max(0, ...[...world.runs.values()].map(({ events }) => events)),
    world,
  };
}

async function pass(clock: Clock, ms: number): Promise<void> {
  let isOver = false;
  clock.timer(ms, () => {
    isOver = true;
  });
  await clock.run(() => isOver, clock.now() + ms);
}

async function playLast(world: World, clock: Clock, longest: number): Promise<string[]> {
  const lastOutage = Math.max(clock.now(), ...world.outages.map(({ to }) => to));
  await clock.run(() => clock.now() >= lastOutage, lastOutage);
  const began = clock.now();
  const execution = world.start(LAST);
  await clock.run(() => !execution.running && world.isQuiet, began + longest);
  if (execution.status !== 'SUCCEEDED')
    return [`the last run is ${execution.status}: ${execution.error} ${execution.cause}`];
  const train = execution.history.find(({ state }) => state === RUN_STATES.start);
  const waited = (train?.at ?? Number.POSITIVE_INFINITY) - began;
  return waited <= NEXT_RUN_MS ? [] : [`the last run waited ${waited / 1000} s for the instance`];
}
