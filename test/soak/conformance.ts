import { expect } from 'vitest';
import type { JobName } from '../../core/names.ts';
import type { JobPlan } from './model/job.ts';
import type { Victim } from './world/instance.ts';

type Answer = Readonly<Record<string, unknown>>;
type Fields = Readonly<Record<string, unknown>>;

/** A runner: the model or the real one. Run ids are `one`, `two`, `three`. */
export interface RunnerSetup {
  /** Sets what the training of a run does, in ms. */
  plan(run: string, plan: JobPlan): void;
  /** Sends a request. Missing keys get the values of a plain run. */
  ask(run: string, verb: string, fields?: Fields): Promise<Answer>;
  strike(run: string, job: JobName, victim: Victim): void;
  /** The keys in the bucket under `runs/`. */
  stored(): string[];
  /** A presigned URL to PUT `runs/<name>`. */
  putUrl(name: string): Promise<string>;
  now(): number;
  sleep(ms: number): Promise<void>;
}

export interface Case {
  readonly name: string;
  readonly play: (setup: RunnerSetup) => Promise<void>;
}

const arn = (run: string) => `arn:aws:states:eu-central-1:111122223333:execution:runctl-run:${run}`;
const QUEUE = { queue: { ttl: 600 } };

const sync = (setup: RunnerSetup, run: string, fields: Fields = {}) =>
  setup.ask(run, 'start', { job: 'sync', ...fields });
const train = (setup: RunnerSetup, run: string, fields: Fields = {}) =>
  setup.ask(run, 'start', { job: 'train', ...fields });
const poll = (setup: RunnerSetup, run: string, job: JobName = 'train', fields: Fields = {}) =>
  setup.ask(run, 'poll', { job, ...fields });

function plan(changes: Partial<JobPlan> = {}): JobPlan {
  const end = { code: 0, signal: null, outOfMemory: false };
  return { output: [], lasts: 100, end, onTerm: 'dies', result: null, ...changes };
}

/** Runs long enough to be killed or stopped. */
const LONG = plan({ lasts: 60_000, output: [{ at: 0, text: 'begun\n' }] });

async function until(
  setup: RunnerSetup,
  met: (answer: Answer) => boolean,
  ask: () => Promise<Answer>,
): Promise<Answer> {
  const deadline = setup.now() + 60_000;
  for (;;) {
    const answer = await ask();
    if (met(answer)) return answer;
    if (setup.now() > deadline) throw new Error(`still ${JSON.stringify(answer)}`);
    await setup.sleep(50);
  }
}

const ended = (setup: RunnerSetup, run: string) =>
  until(
    setup,
    ({ state }) => state !== 'running',
    () => poll(setup, run),
  );

/** Takes the lease and starts the training. */
async function begin(setup: RunnerSetup, run: string, what: JobPlan): Promise<Answer> {
  setup.plan(run, what);
  expect(await sync(setup, run)).toMatchObject({ ok: true, state: 'exited', exit: { code: 0 } });
  const started = await train(setup, run);
  expect(started).toMatchObject({ ok: true, job: 'train', holder: null, queue: null });
  // Wait until its program handles TERM.
  if (what === LONG || what.lasts > 10_000)
    await until(
      setup,
      ({ log }) => (log as { size: number }).size > 0,
      () => poll(setup, run),
    );
  return started;
}

/** Sequences of requests with their expected answers. Both the model and the real runner must pass all. */
export const CASES: readonly Case[] = [
  {
    name: 'a job that never began is absent; without the lease nothing but a sync is started',
    play: async (setup) => {
      expect(await poll(setup, 'one')).toMatchObject({ ok: true, state: 'absent', pid: null, exit: null, tail: null });
      expect(await train(setup, 'one')).toMatchObject({ ok: true, state: 'refused', reason: 'no-lease' });
      expect(await sync(setup, 'one', { notAfter: setup.now() / 1_000 - 1 })).toMatchObject({
        state: 'refused',
        reason: 'too-late',
      });
      expect(await poll(setup, 'one', 'sync')).toMatchObject({ state: 'absent' });
    },
  },
  {
    name: 'every poll of a training that ended by itself reports its code, its log and its last lines',
    play: async (setup) => {
      const end = { code: 3, signal: null, outOfMemory: false };
      await begin(
        setup,
        'one',
        plan({
          end,
          output: [
            { at: 0, text: 'one\ntwo\n' },
            { at: 100, text: 'last' },
          ],
        }),
      );
      const expected = { state: 'exited', reason: null, exit: { code: 3, signal: null }, tail: ['one', 'two', 'last'] };
      expect(await ended(setup, 'one')).toMatchObject({
        ...expected,
        log: { offset: 0, bytes: 12, size: 12, put: null },
      });
      const window = { offset: 4, maxBytes: 3 };
      expect(await poll(setup, 'one', 'train', window)).toMatchObject({
        ...expected,
        log: { offset: 4, bytes: 3, size: 12 },
      });
      expect(await train(setup, 'one')).toMatchObject(expected);
    },
  },
  {
    name: 'a start that is sent twice, or twice at once, starts once',
    play: async (setup) => {
      setup.plan('one', LONG);
      const [first, second] = await Promise.all([sync(setup, 'one'), sync(setup, 'one')]);
      expect(first.pid).toBe(second?.pid);
      const both = await Promise.all([train(setup, 'one'), train(setup, 'one')]);
      const again = await train(setup, 'one', { notAfter: 0 });
      expect(new Set([...both, again].map(({ pid }) => pid)).size).toBe(1);
      expect(again).toMatchObject({ state: 'running', exit: null });
    },
  },
  {
    name: 'a signal that the process sent itself, and one from another process',
    play: async (setup) => {
      await begin(setup, 'one', plan({ end: { code: null, signal: 'SIGABRT', outOfMemory: false } }));
      expect(await ended(setup, 'one')).toMatchObject({ state: 'exited', exit: { code: null, signal: 'SIGABRT' } });
      await setup.ask('one', 'release');
      await begin(setup, 'two', LONG);
      setup.strike('two', 'train', 'process');
      expect(await ended(setup, 'two')).toMatchObject({ state: 'exited', exit: { code: null, signal: 'SIGKILL' } });
    },
  },
  {
    name: 'without its supervisor, a training continues and can be stopped; without both, it has vanished',
    play: async (setup) => {
      await begin(setup, 'one', LONG);
      setup.strike('one', 'train', 'supervisor');
      await setup.sleep(200);
      expect(await poll(setup, 'one')).toMatchObject({ state: 'running', exit: null });
      expect(await setup.ask('one', 'stop', { grace: 5 })).toMatchObject({
        jobs: { sync: 'exited', train: 'running' },
      });
      expect(await ended(setup, 'one')).toMatchObject({ state: 'stopped', reason: 'stop', exit: { code: null } });
      await setup.ask('one', 'release');
      await begin(setup, 'two', LONG);
      setup.strike('two', 'train', 'both');
      expect(await ended(setup, 'two')).toMatchObject({ state: 'vanished', exit: null, reason: null, tail: ['begun'] });
      expect(await train(setup, 'two')).toMatchObject({ state: 'vanished' });
    },
  },
  {
    name: 'a stop lets the training end by itself, is idempotent, and prevents further jobs of the run',
    play: async (setup) => {
      await begin(setup, 'one', { ...LONG, onTerm: { after: 300, code: 0, text: 'saved\n' } });
      expect(await setup.ask('one', 'stop', { grace: 20 })).toMatchObject({ ok: true, jobs: { train: 'running' } });
      expect(await setup.ask('one', 'stop', { grace: 20 })).toMatchObject({ ok: true });
      const expected = { state: 'stopped', reason: 'stop', exit: { code: 0, signal: null }, tail: ['begun', 'saved'] };
      expect(await ended(setup, 'one')).toMatchObject(expected);
      expect(await train(setup, 'one')).toMatchObject(expected);
      expect(await setup.ask('two', 'stop', { grace: 0 })).toMatchObject({ jobs: {} });
      expect(await sync(setup, 'two')).toMatchObject({ state: 'refused', reason: 'closed' });
    },
  },
  {
    name: 'a process that ignores TERM is killed after the grace; maxDuration ends a training without a request',
    play: async (setup) => {
      await begin(setup, 'one', { ...LONG, onTerm: 'ignores' });
      await setup.ask('one', 'stop', { grace: 1 });
      expect(await ended(setup, 'one')).toMatchObject({ state: 'stopped', exit: { code: null, signal: 'SIGKILL' } });
      await setup.ask('one', 'release');
      setup.plan('two', LONG);
      await sync(setup, 'two');
      await train(setup, 'two', { maxDuration: 1 });
      await setup.sleep(1_500);
      expect(await ended(setup, 'two')).toMatchObject({
        state: 'stopped',
        reason: 'max-duration',
        exit: { signal: 'SIGTERM' },
      });
    },
  },
  {
    name: 'one run has the instance; the others wait in order of arrival, and lose their place with their ticket',
    play: async (setup) => {
      await sync(setup, 'one');
      const holder = { run: 'one', arn: arn('one') };
      expect(await sync(setup, 'two', QUEUE)).toMatchObject({
        state: 'busy',
        holder,
        queue: { place: 1, length: 1, ahead: [] },
      });
      const ahead = [{ run: 'two', arn: arn('two') }];
      expect(await sync(setup, 'three', QUEUE)).toMatchObject({
        state: 'busy',
        holder,
        queue: { place: 2, length: 2, ahead },
      });
      expect(await setup.ask('one', 'release')).toMatchObject({ ok: true, released: true, jobs: { sync: 'exited' } });
      expect(await sync(setup, 'three', QUEUE)).toMatchObject({ state: 'busy', holder: null, queue: { place: 2 } });
      expect(await sync(setup, 'two')).toMatchObject({ state: 'exited', queue: null });
      expect(await setup.ask('two', 'release')).toMatchObject({ released: true });
      expect(await sync(setup, 'three', { queue: null, notAfter: 0 })).toMatchObject({ reason: 'too-late' });
      expect(await sync(setup, 'three')).toMatchObject({ state: 'exited' });
    },
  },
  {
    name: 'the tickets of an ended run, and those that were not renewed, expire',
    play: async (setup) => {
      await sync(setup, 'one');
      await sync(setup, 'two', QUEUE);
      expect(await sync(setup, 'three', { ...QUEUE, ended: [arn('two')] })).toMatchObject({
        queue: { place: 1, length: 1 },
      });
      expect(await sync(setup, 'two', { queue: { ttl: 1 } })).toMatchObject({ queue: { place: 2 } });
      await setup.sleep(1_500);
      expect(await sync(setup, 'three', QUEUE)).toMatchObject({ queue: { place: 1, length: 1 } });
      expect(await sync(setup, 'three', { queue: null })).toMatchObject({ state: 'busy', queue: null });
    },
  },
  {
    name: 'a holder whose execution has ended is killed for the next, and can start nothing more',
    play: async (setup) => {
      await begin(setup, 'one', { ...LONG, onTerm: 'ignores' });
      expect(await sync(setup, 'two', { ended: [arn('one')] })).toMatchObject({ state: 'exited' });
      expect(await poll(setup, 'one')).toMatchObject({ state: 'stopped', exit: { signal: 'SIGKILL' } });
      expect(await setup.ask('one', 'start', { job: 'install' })).toMatchObject({ state: 'refused', reason: 'closed' });
      expect(await setup.ask('one', 'release')).toMatchObject({ released: true });
      expect(await sync(setup, 'three', QUEUE)).toMatchObject({ state: 'busy', holder: { run: 'two' } });
    },
  },
  {
    name: 'an attempt waits for the jobs of the one before; a start of an earlier attempt comes too late',
    play: async (setup) => {
      await begin(setup, 'one', LONG);
      const second = { attempt: 2 };
      expect(await sync(setup, 'one', second)).toMatchObject({ state: 'refused', reason: 'attempt-open' });
      expect(await poll(setup, 'one', 'sync', second)).toMatchObject({ state: 'absent' });
      setup.strike('one', 'train', 'supervisor');
      await setup.sleep(200);
      expect(await sync(setup, 'one', second)).toMatchObject({ state: 'refused', reason: 'attempt-open' });
      setup.strike('one', 'train', 'both');
      expect(await ended(setup, 'one')).toMatchObject({ state: 'vanished' });
      expect(await sync(setup, 'one', second)).toMatchObject({ state: 'exited', exit: { code: 0 } });
      expect(await setup.ask('one', 'start', { job: 'install' })).toMatchObject({
        state: 'refused',
        reason: 'too-late',
      });
      expect(await train(setup, 'one')).toMatchObject({ state: 'vanished' });
      setup.plan('one', plan({ output: [{ at: 0, text: 'second\n' }] }));
      expect(await train(setup, 'one', second)).toMatchObject({ ok: true, job: 'train' });
      const isOver = (answer: Answer) => answer.state !== 'running';
      const over = await until(setup, isOver, () => poll(setup, 'one', 'train', second));
      expect(over).toMatchObject({ state: 'exited', exit: { code: 0 }, tail: ['second'] });
      expect(await poll(setup, 'one')).toMatchObject({ state: 'vanished', tail: ['begun'] });
      const collect = () => setup.ask('one', 'collect', { grace: 1, wait: 5 });
      const collected = await until(setup, ({ state }) => state === 'collected', collect);
      expect(collected).toMatchObject({ jobs: { sync: 'exited', train: 'exited' } });
      const names = (collected.files as { name: string }[]).map(({ name }) => name);
      expect(names).toEqual(expect.arrayContaining(['train.log.gz', 'train-2.log.gz']));
    },
  },
  {
    name: 'a restore brings all of a checkpoint or fails; one that failed is started again, three times',
    play: async (setup) => {
      await sync(setup, 'one');
      const restore = async (fields: Fields) => {
        await setup.ask('one', 'start', { job: 'restore', ...fields });
        const isOver = (answer: Answer) => answer.state !== 'running';
        return until(setup, isOver, () => poll(setup, 'one', 'restore', { attempt: fields.attempt ?? 1 }));
      };
      const failed = { state: 'exited', exit: { code: 1 }, result: { error: { name: 'RestoreFailed' } } };
      expect(await restore({ sends: 'other.' })).toMatchObject(failed);
      expect(await restore({})).toMatchObject(failed);
      expect(await restore({ again: true, sends: 'other.' })).toMatchObject(failed);
      const name = 'checkpoints/last.pt';
      const whole = { restored: name, files: 1, bytes: 12, kept: 0 };
      expect(await restore({ again: true })).toMatchObject({ state: 'exited', exit: { code: 0 }, result: whole });
      expect(await restore({ again: true })).toMatchObject({ state: 'exited', result: whole });
      await sync(setup, 'one', { attempt: 2 });
      expect(await restore({ attempt: 2 })).toMatchObject({ state: 'exited', result: { ...whole, kept: 1 } });
      await sync(setup, 'one', { attempt: 3 });
      const third = { attempt: 3, sends: 'other.', again: true };
      // The files of the attempt before are there.
      expect(await restore(third)).toMatchObject({ state: 'exited', result: { ...whole, kept: 1 } });
      await sync(setup, 'two', { ended: [arn('one')] });
      expect(await restore({ attempt: 3 })).toMatchObject({ result: { kept: 1 } });
    },
  },
  {
    name: 'results are collected after all processes have ended, and uploaded once',
    play: async (setup) => {
      await begin(setup, 'one', { ...LONG, onTerm: { after: 100, code: 0, text: 'saved\n' } });
      const collect = () => setup.ask('one', 'collect', { grace: 10, wait: 5 });
      const collected = await until(setup, ({ state }) => state === 'collected', collect);
      const names = (collected.files as { name: string }[]).map(({ name }) => name);
      expect(names).toEqual(expect.arrayContaining(['train.log.gz', 'inventory.json']));
      expect(collected).toMatchObject({ jobs: { sync: 'exited', train: 'stopped' }, warnings: [] });
      expect(await setup.ask('two', 'upload', { wait: 0, puts: {} })).toMatchObject({ state: 'absent', failed: {} });
      const puts = Object.fromEntries(await Promise.all(names.map(async (name) => [name, await setup.putUrl(name)])));
      // One request may have no room for all URLs.
      const { 'inventory.json': inventory, ...first } = puts;
      const upload = (urls: object) => () => setup.ask('one', 'upload', { wait: 5, puts: urls });
      expect(await until(setup, ({ state }) => state === 'uploaded', upload(first))).toMatchObject({ failed: {} });
      expect(setup.stored()).not.toContain('inventory.json');
      const second = upload({ 'inventory.json': inventory });
      expect(await until(setup, ({ state }) => state === 'uploaded', second)).toMatchObject({ failed: {} });
      expect(setup.stored().sort()).toEqual([...names].sort());
      expect(await setup.ask('one', 'release')).toMatchObject({ released: true });
      expect(await collect()).toMatchObject({ state: 'collected', files: collected.files });
    },
  },
];
