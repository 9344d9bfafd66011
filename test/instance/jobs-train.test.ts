import { describe, expect, it } from 'vitest';
import { logBytes, startRequest, useInstances } from './harness.ts';

const instance = useInstances();

describe('training', () => {
  it('starts at once, answers with its PID, and ends with its exit code and last lines', async () => {
    const box = instance();
    box.write('train.py', 'import sys, time\nprint("epoch 1")\ntime.sleep(1.5)\nprint("epoch 2")\nsys.exit(3)\n');
    const run = box.giveLease(box.run());
    const started = await box.send<{ state: string; pid: number }>(startRequest(box, run, { train: {} }));
    expect(started.code).toBe(0);
    expect(started.answer.state).toBe('running');
    expect(started.answer.pid).toBeGreaterThan(1);
    expect(started.millis).toBeLessThan(5_000);
    const ended = await box.ended(run, 'train');
    expect(ended).toMatchObject({
      state: 'exited',
      reason: null,
      pid: started.answer.pid,
      tail: ['epoch 1', 'epoch 2'],
    });
    expect(ended.exit).toMatchObject({ code: 3, signal: null, outOfMemory: false });
    expect(logBytes(ended)).toEqual(box.logOf(run, 'train'));
  });
});
