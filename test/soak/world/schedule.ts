import type { Price } from '../../../core/cost/price.ts';
import type { JobName } from '../../../core/names.ts';
import { JOBS } from '../../../core/names.ts';
import { RETRIED_OUTCOMES } from '../../../core/spec/retries.ts';
import type { SpecInput } from '../../../core/spec/spec.ts';
import { RUN_STATES } from '../../../core/workflow/states.ts';
import { drawSaves } from '../model/checkpoint-files.ts';
import type { JobPlan } from '../model/job.ts';
import { Random } from '../random.ts';
import type { Victim } from './instance.ts';
import { drawWeather, type Weather } from './weather.ts';

export interface RunPlan {
  readonly id: string;
  /** When it is started, ms from the start of the schedule. */
  readonly at: number;
  readonly spec: SpecInput;
  readonly hasRequirements: boolean;
  readonly hasOutputs: boolean;
  readonly jobs: JobPlans;
  /** Of the second attempt, the third, and so on, from the beginning again. */
  readonly later?: readonly JobPlans[];
}

export type JobPlans = Readonly<Record<JobName, JobPlan>>;

/** What the jobs of an attempt do. @param attempt from 1 */
export function jobsOf({ jobs, later = [] }: RunPlan, attempt: number): JobPlans {
  return attempt === 1 || later.length === 0 ? jobs : (later[(attempt - 2) % later.length] ?? jobs);
}

/** When something happens: at a time, or `after` ms after a run's nth entry of a state or each of the first `times` starts of a job. */
export type When =
  | { readonly at: number }
  | { readonly run: string; readonly state: string; readonly nth: number; readonly after: number }
  | { readonly run: string; readonly job: JobName; readonly after: number; readonly times: number };

export type Deed =
  | { readonly kind: 'abort'; readonly run: string; readonly again: boolean }
  | { readonly kind: 'strike'; readonly run: string; readonly job: JobName; readonly victim: Victim }
  | { readonly kind: 'silence'; readonly ms: number }
  | { readonly kind: 'agent-restart' }
  | { readonly kind: 'reboot'; readonly soft: boolean; readonly ms: number }
  /** EC2 announces that it takes the instance. `event`: the account is notified too. `taken`: when it does; null: it does not. `ms`: until it returns; null: never. */
  | {
      readonly kind: 'notice';
      readonly action: 'stop' | 'terminate';
      readonly event: boolean;
      readonly taken: number | null;
      readonly ms: number | null;
    }
  /** `ms`: until it, or another one instead of it, runs; null: never. */
  | { readonly kind: 'stop-instance'; readonly state: 'stopped' | 'terminated'; readonly ms: number | null };

export interface Incident {
  readonly when: When;
  readonly deed: Deed;
}

export interface Schedule {
  readonly seed: number;
  readonly weather: Weather;
  readonly runs: readonly RunPlan[];
  readonly incidents: readonly Incident[];
}

/** States of runctl-run in which runs are aborted. */
const STATES = [
  RUN_STATES.verify,
  RUN_STATES.find,
  RUN_STATES.sync,
  RUN_STATES.queue,
  RUN_STATES.watchSync,
  RUN_STATES.install,
  RUN_STATES.watchInstall,
  RUN_STATES.restore,
  RUN_STATES.watchRestore,
  RUN_STATES.start,
  RUN_STATES.confirm,
  RUN_STATES.watchTraining,
  RUN_STATES.plan,
  RUN_STATES.returning,
  RUN_STATES.finish,
  RUN_STATES.outputs,
] as const;

/** The limits of a level: level (b) leaves out what real processes on one machine cannot do. */
export interface Abilities {
  readonly powerOff: boolean;
  /** How long a training may last, ms. */
  readonly longest: number;
  /** The longest delay of messages, and the longest silence of the agent, ms. */
  readonly latest: number;
  /** The ratio of the schedule's time to real time. */
  readonly scale: number;
  readonly mostRuns: number;
  /** Whether runs make further attempts. */
  readonly attempts: boolean;
}

export function drawSchedule(seed: number, abilities: Abilities): Schedule {
  const random = new Random(seed);
  const count = random.chance(0.4) ? 1 : random.int(2, abilities.mostRuns);
  const runs = Array.from({ length: count }, (_, index) => drawRun(random.fork(`run ${index}`), index, abilities));
  const incidents: Incident[] = [];
  const incident = random.fork('incidents');
  for (const run of runs) {
    if (incident.chance(0.3)) incidents.push(drawAbort(incident, run));
    if (incident.chance(0.25)) incidents.push(drawStrike(incident, run));
  }
  const outages = abilities.attempts && incident.chance(0.2) ? incident.int(1, 4) : Number(incident.chance(0.3));
  for (let count = 0; count < outages; count += 1) incidents.push(drawOutage(incident, runs, abilities));
  if (abilities.attempts) incidents.push(...drawNotices(random.fork('notices'), runs, abilities));
  return { seed, weather: drawWeather(random.fork('weather'), abilities.latest), runs, incidents };
}

/** A dollar is 1,000 s. */
export const PRICE: Price = { usdPerHour: 3.6, source: 'pricing', at: '2026-11-24T10:00:00.000Z' };

function drawRun(random: Random, index: number, { longest, scale, attempts }: Abilities): RunPlan {
  // A real installer takes longer than the rest of a schedule.
  const hasRequirements = scale === 1 && random.chance(0.4);
  const install = random.pick(['best-effort', 'required'] as const);
  const spec: SpecInput = {
    instance: 'tag:Project=soak',
    stopGrace: random.pick(scale === 1 ? ['0s', '1s', '5s', '30s'] : ['0s', '1s']),
    maxDuration: random.chance(0.15) ? `${random.int(1, Math.ceil(longest / 4_000 / scale))}s` : '12h',
    install,
    ...(random.chance(0.2) ? { ifBusy: random.pick(['skip', 'refuse'] as const) } : {}),
    ...(random.chance(0.1) ? { maxWait: `${random.int(1, 300)}s` } : {}),
    ...(random.chance(0.05) ? { maxLogBytes: random.pick(['2KiB', '40KiB'] as const) } : {}),
  };
  const cost = random.fork('cost');
  if (cost.chance(0.1)) Object.assign(spec, { maxCost: cost.int(35, 60 + Math.ceil(longest / 1_000 / scale)) / 1_000 });
  const isLong = attempts && random.fork('long').chance(0.4);
  const jobs = drawJobs(random, { longest, earlier: 0, isLong });
  const keeping = random.fork('keep');
  const later = Array.from({ length: LATER }, (_, at) =>
    drawJobs(random.fork(`attempt ${at + 2}`), { longest, earlier: at + 1, isLong }),
  );
  const checkpoints = { keep: keeping.int(1, 3), ...(keeping.chance(0.2) ? { every: '1m' } : {}) };
  return {
    id: `run-${index}`,
    at: random.chance(0.5) ? random.int(0, 2_000) : random.int(0, longest),
    spec: { ...spec, checkpoints, ...(attempts ? drawRetries(random.fork('retries')) : { retries: 0 }) },
    hasRequirements,
    hasOutputs: random.chance(0.5),
    jobs,
    ...(attempts ? { later } : {}),
  };
}

const LATER = 4;

function drawRetries(random: Random): Pick<SpecInput, 'retries' | 'resume'> {
  const on = RETRIED_OUTCOMES.filter(() => random.chance(0.5));
  const { retries } = random.pick([
    {},
    {},
    { retries: 0 },
    { retries: random.int(1, 4) },
    { retries: random.int(1, 4) },
    { retries: on.length === 0 ? { times: random.int(0, 5) } : { on, times: random.int(0, 5) } },
  ] as [Pick<SpecInput, 'retries'>, ...Pick<SpecInput, 'retries'>[]]);
  return { ...(retries === undefined ? {} : { retries }), ...(random.chance(0.08) ? { resume: 'never' } : {}) };
}

interface JobDraws {
  readonly longest: number;
  /** Attempts before: a training that goes on saves under other names, or under the same again. */
  readonly earlier: number;
  /** The training lasts long enough to save checkpoints, and mostly does not end well. */
  readonly isLong: boolean;
}

function drawJobs(random: Random, { longest, earlier, isLong }: JobDraws): JobPlans {
  const [sync, installing, restore, train] = JOBS.map((job) => drawJob(random.fork(job), job, { longest, isLong }));
  const keeping = random.fork('checkpoints');
  const saves = drawSaves(keeping, train?.lasts ?? 0, keeping.chance(0.6) ? earlier * 50 : 0);
  return { sync, install: installing, restore, train: { ...train, saves } } as JobPlans;
}

const RESULTS = {
  sync: { files: 3, bytes: 300, added: 3, changed: 0, removed: 0, kept: [], pythonFiles: 1, cached: false },
  restore: { restored: 'checkpoints/last.pt', files: 1, bytes: 300, kept: 0 },
  install: { installer: 'uv', cached: false, python: '/usr/bin/python3', packages: 2, seconds: 1 },
} as const;

function drawJob(random: Random, job: JobName, { longest, isLong }: Pick<JobDraws, 'longest' | 'isLong'>): JobPlan {
  const lasts =
    job === 'train'
      ? random.spread(isLong ? 60_000 : 20, longest)
      : random.spread(50, random.chance(0.8) ? 6_000 : 60_000);
  const fails = random.chance(job === 'train' ? (isLong ? 0.6 : 0.3) : isLong ? 0.02 : 0.1);
  const code = fails ? random.int(1, 255) : 0;
  const signal = job === 'train' && random.chance(0.1) ? random.pick(['SIGSEGV', 'SIGKILL', 'SIGABRT'] as const) : null;
  const result =
    job === 'train' ? null : fails ? { error: { name: `${job}-failed`, message: `the ${job} failed` } } : RESULTS[job];
  return {
    output: drawOutput(random, lasts, job),
    lasts,
    end: { code: signal ? null : code, signal, outOfMemory: false },
    onTerm: random.pick([
      'dies',
      'dies',
      'ignores',
      { after: random.int(1, 8_000), code: random.int(0, 1), text: 'checkpoint\n' },
    ]),
    result,
  };
}

const WORDS = ['epoch', 'loss=0.25', 'Größe', '学習', '🚀', '\r', '\t', 'ok', '', 'x'.repeat(200)] as const;

function drawOutput(random: Random, lasts: number, job: JobName): JobPlan['output'] {
  const pieces = random.int(0, job === 'train' ? 25 : 6);
  const output = Array.from({ length: pieces }, (_, index) => {
    const words = Array.from({ length: random.int(0, 12) }, () => random.pick(WORDS));
    // Some lines are continued in the next chunk.
    return { at: random.between(0, lasts), text: `${index} ${words.join(' ')}${random.chance(0.8) ? '\n' : ''}` };
  });
  if (job === 'train' && random.chance(0.06)) output.push({ at: random.between(0, lasts), text: drawBurst(random) });
  if (random.chance(0.5))
    output.push({ at: lasts, text: random.chance(0.5) ? 'the end\n' : 'the end, without a newline' });
  return output.sort((one, other) => one.at - other.at);
}

/** Output that does not fit in an answer: up to a few megabytes that compress badly. */
function drawBurst(random: Random): string {
  const lines = Math.round(random.spread(200, 20_000));
  return Array.from({ length: lines }, (_, line) => `${line} ${random.next()} ${random.next()}\n`).join('');
}

function drawAbort(random: Random, run: RunPlan): Incident {
  const deed: Deed = { kind: 'abort', run: run.id, again: random.chance(0.3) };
  const state = random.pick(STATES);
  const after = random.chance(0.5) ? random.int(0, 200) : random.spread(200, 60_000);
  return { when: { run: run.id, state, nth: 1, after }, deed };
}

function drawStrike(random: Random, run: RunPlan): Incident {
  const job = random.chance(0.75) ? 'train' : random.pick(['sync', 'install', 'restore'] as const);
  const after = random.chance(0.3) ? random.int(0, 50) : random.spread(50, run.jobs[job].lasts + 60);
  const victim = random.pick(['process', 'supervisor', 'both', 'memory'] as const);
  return {
    when: { run: run.id, job, after, times: drawTimes(random) },
    deed: { kind: 'strike', run: run.id, job, victim },
  };
}

/** How many attempts it happens to. */
const drawTimes = (random: Random) => (random.chance(0.7) ? 1 : random.int(2, 5));

function drawNotices(random: Random, runs: readonly RunPlan[], { longest, latest }: Abilities): Incident[] {
  return runs
    .filter(() => random.chance(0.12))
    .map(({ id }) => {
      const when = { run: id, job: 'train', after: random.spread(10, longest), times: drawTimes(random) } as const;
      const action = random.pick(['stop', 'stop', 'stop', 'terminate'] as const);
      const taken = random.chance(0.85) ? random.between(100_000, 300_000) : null;
      const ms = random.chance(0.1) ? null : random.spread(60_000, latest);
      return { when, deed: { kind: 'notice', action, event: random.chance(0.8), taken, ms } };
    });
}

function drawOutage(random: Random, runs: readonly RunPlan[], { powerOff, longest, latest }: Abilities): Incident {
  const run = runs[random.int(0, runs.length - 1)]?.id ?? 'run-0';
  const whens: readonly [When, ...When[]] = [
    { at: random.int(0, longest) },
    { run, state: random.pick(STATES), nth: 1, after: random.spread(10, 20_000) },
    { run, job: 'train', after: random.spread(10, longest), times: drawTimes(random) },
  ];
  const deeds: readonly [Deed, ...Deed[]] = [
    { kind: 'agent-restart' },
    { kind: 'silence', ms: random.spread(1_000, Math.min(latest, 600_000)) },
    { kind: 'reboot', soft: random.chance(0.5), ms: random.spread(20_000, 240_000) },
    {
      kind: 'stop-instance',
      state: random.pick(['stopped', 'terminated'] as const),
      ms: random.chance(0.3) ? null : random.spread(60_000, latest),
    },
  ];
  return { when: random.pick(whens), deed: random.pick(powerOff ? deeds : [deeds[0], ...deeds.slice(1, 2)]) };
}
