import { describe, expect, it } from 'vitest';
import { commitCheckpoints } from '../../../../core/checkpoints/commit.ts';
import { dataPrefix, latestKey, manifestKey, seqOfKey, seriesOf } from '../../../../core/checkpoints/keys.ts';
import { readCheckpointManifest, readLatest } from '../../../../core/checkpoints/manifest.ts';
import { drain, progressOf } from '../../../../core/checkpoints/progress.ts';
import type { KeeperReport, SentCheckpoint } from '../../../../core/protocol/answers.ts';
import type { CheckpointProgress } from '../../../../core/workflow/data.ts';
import { MemoryCheckpointStore, md5 } from '../../../support/fakes/checkpoint-store.ts';
import { jobStep, run, spec, watchInput } from '../../../support/fakes/samples.ts';

const PREFIX = dataPrefix(spec.project, run.id);
const LATEST = latestKey(spec.project, run.id);
const FAR = { now: () => 1_795_000_000_000, until: Number.POSITIVE_INFINITY };

/** Puts a checkpoint where an instance does, and returns what the instance reports of it. */
function sent(store: MemoryCheckpointStore, seq: number, name = `checkpoints/epoch-${seq}.pt`): SentCheckpoint {
  const text = `content of ${name}`;
  const file = { path: name, bytes: text.length, parts: [{ key: 'data/a', bytes: text.length, etag: md5(text) }] };
  const list = JSON.stringify({ seq, name, files: [file] });
  store.put(`${PREFIX}${seq}/data/a`, text);
  store.put(`${PREFIX}${seq}/files.json`, list);
  const listing = { key: 'files.json', bytes: list.length, etag: md5(list) };
  const facts = { format: 'torch', marked: false, bytes: text.length, files: 1, modified: 1.795e18, seconds: 1 };
  return { seq, name, ...facts, completeSince: 1_795_000_000, listing };
}

const report = (units: SentCheckpoint[], fields: Partial<KeeperReport> = {}): KeeperReport => ({
  state: 'watching',
  units,
  uploading: null,
  warnings: [],
  notice: null,
  ...fields,
});
const inputWith = (checkpoints?: CheckpointProgress, keep = 3) => ({
  ...watchInput(jobStep('train', checkpoints ? { checkpoints } : {})),
  spec: { ...spec, checkpoints: { path: null, keep, every: 0 } },
});
const commit = (store: MemoryCheckpointStore, units: SentCheckpoint[], before?: CheckpointProgress, keep?: number) =>
  commitCheckpoints(store, inputWith(before, keep), report(units), FAR);
const manifests = (store: MemoryCheckpointStore) =>
  [...store.objects.keys()].flatMap((key) => seqOfKey(key) ?? []).sort((a, b) => a - b);

describe('a checkpoint that the instance has sent', () => {
  it('is committed with the versions in the bucket, and latest.json names it', async () => {
    const store = new MemoryCheckpointStore();
    const progress = await commit(store, [sent(store, 1)]);
    expect(progress).toMatchObject({ committed: 1, latest: { seq: 1, name: 'checkpoints/epoch-1.pt' }, warnings: [] });
    const manifest = readCheckpointManifest(store.objects.get(manifestKey(spec.project, run.id, 1))?.text ?? '');
    expect(manifest?.files).toEqual([
      {
        path: 'checkpoints/epoch-1.pt',
        bytes: 33,
        parts: [
          { key: `${PREFIX}1/data/a`, versionId: 'v1', bytes: 33, etag: md5('content of checkpoints/epoch-1.pt') },
        ],
      },
    ]);
    expect(readLatest(store.objects.get(LATEST)?.text ?? '')).toMatchObject({ seq: 1, run: run.id });
  });

  it('is remembered with the time since the one of its series before, also when that is not kept', async () => {
    const store = new MemoryCheckpointStore();
    const savedAt = (unit: SentCheckpoint, seconds: number) => ({ ...unit, modified: (1_795_000_000 + seconds) * 1e9 });
    const units = [
      savedAt(sent(store, 1), 0),
      savedAt(sent(store, 2, 'checkpoints/best.pt'), 590),
      savedAt(sent(store, 3), 600),
    ];
    const progress = await commit(store, units, undefined, 1);
    expect(progress.kept).toEqual([
      { seq: 2, series: 'checkpoints/best.pt', savedAt: 1_795_000_590 },
      { seq: 3, series: 'checkpoints/epoch-#.pt', savedAt: 1_795_000_600, interval: 600 },
    ]);
  });

  it.each<[string, (store: MemoryCheckpointStore) => void]>([
    ['is missing', (store) => void store.objects.delete(`${PREFIX}1/data/a`)],
    ['has another content', (store) => store.put(`${PREFIX}1/data/a`, 'content of checkpoints/epoch-X.pt')],
    ['has another size', (store) => store.put(`${PREFIX}1/data/a`, 'short')],
    ['has another list', (store) => store.put(`${PREFIX}1/files.json`, '{}')],
    ['has no list', (store) => void store.objects.delete(`${PREFIX}1/files.json`)],
  ])('is not committed when a file of it %s, and is not tried for ever', async (_, change) => {
    const store = new MemoryCheckpointStore();
    const unit = sent(store, 1);
    change(store);
    const progress = await commit(store, [unit]);
    expect(progress).toMatchObject({ committed: 1, latest: null });
    expect(progress.warnings).toEqual([expect.stringContaining('was not committed')]);
    expect(manifests(store)).toEqual([]);
  });

  it('is not committed when its parts are not the whole file', async () => {
    const store = new MemoryCheckpointStore();
    const unit = sent(store, 1);
    const list = store.objects.get(`${PREFIX}1/files.json`)?.text.replace('"bytes":33,"parts"', '"bytes":34,"parts"');
    store.put(`${PREFIX}1/files.json`, list ?? '');
    const listing = { ...unit.listing, etag: md5(list ?? '') };
    expect((await commit(store, [{ ...unit, listing }])).warnings).toHaveLength(1);
  });

  it('is committed once, wherever the function died before', async () => {
    const whole = new MemoryCheckpointStore();
    let calls = 0;
    whole.before = () => {
      calls += 1;
    };
    await commit(whole, [sent(whole, 1), sent(whole, 2)]);
    for (let dies = 1; dies <= calls; dies += 1) {
      const store = new MemoryCheckpointStore();
      const units = [sent(store, 1), sent(store, 2)];
      let call = 0;
      store.before = () => {
        call += 1;
        if (call === dies) throw new Error('the function was killed');
      };
      await expect(commit(store, units)).rejects.toThrow('killed');
      const progress = await commit(store, units);
      expect(progress).toMatchObject({ committed: 2, latest: { seq: 2 }, warnings: [] });
      expect(manifests(store)).toEqual([1, 2]);
      const named = store.latest.map((text) => readLatest(text)?.seq ?? 0);
      expect(named).toEqual([...named].sort((a, b) => a - b));
      expect(named.at(-1)).toBe(2);
    }
  });

  it('never lets latest.json name an older one', async () => {
    const store = new MemoryCheckpointStore();
    await commit(store, [sent(store, 5)]);
    await commit(store, [sent(store, 4)]);
    expect(readLatest(store.objects.get(LATEST)?.text ?? '')?.seq).toBe(5);
  });

  it('waits for the next poll when the time is up', async () => {
    const store = new MemoryCheckpointStore();
    const late = { now: () => 2, until: 1 };
    expect(await commitCheckpoints(store, inputWith(), report([sent(store, 1)]), late)).toMatchObject({ committed: 0 });
  });
});

describe('retention', () => {
  it('keeps so many of each series, and removes data and manifest of the others', async () => {
    const store = new MemoryCheckpointStore();
    let progress: CheckpointProgress | undefined;
    for (const seq of [1, 2, 3, 4, 5]) {
      const units = [sent(store, seq * 2), sent(store, seq * 2 + 1, 'checkpoints/best.pt')];
      progress = await commit(store, units, progress, 2);
    }
    expect(manifests(store)).toEqual([8, 9, 10, 11]);
    expect([...store.objects.keys()].filter((key) => key.endsWith('/data/a'))).toHaveLength(4);
    expect(progress?.kept.map(({ seq }) => seq)).toEqual([8, 9, 10, 11]);
  });
});

describe('the end of a training', () => {
  const done = report([], { state: 'done' });

  it('waits until its last checkpoints are committed, for 75 s at most', () => {
    const progress = progressOf(inputWith());
    const first = drain(progress, report([], { state: 'draining' }), 100);
    expect(first.isOver).toBe(false);
    expect(drain(first.progress, report([], { state: 'draining' }), 175).isOver).toBe(false);
    expect(drain(first.progress, report([], { state: 'draining' }), 176).isOver).toBe(true);
    expect(drain(progress, done, 100).isOver).toBe(true);
    const store = new MemoryCheckpointStore();
    expect(drain(progress, report([sent(store, 1)], { state: 'done' }), 100).isOver).toBe(false);
  });
});

describe('the series of a checkpoint', () => {
  it.each([
    ['a/epoch=1-step=10.ckpt', 'a/epoch=22-step=220.ckpt', true],
    ['best.pt', 'last.pt', false],
    ['x-0.1.pt', 'x-12.34.pt', true],
  ])('%s and %s', (one, other, same) => {
    expect(seriesOf(one) === seriesOf(other)).toBe(same);
  });
});
