import { expect } from 'vitest';
import type { JobName } from '../../core/names.ts';
import type { JobPlan } from './model/job.ts';
import type { Victim } from './world/instance.ts';

type Answer = Readonly<Record<string, unknown>>;
type Fields = Readonly<Record<string, unknown>>;

/** A runner, whichever it is. Run ids are `one`, `two`, `three`. */
export interface Rig {
  /** Says what the training of a run will do, in ms. */
  plan(run: string, plan: JobPlan): void;
  /** Sends a request; what it does not say has the values of a plain run. */
  ask(run: string, verb: string, fields?: Fields): Promise<Answer>;
  strike(run: string, job: JobName, victim: Victim): void;
  /** Objects of the bucket under `runs/`. */
  stored(): string[];
  /** URL of a PUT to `runs/<name>`. */
  putUrl(name: string): Promise<string>;
  now(): number;
  sleep(ms: number): Promise<void>;
}

export interface Case {
  readonly name: string;
  readonly play: (rig: Rig) => Promise<void>;
}

const arn = (run: string) => `arn:aws:states:eu-central-1:111122223333:execution:runctl-run:${run}`;
const QUEUE = { queue: { ttl: 600 } };

const sync = (rig: Rig, run: string, fields: Fields = {}) => rig.ask(run, 'start', { job: 'sync', ...fields });
const train = (rig: Rig, run: string, fields: Fields = {}) => rig.ask(run, 'start', { job: 'train', ...fields });
const poll = (rig: Rig, run: string, job: JobName = 'train', fields: Fields = {}) =>
  rig.ask(run, 'poll', { job, ...fields });

function plan(changes: Partial<JobPlan> = {}): JobPlan {
  const end = { code: 0, signal: null, outOfMemory: false };
  return { output: [], lasts: 100, end, onTerm: 'dies', result: null, ...changes };
}

/** Long enough to be struck or stopped. */
const LONG = plan({ lasts: 60_000, output: [{ at: 0, text: 'begun\n' }] });

async function until(rig: Rig, met: (answer: Answer) => boolean, ask: () => Promise<Answer>): Promise<Answer> {
  const deadline = rig.now() + 60_000;
  for (;;) {
    const answer = await ask();
    if (met(answer)) return answer;
    if (rig.now() > deadline) throw new Error(`still ${JSON.stringify(answer)}`);
    await rig.sleep(50);
  }
}

const ended = (rig: Rig, run: string) =>
  until(
    rig,
    ({ state }) => state !== 'running',
    () => poll(rig, run),
  );

/** Takes the lease and starts the training. */
async function begin(rig: Rig, run: string, what: JobPlan): Promise<Answer> {
  rig.plan(run, what);
  expect(await sync(rig, run)).toMatchObject({ ok: true, state: 'exited', exit: { code: 0 } });
  const started = await train(rig, run);
  expect(started).toMatchObject({ ok: true, job: 'train', holder: null, queue: null });
  // Its program has begun: what it does with a TERM is settled.
  if (what === LONG || what.lasts > 10_000)
    await until(
      rig,
      ({ log }) => (log as { size: number }).size > 0,
      () => poll(rig, run),
    );
  return started;
}

/** Sequences of requests and what has to be answered: the model of the runner and the runner itself pass them all. */
export const CASES: readonly Case[] = [
  {
    name: 'a job that never began is absent; without the lease nothing but a sync is started',
    play: async (rig) => {
      expect(await poll(rig, 'one')).toMatchObject({ ok: true, state: 'absent', pid: null, exit: null, tail: null });
      expect(await train(rig, 'one')).toMatchObject({ ok: true, state: 'refused', reason: 'no-lease' });
      expect(await sync(rig, 'one', { notAfter: rig.now() / 1_000 - 1 })).toMatchObject({
        state: 'refused',
        reason: 'too-late',
      });
      expect(await poll(rig, 'one', 'sync')).toMatchObject({ state: 'absent' });
    },
  },
  {
    name: 'a training that ends by itself is told with its code, its log and its last lines, as often as it is asked',
    play: async (rig) => {
      const end = { code: 3, signal: null, outOfMemory: false };
      await begin(
        rig,
        'one',
        plan({
          end,
          output: [
            { at: 0, text: 'one\ntwo\n' },
            { at: 100, text: 'last' },
          ],
        }),
      );
      const told = { state: 'exited', reason: null, exit: { code: 3, signal: null }, tail: ['one', 'two', 'last'] };
      expect(await ended(rig, 'one')).toMatchObject({ ...told, log: { offset: 0, bytes: 12, size: 12, put: null } });
      const window = { offset: 4, maxBytes: 3 };
      expect(await poll(rig, 'one', 'train', window)).toMatchObject({
        ...told,
        log: { offset: 4, bytes: 3, size: 12 },
      });
      expect(await train(rig, 'one')).toMatchObject(told);
    },
  },
  {
    name: 'a start that is sent twice, or twice at once, starts once',
    play: async (rig) => {
      rig.plan('one', LONG);
      const [first, second] = await Promise.all([sync(rig, 'one'), sync(rig, 'one')]);
      expect(first.pid).toBe(second?.pid);
      const both = await Promise.all([train(rig, 'one'), train(rig, 'one')]);
      const again = await train(rig, 'one', { notAfter: 0 });
      expect(new Set([...both, again].map(({ pid }) => pid)).size).toBe(1);
      expect(again).toMatchObject({ state: 'running', exit: null });
    },
  },
  {
    name: 'a signal that the process gave itself, and one that came from elsewhere',
    play: async (rig) => {
      await begin(rig, 'one', plan({ end: { code: null, signal: 'SIGABRT', outOfMemory: false } }));
      expect(await ended(rig, 'one')).toMatchObject({ state: 'exited', exit: { code: null, signal: 'SIGABRT' } });
      await rig.ask('one', 'release');
      await begin(rig, 'two', LONG);
      rig.strike('two', 'train', 'process');
      expect(await ended(rig, 'two')).toMatchObject({ state: 'exited', exit: { code: null, signal: 'SIGKILL' } });
    },
  },
  {
    name: 'without its supervisor a training runs on, and can be stopped; without both it has vanished',
    play: async (rig) => {
      await begin(rig, 'one', LONG);
      rig.strike('one', 'train', 'supervisor');
      await rig.sleep(200);
      expect(await poll(rig, 'one')).toMatchObject({ state: 'running', exit: null });
      expect(await rig.ask('one', 'stop', { grace: 5 })).toMatchObject({ jobs: { sync: 'exited', train: 'running' } });
      expect(await ended(rig, 'one')).toMatchObject({ state: 'stopped', reason: 'stop', exit: { code: null } });
      await rig.ask('one', 'release');
      await begin(rig, 'two', LONG);
      rig.strike('two', 'train', 'both');
      expect(await ended(rig, 'two')).toMatchObject({ state: 'vanished', exit: null, reason: null, tail: ['begun'] });
      expect(await train(rig, 'two')).toMatchObject({ state: 'vanished' });
    },
  },
  {
    name: 'a stop lets the training end by itself, twice is as once, and nothing of the run is started after it',
    play: async (rig) => {
      await begin(rig, 'one', { ...LONG, onTerm: { after: 300, code: 0, text: 'saved\n' } });
      expect(await rig.ask('one', 'stop', { grace: 20 })).toMatchObject({ ok: true, jobs: { train: 'running' } });
      expect(await rig.ask('one', 'stop', { grace: 20 })).toMatchObject({ ok: true });
      const told = { state: 'stopped', reason: 'stop', exit: { code: 0, signal: null }, tail: ['begun', 'saved'] };
      expect(await ended(rig, 'one')).toMatchObject(told);
      expect(await train(rig, 'one')).toMatchObject(told);
      expect(await rig.ask('two', 'stop', { grace: 0 })).toMatchObject({ jobs: {} });
      expect(await sync(rig, 'two')).toMatchObject({ state: 'refused', reason: 'closed' });
    },
  },
  {
    name: 'who does not heed a TERM is killed after the grace; maxDuration ends a training without anybody asking',
    play: async (rig) => {
      await begin(rig, 'one', { ...LONG, onTerm: 'ignores' });
      await rig.ask('one', 'stop', { grace: 1 });
      expect(await ended(rig, 'one')).toMatchObject({ state: 'stopped', exit: { code: null, signal: 'SIGKILL' } });
      await rig.ask('one', 'release');
      rig.plan('two', LONG);
      await sync(rig, 'two');
      await train(rig, 'two', { maxDuration: 1 });
      await rig.sleep(1_500);
      expect(await ended(rig, 'two')).toMatchObject({
        state: 'stopped',
        reason: 'max-duration',
        exit: { signal: 'SIGTERM' },
      });
    },
  },
  {
    name: 'one run has the instance; the others wait in order of arrival, and lose their place with their ticket',
    play: async (rig) => {
      await sync(rig, 'one');
      const holder = { run: 'one', arn: arn('one') };
      expect(await sync(rig, 'two', QUEUE)).toMatchObject({
        state: 'busy',
        holder,
        queue: { place: 1, length: 1, ahead: [] },
      });
      const ahead = [{ run: 'two', arn: arn('two') }];
      expect(await sync(rig, 'three', QUEUE)).toMatchObject({
        state: 'busy',
        holder,
        queue: { place: 2, length: 2, ahead },
      });
      expect(await rig.ask('one', 'release')).toMatchObject({ ok: true, released: true, jobs: { sync: 'exited' } });
      expect(await sync(rig, 'three', QUEUE)).toMatchObject({ state: 'busy', holder: null, queue: { place: 2 } });
      expect(await sync(rig, 'two')).toMatchObject({ state: 'exited', queue: null });
      expect(await rig.ask('two', 'release')).toMatchObject({ released: true });
      expect(await sync(rig, 'three', { queue: null, notAfter: 0 })).toMatchObject({ reason: 'too-late' });
      expect(await sync(rig, 'three')).toMatchObject({ state: 'exited' });
    },
  },
  {
    name: 'an ended run in the queue, and a ticket that nobody renewed, are void',
    play: async (rig) => {
      await sync(rig, 'one');
      await sync(rig, 'two', QUEUE);
      expect(await sync(rig, 'three', { ...QUEUE, ended: [arn('two')] })).toMatchObject({
        queue: { place: 1, length: 1 },
      });
      expect(await sync(rig, 'two', { queue: { ttl: 1 } })).toMatchObject({ queue: { place: 2 } });
      await rig.sleep(1_500);
      expect(await sync(rig, 'three', QUEUE)).toMatchObject({ queue: { place: 1, length: 1 } });
      expect(await sync(rig, 'three', { queue: null })).toMatchObject({ state: 'busy', queue: null });
    },
  },
  {
    name: 'a holder whose execution has ended is killed for the next, and can start nothing more',
    play: async (rig) => {
      await begin(rig, 'one', { ...LONG, onTerm: 'ignores' });
      expect(await sync(rig, 'two', { ended: [arn('one')] })).toMatchObject({ state: 'exited' });
      expect(await poll(rig, 'one')).toMatchObject({ state: 'stopped', exit: { signal: 'SIGKILL' } });
      expect(await rig.ask('one', 'start', { job: 'install' })).toMatchObject({ state: 'refused', reason: 'closed' });
      expect(await rig.ask('one', 'release')).toMatchObject({ released: true });
      expect(await sync(rig, 'three', QUEUE)).toMatchObject({ state: 'busy', holder: { run: 'two' } });
    },
  },
  {
    name: 'what outlives the instance is collected when nothing lives, and sent once',
    play: async (rig) => {
      await begin(rig, 'one', { ...LONG, onTerm: { after: 100, code: 0, text: 'saved\n' } });
      const collect = () => rig.ask('one', 'collect', { grace: 10, wait: 5 });
      const collected = await until(rig, ({ state }) => state === 'collected', collect);
      const names = (collected.files as { name: string }[]).map(({ name }) => name);
      expect(names).toEqual(expect.arrayContaining(['train.log.gz', 'inventory.json']));
      expect(collected).toMatchObject({ jobs: { sync: 'exited', train: 'stopped' }, warnings: [] });
      expect(await rig.ask('two', 'upload', { wait: 0, puts: {} })).toMatchObject({ state: 'absent', failed: {} });
      const puts = Object.fromEntries(await Promise.all(names.map(async (name) => [name, await rig.putUrl(name)])));
      const upload = () => rig.ask('one', 'upload', { wait: 5, puts });
      expect(await until(rig, ({ state }) => state === 'uploaded', upload)).toMatchObject({ failed: {} });
      expect(rig.stored().sort()).toEqual([...names].sort());
      expect(await rig.ask('one', 'release')).toMatchObject({ released: true });
      expect(await collect()).toMatchObject({ state: 'collected', files: collected.files });
    },
  },
];
