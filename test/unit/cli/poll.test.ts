import { setTimeout } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { pollUntil } from '../../../cli/terminal/poll.ts';

const never = new AbortController().signal;

it('a poll returns the first value, also null, and keeps its rate however long a step takes', async () => {
  const began: number[] = [];
  const answers = [undefined, undefined, null];
  const step = async () => {
    began.push(performance.now());
    await setTimeout(400);
    return answers.shift();
  };
  expect(await pollUntil(500, step, never)).toBeNull();
  expect(began).toHaveLength(3);
  expect((began[2] as number) - (began[0] as number)).toBeGreaterThan(990);
  // Without the time of the steps themselves: 2 × 900 ms.
  expect((began[2] as number) - (began[0] as number)).toBeLessThan(1_750);
});

it('a poll ends with the signal while it waits, and with an error of a step', async () => {
  const controller = new AbortController();
  const waiting = pollUntil(10_000, async () => undefined, controller.signal);
  controller.abort();
  await expect(waiting).rejects.toThrow(/abort/i);
  await expect(pollUntil(1, () => Promise.reject(new Error('broken')), never)).rejects.toThrow('broken');
});
