import { describe, expect, it } from 'vitest';
import { RunError } from '../../../core/errors.ts';
import { beginCleanUp, cleanUp } from '../../../core/outcome/clean-up.ts';
import type { KeeperReport } from '../../../core/protocol/answers.ts';
import { MemoryCheckpointStore } from '../../support/fakes/checkpoint-store.ts';
import { FakeCommands, fakeCleanUpPorts } from '../../support/fakes/ports.ts';
import {
  archive,
  endedStep,
  exit,
  firstTry,
  instance,
  jobStatus,
  jobStep,
  run,
  spec,
} from '../../support/fakes/samples.ts';

const NOW_MS = Date.parse(firstTry.enteredAt);
const report = (state: KeeperReport['state']): KeeperReport => ({
  state,
  units: [],
  uploading: null,
  warnings: [],
  notice: null,
});
const answer = (fields: object) => ({ protocol: 1, ok: true, ...fields });
const running = jobStatus('train', 'late\n', { checkpoints: report('watching') });
const ended = (state: KeeperReport['state']) =>
  jobStatus('train', '', { state: 'stopped', reason: 'stop', exit: exit({ code: 143 }), checkpoints: report(state) });
const collected = answer({ state: 'collected', jobs: {}, files: [], warnings: [] });
const released = answer({ released: true, jobs: {} });

/** A run that was stopped, from the phase `save` on, one call of the clean-up. */
async function save(
  answers: (object | Error)[],
  { keep = 3, since = NOW_MS / 1_000, train = jobStep('train') as ReturnType<typeof jobStep> | null } = {},
) {
  const commands = new FakeCommands(...answers);
  const ports = {
    ...fakeCleanUpPorts(commands),
    checkpoints: new MemoryCheckpointStore(),
    onCheckpointError: (error: Error) => {
      throw error;
    },
  };
  const turn = await cleanUp(
    { ...ports, now: () => NOW_MS },
    {
      ...{ run, archive, instance, context: firstTry, grace: 30, maxSilent: 3 },
      spec: { ...spec, checkpoints: { path: null, keep, every: 0 } },
      steps: { sync: endedStep('sync', 0), install: null, restore: null, train },
      progress: { ...beginCleanUp(NOW_MS), phase: 'save', since },
      until: NOW_MS + 60_000,
    },
  );
  return { turn, requests: commands.asked.map(({ request }) => request) };
}

describe('before a stopped run is cleaned up, its last checkpoints are saved', () => {
  it.each([
    ['still runs', running],
    ['has ended, and whose checkpoints are being sent', ended('draining')],
  ])('comes back in three seconds while a training %s', async (_, status) => {
    const { turn, requests } = await save([status]);
    expect(turn).toMatchObject({ wait: 3, progress: { phase: 'save' } });
    expect(requests).toMatchObject([{ verb: 'poll', maxBytes: 0, checkpoints: { committed: 0 } }]);
  });

  it('goes on when all are sent', async () => {
    const { turn, requests } = await save([ended('done'), collected, released]);
    expect(turn).toMatchObject({ wait: null, progress: { phase: 'done', warnings: [] } });
    expect(requests.map(({ verb }) => verb)).toEqual(['poll', 'collect', 'release']);
  });

  it.each([
    ['keeps no checkpoints', { keep: 0 }],
    ['never trained', { train: null }],
  ])('a run that %s does not wait', async (_, options) => {
    const { requests } = await save([collected, released], options);
    expect(requests.map(({ verb }) => verb)).toEqual(['collect', 'release']);
  });

  it('gives up after stopGrace and 90 s, without a warning: the training may have nothing to save', async () => {
    const { turn } = await save([running, collected, released], { since: NOW_MS / 1_000 - 121 });
    expect(turn).toMatchObject({ wait: null, progress: { warnings: [] } });
  });

  it('says so when the instance refuses', async () => {
    const { turn } = await save([new RunError('RunnerBroken', 'why'), collected, released]);
    expect(turn.progress.warnings).toEqual(['The last checkpoints were not saved: why']);
  });
});
