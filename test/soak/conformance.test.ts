import { createHash } from 'node:crypto';
import { afterEach, describe, expect, it } from 'vitest';
import type { RestoreRequest, RunnerRequest } from '../../core/protocol/messages.ts';
import { archive } from '../support/instance/tarball.ts';
import { type Clock, ScaledClock, VirtualClock } from './clock.ts';
import { CASES, type RunnerSetup } from './conformance.ts';
import type { JobPlan } from './model/job.ts';
import { Random } from './random.ts';
import { Bucket } from './world/bucket.ts';
import type { SoakInstance } from './world/instance.ts';
import { ModelInstance } from './world/model-instance.ts';
import { BucketServer, RealInstance } from './world/real-instance.ts';
import { CALM } from './world/weather.ts';
import { SCRIPT } from './world/world.ts';

const ARCHIVE = archive({ 'train.py': SCRIPT });
const ARCHIVE_KEY = 'archives/plain.tar.gz';
const HOUR_MS = 3_600_000;
const PLAIN: JobPlan = {
  output: [],
  lasts: 50,
  end: { code: 0, signal: null, outOfMemory: false },
  onTerm: 'dies',
  result: {},
};

interface Subject {
  readonly clock: Clock;
  readonly bucket: Bucket;
  readonly instance: SoakInstance;
  /** Keys that every request has. */
  readonly about: Readonly<Record<string, unknown>>;
  /** Sets what a training does. */
  readonly plan: (run: string, plan: JobPlan) => void;
}

const undo: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const one of undo.splice(0)) await one();
});

function modelled(): Subject {
  const clock = new VirtualClock(Date.parse('2026-11-24T00:00:00Z'));
  const bucket = new Bucket(clock, 'http://soak.invalid');
  const plans = new Map<string, JobPlan>();
  const instance = new ModelInstance({
    clock,
    random: new Random(1),
    weather: () => CALM,
    bucket,
    plan: (run, job) => (job === 'train' ? (plans.get(run) ?? PLAIN) : PLAIN),
    hasOutputs: () => false,
    onStart: () => undefined,
  });
  const about = { root: '/root', home: '/home', user: null, users: [], projects: null };
  return { clock, bucket, instance, about, plan: (run, plan) => void plans.set(run, plan) };
}

async function real(): Promise<Subject> {
  const clock = new ScaledClock(1, Date.now());
  let bucket: Bucket | null = null;
  const server = new BucketServer(
    (method, url, content) => bucket?.request(method, url, content) ?? { status: 500, body: null },
  );
  bucket = new Bucket(clock, await server.open());
  const instance = new RealInstance({ runs: [], scale: 1, onStart: () => undefined });
  undo.push(
    () => instance.remove(),
    () => server.close(),
  );
  const { here } = instance;
  const about = { root: here.root, home: here.home, user: here.user, users: [here.user], projects: null };
  return { clock, bucket, instance, about, plan: (run, plan) => instance.plan(run, plan) };
}

/** A checkpoint of two parts. @param sends what the bucket has instead of the second one; undefined: that one */
async function restoreOf(bucket: Bucket, sends: unknown): Promise<RestoreRequest> {
  const name = 'checkpoints/last.pt';
  const url = (key: string) => bucket.sign({ input: { Key: key } });
  const parts = await Promise.all(
    ['first ', 'second'].map(async (content, at) => {
      const key = `checkpoint-data/${at}`;
      bucket.objects.set(key, Buffer.from(at === 1 && typeof sends === 'string' ? sends : content));
      const md5 = createHash('md5').update(content).digest('hex');
      return { url: await url(key), bytes: content.length, md5 };
    }),
  );
  const files = [{ path: name, bytes: parts.reduce((sum, { bytes }) => sum + bytes, 0), parts }];
  const text = JSON.stringify({ version: 1, name, files });
  bucket.objects.set('lists/list.json', Buffer.from(text));
  const sha256 = createHash('sha256').update(text).digest('hex');
  return { list: { url: await url('lists/list.json'), sha256, bytes: text.length }, name };
}

/** Advances the clock until the work is done: a virtual clock stands still otherwise. */
async function drive<T>(clock: Clock, work: Promise<T>): Promise<T> {
  let isDone = false;
  const done = work.finally(() => {
    isDone = true;
  });
  done.catch(() => undefined); // rethrown below
  await clock.run(() => isDone, clock.now() + HOUR_MS);
  return done;
}

function setupOf({ clock, bucket, instance, about, plan }: Subject): RunnerSetup {
  bucket.objects.set(ARCHIVE_KEY, ARCHIVE);
  const sha256 = createHash('sha256').update(ARCHIVE).digest('hex');
  const key = (name: string) => `runs/${name}`;
  const works = async (job: unknown, fields: Readonly<Record<string, unknown>>) => {
    const url = await bucket.sign({ input: { Key: ARCHIVE_KEY } });
    const rest = { bytes: ARCHIVE.length, script: 'train.py', requirements: null, strip: null, versionId: null };
    if (job === 'sync') return { sync: { url, sha256, ...rest } };
    const install = { requirements: 'requirements.txt', installer: 'auto', python: null, env: {} };
    if (job === 'install') return { install };
    if (job === 'restore') return { restore: await restoreOf(bucket, fields.sends) };
    const { maxDuration = 3_600 } = fields;
    return { train: { script: 'train.py', args: [], env: {}, python: null, maxDuration, stopGrace: 5 } };
  };
  return {
    plan,
    strike: (run, job, victim) => instance.strike(run, job, victim),
    stored: () => [...bucket.objects.keys()].filter((name) => name.startsWith('runs/')).map((name) => name.slice(5)),
    putUrl: (name) => bucket.sign({ input: { Key: key(name) } }),
    now: () => clock.now(),
    sleep: (ms) => clock.sleep(ms),
    async ask(run, verb, fields = {}) {
      const arn = `arn:aws:states:eu-central-1:111122223333:execution:runctl-run:${run}`;
      const start = { notAfter: clock.now() / 1_000 + 60, wait: 5, ended: [], queue: null };
      const request = {
        protocol: 1,
        verb,
        ...about,
        run: { id: run, key: `${run}-0123456789abcdef`, arn },
        project: 'soak',
        offset: 0,
        maxBytes: 1_000_000,
        reason: 'a test',
        outputs: ['outputs/**'],
        // Only here: what a restore fetches must not change while it does.
        ...(verb === 'start' ? { ...start, ...(await works(fields.job, fields)) } : {}),
        ...(verb === 'collect' ? { maxBytes: 5e9 } : {}),
        ...fields,
      };
      const { output } = instance.execute(request as unknown as RunnerRequest);
      return JSON.parse(await output) as Record<string, unknown>;
    },
  };
}

describe.each([
  { subject: 'the model of the runner', make: async () => modelled() },
  { subject: 'the runner', make: real },
])('$subject', ({ make }) => {
  it.each(CASES)('$name', async ({ play }) => {
    const subject = await make();
    await drive(subject.clock, play(setupOf(subject)));
    expect((await subject.instance.truth()).overlaps).toEqual([]);
  });
});
