import { beforeEach, expect, it } from 'vitest';
import { findResume } from '../../../../core/checkpoints/find-resume.ts';
import { latestKey, lineageKey, manifestKey } from '../../../../core/checkpoints/keys.ts';
import { settleResume } from '../../../../core/checkpoints/resume.ts';
import type { Run } from '../../../../core/workflow/data.ts';
import { MemoryCheckpointStore, md5 } from '../../../support/fakes/checkpoint-store.ts';
import { run as sample } from '../../../support/fakes/samples.ts';

let store: MemoryCheckpointStore;
beforeEach(() => {
  store = new MemoryCheckpointStore();
});

/** What Poll logs leaves of a checkpoint. */
function commit(lineage: string, run: string, seq: number): void {
  const part = `checkpoint-data/demo/${run}/${seq}/data/a.pt`;
  const text = `${run} ${seq}`;
  store.put(part, text);
  const parts = [{ key: part, versionId: null, bytes: text.length, etag: md5(text) }];
  const manifest = {
    version: 1,
    project: 'demo',
    lineage,
    seq,
    run: { id: run, startedAt: '2026-11-24T10:00:00.000Z' },
    name: `checkpoints/epoch-${seq}.pt`,
    format: 'torch-zip',
    marked: false,
    bytes: text.length,
    modified: '2026-11-24T11:00:00.000Z',
    committedAt: '2026-11-24T11:00:10.000Z',
    files: [{ path: `checkpoints/epoch-${seq}.pt`, bytes: text.length, parts }],
  };
  store.put(manifestKey('demo', lineage, seq), JSON.stringify(manifest));
  store.put(latestKey('demo', lineage), '{}');
}

/** A run that goes on from another one, as Verify archive lets it begin. */
async function begin(id: string, from: string): Promise<Run & { resume: NonNullable<Run['resume']> }> {
  const resume = await findResume(store, 'demo', from);
  if (resume === null) throw new Error('there is nothing to go on from');
  return { ...sample, id, resume };
}

it('a run goes on from the newest checkpoint of the run that it names, with numbers of its own', async () => {
  commit('a', 'a', 1);
  commit('a', 'a', 2);
  const { plan, manifest } = await settleResume(store, await begin('b', 'a'), 'demo');
  expect(plan).toMatchObject({ lineage: 'a', firstSeq: 10_001, checkpoint: { seq: 2, run: 'a' } });
  expect(plan.kept).toEqual([
    { seq: 2, series: 'checkpoints/epoch-#.pt' },
    { seq: 1, series: 'checkpoints/epoch-#.pt' },
  ]);
  expect(manifest?.files[0]?.path).toBe('checkpoints/epoch-2.pt');
});

it('settling it again gives the same, as a retry of the state needs it', async () => {
  commit('a', 'a', 1);
  const run = await begin('b', 'a');
  const first = await settleResume(store, run, 'demo');
  expect(await settleResume(store, run, 'demo')).toEqual(first);
});

it('two runs that go on from the same checkpoint, and two attempts, have different numbers', async () => {
  commit('a', 'a', 1);
  const [b, c] = [await begin('b', 'a'), await begin('c', 'a')];
  const plans = [await settleResume(store, b, 'demo'), await settleResume(store, c, 'demo')];
  plans.push(await settleResume(store, { ...b, attempt: 2 }, 'demo'));
  expect(plans.map(({ plan }) => plan.firstSeq)).toEqual([10_001, 20_001, 30_001]);
});

it('a run that continued another one is continued in the same lineage', async () => {
  commit('a', 'a', 1);
  await settleResume(store, await begin('b', 'a'), 'demo');
  commit('a', 'b', 10_001);
  const { plan } = await settleResume(store, await begin('d', 'b'), 'demo');
  expect(plan).toMatchObject({ lineage: 'a', firstSeq: 20_001, checkpoint: { seq: 10_001, run: 'b' } });
  expect(store.objects.has(lineageKey('demo', 'd'))).toBe(true);
});

it('a run that saved nothing is continued from what it went on from itself, not from what another one saved later', async () => {
  commit('a', 'a', 1);
  await settleResume(store, await begin('b', 'a'), 'demo');
  commit('a', 'c', 20_001);
  expect((await begin('d', 'b')).resume).toMatchObject({ checkpoint: { seq: 1, run: 'a' } });
});

it('a checkpoint that is not whole is passed over: gone, or another one', async () => {
  for (const seq of [1, 2, 3]) commit('a', 'a', seq);
  store.objects.delete('checkpoint-data/demo/a/3/data/a.pt');
  store.put('checkpoint-data/demo/a/2/data/a.pt', 'other');
  expect((await begin('b', 'a')).resume.checkpoint?.seq).toBe(1);
});

it('one that is removed while the run waits for its instance is replaced by the one before', async () => {
  commit('a', 'a', 1);
  commit('a', 'a', 2);
  const run = await begin('b', 'a');
  store.objects.delete('checkpoint-data/demo/a/2/data/a.pt');
  expect((await settleResume(store, run, 'demo')).plan.checkpoint?.seq).toBe(1);
  store.objects.delete('checkpoint-data/demo/a/1/data/a.pt');
  expect((await settleResume(store, run, 'demo')).manifest).toBeNull();
});

it('latest is the run of the project that saved last; without any there is nothing', async () => {
  expect(await findResume(store, 'demo', 'latest')).toBeNull();
  commit('b', 'b', 1);
  commit('a', 'a', 1);
  expect(await findResume(store, 'demo', 'latest')).toMatchObject({ lineage: 'a' });
  expect(await findResume(store, 'other', 'latest')).toBeNull();
});

it.each(['no-such-run', 'a'])('run %s without a checkpoint is refused by name', async (from) => {
  await expect(findResume(store, 'demo', from)).rejects.toMatchObject({ name: 'CheckpointNotFound' });
});
