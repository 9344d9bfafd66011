import { describe, expect, it } from 'vitest';
import { activityOf } from '../../../cli/runs/activity.ts';
import { endedStep, jobStep } from '../../support/fakes/samples.ts';

const activity = (state: string | null, sync: object | null = null) =>
  activityOf(
    { lastState: async () => state, lastOutput: async () => (sync === null ? null : JSON.stringify(sync)) },
    'arn',
  );
const holder = { run: 'digits-0', arn: 'a', since: 0 };
const queue = { place: 2, length: 3, since: 0, ahead: [] };
const busy = jobStep('sync', { state: 'busy', holder, queue });

describe('what a run does', () => {
  it('is one steady line in the queue, whichever of its two states it is in', async () => {
    const waiting = /^queued: position 2 of 3; run digits-0 has had the instance since \d{4}-/;
    expect(await activity('Wait for instance', busy)).toMatch(waiting);
    expect(await activity('Sync code', busy)).toBe(await activity('Wait for instance', busy));
    expect(await activity('Wait for instance', { ...busy, holder: null })).toContain('other runs come first');
  });

  it('is one steady line while its instance starts', async () => {
    const waiting = { starting: { message: 'i-1 starts; its SSM agent is not online yet.' } };
    for (const state of ['Find instance', 'Instance ready?', 'Wait for instance to start'])
      expect(await activity(state, waiting)).toBe('starting-instance: i-1 starts; its SSM agent is not online yet.');
    expect(await activity('Find instance')).toBe('finding-instance');
    expect(await activity('Find instance', { id: 'i-1' })).toBe('finding-instance');
  });

  it('is its word otherwise', async () => {
    expect(await activity(null)).toBe('starting');
    expect(await activity('Sync code')).toBe('syncing');
    expect(await activity('Sync code', endedStep('sync', 0))).toBe('syncing');
    expect(await activity('Watch training', busy)).toBe('training');
  });
});
