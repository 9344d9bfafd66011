import { describe, expect, it } from 'vitest';
import type { KeeperReport } from '../../../core/protocol/answers.ts';
import { createPoll } from '../../../lambdas/poll-logs.ts';
import { MemoryCheckpointStore } from '../../support/fakes/checkpoint-store.ts';
import { FakeCommands, fakePorts } from '../../support/fakes/ports.ts';
import { exit, jobStatus, jobStep, run, spec, watchInput } from '../../support/fakes/samples.ts';

const NOW = 1_795_000_010_000;
const report = (state: KeeperReport['state']): KeeperReport => {
  return { state, units: [], uploading: null, warnings: [], notice: null };
};

async function poll(
  answer: object,
  {
    store = new MemoryCheckpointStore(),
    step = jobStep('train'),
    keep = 3,
    now = NOW,
  }: { store?: MemoryCheckpointStore; step?: ReturnType<typeof jobStep>; keep?: number; now?: number } = {},
) {
  const commands = new FakeCommands(answer);
  const input = { ...watchInput(step), spec: { ...spec, checkpoints: { path: null, keep, every: 0 } } };
  const errors: Error[] = [];
  const onCheckpointError = (error: Error) => void errors.push(error);
  const ports = { ...fakePorts(commands, undefined, now), checkpoints: store, onCheckpointError };
  return { snapshot: await createPoll(ports)(input), request: commands.asked[0]?.request, errors };
}

describe('a poll of a training', () => {
  it("brings the right to send below the run's own prefix, and what is committed", async () => {
    const { request, snapshot } = await poll(jobStatus('train', '', { checkpoints: report('watching') }));
    expect(request).toMatchObject({
      checkpoints: { prefix: `checkpoint-data/${spec.project}/${run.id}/`, committed: 0, wholeBytes: 128 * 2 ** 20 },
    });
    expect(snapshot.checkpoints).toMatchObject({ committed: 0, latest: null });
  });

  it('brings none when the run wants none, and none for another job', async () => {
    expect((await poll(jobStatus('train', ''), { keep: 0 })).request).not.toHaveProperty('checkpoints');
    const install = await poll(jobStatus('install', ''), { step: jobStep('install') });
    expect(install.request).not.toHaveProperty('checkpoints');
  });

  it('goes on when there is no right to give, and when nothing can be committed', async () => {
    const store = new MemoryCheckpointStore();
    store.grant = () => Promise.reject(new Error('no credentials'));
    const without = await poll(jobStatus('train', ''), { store });
    expect(without.request).not.toHaveProperty('checkpoints');
    expect(without.errors).toHaveLength(1);
    const down = new MemoryCheckpointStore();
    down.before = () => {
      throw new Error('S3 is down');
    };
    const listing = { key: 'files.json', bytes: 1, etag: '0'.repeat(32) };
    const unit = { seq: 1, name: 'a', format: 'zip', marked: false, bytes: 1, files: 1, modified: 1, seconds: 1 };
    const units = [{ ...unit, completeSince: 1, listing }];
    const sent = jobStatus('train', 'x\n', { checkpoints: { ...report('watching'), units } });
    const { snapshot, errors } = await poll(sent, { store: down });
    expect(snapshot).toMatchObject({ state: 'running', cursor: { offset: 2 }, checkpoints: { committed: 0 } });
    expect(errors).toHaveLength(1);
  });
});

describe('a training that has ended', () => {
  const ended = (state: KeeperReport['state']) =>
    jobStatus('train', '', { state: 'exited', exit: exit(), tail: [], checkpoints: report(state) });

  it('has not ended for the run while its last checkpoints are sent, for 75 s at most', async () => {
    const first = (await poll(ended('draining'))).snapshot;
    expect(first).toMatchObject({ ended: false, ok: true, wait: 3, checkpoints: { drainingSince: NOW / 1_000 } });
    const late = await poll(ended('draining'), { step: first, now: NOW + 76_000 });
    expect(late.snapshot).toMatchObject({ ended: true, ok: true });
    expect((await poll(ended('done'), { step: first })).snapshot).toMatchObject({ ended: true, ok: true });
  });

  it('has ended at once without a keeper', async () => {
    const status = jobStatus('train', '', { state: 'exited', exit: exit(), tail: [] });
    expect((await poll(status)).snapshot).toMatchObject({ ended: true, ok: true });
  });
});
