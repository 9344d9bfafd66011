import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { archiveStoreOver, createIndexStore } from '../../../aws/archive-store.ts';
import { expiryStoreOver } from '../../../aws/expiry-store.ts';
import { storeArchive } from '../../../cli/archive/send-archive.ts';
import { keepPinned, pinArchive } from '../../../cli/schedules/code.ts';
import { DEFAULT_CAPS } from '../../../core/archive/caps.ts';
import { compressMember } from '../../../core/archive/compress.ts';
import { RunError } from '../../../core/errors.ts';
import { type ArchiveLocation, archiveUri } from '../../../core/names.ts';
import { scheduledStart } from '../../../core/schedule/scheduled-start.ts';
import { logger } from '../../../lambdas/adapters/logger.ts';
import { createExpireArchives } from '../../../lambdas/expire-archives.ts';
import { createVerify } from '../../../lambdas/verify-archive.ts';
import { MemoryCheckpointStore } from '../../support/fakes/checkpoint-store.ts';
import { run } from '../../support/fakes/samples.ts';
import { type LifecycleRule, VersionedS3 } from '../../support/fakes/versioned-s3.ts';
import { synthesize } from '../../support/lib/synth.ts';
import { END, file } from '../core/archive/build.ts';

logger.setLogLevel('SILENT');
const DAY_MS = 86_400_000;
/** For so long after a command has printed it an address is good. */
const HANDED_DAYS = 30;
const PROJECT = 'demo';

let rules: LifecycleRule[];
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'runctl-expire-'));
  const aws = synthesize();
  rules = aws
    .of('AWS::S3::Bucket')
    .flatMap(({ Properties }) => (Properties.LifecycleConfiguration as { Rules: LifecycleRule[] }).Rules);
  aws.remove();
}, 120_000);
afterAll(() => rmSync(folder, { recursive: true }));
beforeEach(() => void vi.useFakeTimers({ toFake: ['Date'], now: Date.UTC(2026, 0, 1) }));
afterEach(() => void vi.useRealTimers());

/** Real commands and functions on a bucket, day by day. */
class World {
  readonly s3 = new VersionedS3();
  readonly schedules = new Map<string, ArchiveLocation>();
  /** Runs in the queue, and when they sync. */
  waiting: { readonly archive: ArchiveLocation; readonly until: number; readonly what: string }[] = [];
  /** Addresses that a command has printed, and when. */
  readonly handed: { readonly archive: ArchiveLocation; readonly at: number }[] = [];
  private names = 0;

  readonly sweep = createExpireArchives({
    store: expiryStoreOver(this.s3.client, 'mine'),
    schedules: () =>
      Promise.resolve(
        [...this.schedules].map(([name, archive]) =>
          JSON.stringify(scheduledStart(name, { project: PROJECT, archive: archiveUri(archive) })),
        ),
      ),
    uploadBucket: 'mine',
    now: Date.now,
  });

  private readonly verify = createVerify({
    archives: archiveStoreOver(this.s3.client, () => Promise.resolve('')),
    caps: DEFAULT_CAPS,
    indexes: createIndexStore(this.s3.client),
    checkpoints: new MemoryCheckpointStore(),
    durationLimits: { maxDuration: '30d', maxWait: '30d' },
    program: run.program,
    documentVersion: () => Promise.resolve('1'),
    uploadBucket: 'mine',
  });

  /** What a folder is packed into: an odd one has one member, and so no index. */
  async store(content: number, expires: boolean): Promise<ArchiveLocation> {
    const parts = [file('train.py', `x = ${content}\n`), END].map((part) => Buffer.from(part));
    const data =
      content % 2 === 0
        ? Buffer.concat(parts.map((part) => compressMember(part)))
        : compressMember(Buffer.concat(parts));
    const path = join(folder, 'code.tar.gz');
    writeFileSync(path, data);
    const sha256 = createHash('sha256').update(data).digest('hex');
    const archive = {
      file: async () => path,
      sha256,
      bytes: data.length,
      members: [],
      previous: null,
      keep: async () => undefined,
    };
    const to = { bucket: 'mine', project: PROJECT, patch: 'none', expires, assemble: null } as const;
    const { bucket, key, versionId } = await storeArchive(this.s3.client, archive, to);
    return { bucket, key, versionId };
  }

  hand(archive: ArchiveLocation): void {
    this.handed.push({ archive, at: Date.now() });
  }

  schedule(archive: ArchiveLocation): void {
    this.names += 1;
    this.schedules.set(`runctl-demo-${this.names}`, archive);
  }

  /** @returns false when the run is refused because its archive has expired */
  async start(archive: ArchiveLocation, waitDays: number, what: string): Promise<boolean> {
    const { name, arn, startedAt } = { name: run.id, arn: run.arn, startedAt: run.startedAt };
    try {
      await this.verify({ execution: { name, arn, startedAt }, input: { archive: archiveUri(archive) } });
    } catch (error) {
      if (error instanceof RunError && error.name === 'ArchiveNotFound') return false;
      throw error;
    }
    this.waiting.push({ archive, until: Date.now() + waitDays * DAY_MS, what });
    return true;
  }

  /** @param isSwept false: the function fails every day */
  async passDays(days: number, isSwept = true): Promise<void> {
    for (let day = 0; day < days; day += 1) {
      vi.setSystemTime(Date.now() + DAY_MS);
      if (isSwept) await this.sweep();
      this.s3.runLifecycle(rules);
      this.check();
    }
  }

  private check(): void {
    for (const [name, archive] of this.schedules)
      if (this.s3.current(archive.key)?.id !== archive.versionId) throw new Error(`the archive of ${name} is gone`);
    for (const { archive, what } of this.waiting)
      if (!this.s3.has(archive)) throw new Error(`the archive of a waiting run is gone: ${what}`);
    this.waiting = this.waiting.filter(({ until }) => until > Date.now());
  }
}

const content = fc.nat({ max: 5 });
const wait = fc.nat({ max: 30 });
const choice = fc.nat({ max: 9 });
const step = fc.oneof(
  fc.record({ kind: fc.constant('push' as const), content }),
  fc.record({ kind: fc.constant('run' as const), content, wait }),
  fc.record({ kind: fc.constant('run archive' as const), choice, wait }),
  fc.record({ kind: fc.constant('schedule' as const), content }),
  fc.record({ kind: fc.constant('schedule archive' as const), choice }),
  fc.record({ kind: fc.constant('schedule in cdk.json' as const), choice }),
  fc.record({ kind: fc.constant('fire' as const), choice, wait }),
  fc.record({ kind: fc.constant('remove' as const), choice }),
  fc.record({ kind: fc.constant('pass' as const), days: fc.integer({ min: 1, max: 60 }) }),
  fc.record({ kind: fc.constant('pass' as const), days: fc.integer({ min: 1, max: 60 }) }),
);

async function play(world: World, one: typeof step extends fc.Arbitrary<infer T> ? T : never): Promise<void> {
  const pick = <T>(all: readonly T[], index: number): T | undefined => all[index % Math.max(1, all.length)];
  switch (one.kind) {
    case 'push':
      return world.hand(await world.store(one.content, false));
    case 'run': {
      const archive = await world.store(one.content, true);
      world.hand(archive); // the manifest has it
      expect(await world.start(archive, one.wait, 'run')).toBe(true);
      return;
    }
    case 'run archive': {
      const found = pick(world.handed, one.choice);
      if (found === undefined) return;
      const isStarted = await world.start(found.archive, one.wait, 'run --archive');
      if (Date.now() - found.at <= HANDED_DAYS * DAY_MS) expect(isStarted, 'of an address that is new').toBe(true);
      if (isStarted) world.hand(found.archive);
      return;
    }
    case 'schedule':
      return world.schedule(await world.store(one.content, false));
    case 'schedule archive': {
      const found = pick(world.handed, one.choice);
      if (found === undefined || world.s3.current(found.archive.key) === null) return;
      const pinned = await pinArchive(world.s3.client, archiveUri(found.archive), 'mine');
      return world.schedule(await keepPinned(world.s3.client, pinned, PROJECT));
    }
    case 'schedule in cdk.json': {
      const found = pick(world.handed, one.choice);
      if (found && world.s3.current(found.archive.key)?.id === found.archive.versionId) world.schedule(found.archive);
      return;
    }
    case 'fire': {
      const archive = pick([...world.schedules.values()], one.choice);
      if (archive) expect(await world.start(archive, one.wait, 'a schedule'), 'of a schedule').toBe(true);
      return;
    }
    case 'remove': {
      const name = pick([...world.schedules.keys()], one.choice);
      if (name !== undefined) world.schedules.delete(name);
      return;
    }
    case 'pass':
      return await world.passDays(one.days);
  }
}

describe('archives', () => {
  it('never expire while something names them, and always when nothing has for long', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 30, size: 'max' }), async (steps) => {
        vi.setSystemTime(Date.UTC(2026, 0, 1));
        const world = new World();
        for (const one of steps) await play(world, one);
        world.schedules.clear();
        await world.passDays(90 + 90 + 40);
        expect([...world.s3.objects.keys()]).toEqual([]);
      }),
      { numRuns: 60 },
    );
  }, 120_000);
});

describe('an archive of a run', () => {
  it('is there for a run that waits for it, also when it expires meanwhile', async () => {
    const world = new World();
    const archive = await world.store(1, true);
    vi.setSystemTime(Date.now() + 89.5 * DAY_MS);
    expect(await world.start(archive, 30, 'run --archive')).toBe(true);
    await world.passDays(31, false);
    expect(world.s3.current(archive.key)).toBeNull();
    expect(await world.start(archive, 30, 'too late')).toBe(false);
  });

  it('stays while a run has used it lately, or a schedule in cdk.json names it', async () => {
    const world = new World();
    const [used, named, other] = [await world.store(1, true), await world.store(3, true), await world.store(5, true)];
    await world.passDays(80);
    world.schedule(named);
    expect(await world.start(used, 0, 'run --archive')).toBe(true);
    await world.passDays(80);
    expect([used, named, other].map(({ key }) => world.s3.current(key) !== null)).toEqual([true, true, false]);
    await world.passDays(60);
    expect([used, named].map(({ key }) => world.s3.current(key) !== null)).toEqual([false, true]);
  });

  it('is a new one when it is pushed again long after', async () => {
    const world = new World();
    const first = await world.store(1, false);
    await world.passDays(80);
    const again = await world.store(1, false);
    expect(again.key).not.toBe(first.key);
    await world.passDays(50);
    expect(await world.start(again, 0, 'run --archive')).toBe(true);
  });
});

describe('an archive of a push', () => {
  it('is marked after 90 days without a use, keeps its other tags, and is unmarked when a schedule names it', async () => {
    const world = new World();
    const archive = await world.store(1, false);
    const tags = () => world.s3.current(archive.key)?.tags;
    world.s3.current(archive.key)?.tags.push({ Key: 'team', Value: 'a' });
    vi.setSystemTime(Date.now() + 89 * DAY_MS);
    expect(await world.sweep()).toEqual({ archives: 1, marked: 0, kept: 0 });
    vi.setSystemTime(Date.now() + DAY_MS);
    expect(await world.sweep()).toEqual({ archives: 1, marked: 1, kept: 0 });
    expect(tags()).toEqual([
      { Key: 'team', Value: 'a' },
      { Key: 'runctl-expires', Value: 'yes' },
    ]);
    expect(await world.sweep()).toEqual({ archives: 1, marked: 0, kept: 0 });
    world.schedule({ ...archive, versionId: null });
    expect(await world.sweep()).toEqual({ archives: 1, marked: 0, kept: 1 });
    expect(tags()).toEqual([{ Key: 'team', Value: 'a' }]);
  });

  it('is found in an input that somebody wrote by hand', async () => {
    const world = new World();
    const archive = await world.store(1, false);
    vi.setSystemTime(Date.now() + 100 * DAY_MS);
    const sweep = (input: string) =>
      createExpireArchives({
        store: expiryStoreOver(world.s3.client, 'mine'),
        schedules: () => Promise.resolve([input]),
        uploadBucket: 'mine',
        now: Date.now,
      })();
    expect(await sweep(`start "${archiveUri(archive)}" now`)).toMatchObject({ marked: 0 });
    expect(await sweep(JSON.stringify({ a: [{ b: archiveUri(archive) }] }))).toMatchObject({ marked: 0 });
    expect(await sweep(JSON.stringify({ archive: `s3://other/${archive.key}` }))).toMatchObject({ marked: 1 });
  });

  it('is unmarked at once when it came into use while it was marked', async () => {
    const world = new World();
    const archive = await world.store(1, false);
    vi.setSystemTime(Date.now() + 100 * DAY_MS);
    let asked = 0;
    const sweep = createExpireArchives({
      store: expiryStoreOver(world.s3.client, 'mine'),
      schedules: () => Promise.resolve(asked++ === 0 ? [] : [JSON.stringify({ archive: archiveUri(archive) })]),
      uploadBucket: 'mine',
      now: Date.now,
    });
    expect(await sweep()).toEqual({ archives: 1, marked: 1, kept: 1 });
    expect(world.s3.current(archive.key)?.tags).toEqual([]);
  });

  it.each(['schedules', 'bucket'])('is not marked when the %s cannot be read', async (what) => {
    const world = new World();
    const archive = await world.store(1, false);
    vi.setSystemTime(Date.now() + 100 * DAY_MS);
    const store = expiryStoreOver(world.s3.client, 'mine');
    const list = (prefix: string) =>
      what === 'bucket' && prefix === 'used/' ? Promise.reject(new Error('throttled')) : store.list(prefix);
    const sweep = createExpireArchives({
      store: { ...store, list },
      schedules: () => (what === 'schedules' ? Promise.reject(new Error('denied')) : Promise.resolve([])),
      uploadBucket: 'mine',
      now: Date.now,
    });
    await expect(sweep()).rejects.toThrow();
    expect(world.s3.current(archive.key)?.tags).toEqual([]);
  });
});
