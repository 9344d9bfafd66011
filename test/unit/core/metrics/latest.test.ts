import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type LatestMetrics, NO_METRICS, updateLatest } from '../../../../core/metrics/latest.ts';

const inTime = () => false;
const update = (before: LatestMetrics, ...messages: string[]) => updateLatest(before, messages, inTime);
const valuesOf = ({ values }: LatestMetrics) => values.map(({ name, step, value, gap }) => [name, step, value ?? gap]);

describe('the latest values', () => {
  it('are kept from poll to poll, and replaced', () => {
    const first = update(NO_METRICS, 'step=1 loss=3\n', 'step=1 acc=0.5\n');
    expect(valuesOf(update(first, 'step=2 loss=nan\n'))).toEqual([
      ['loss', 2, 'nan'],
      ['acc', 1, 0.5],
    ]);
  });

  it('never come from half a line', () => {
    const first = update(NO_METRICS, 'step=1 loss=0.5\n', 'step=2 loss=0.2');
    expect(valuesOf(first)).toEqual([['loss', 1, 0.5]]);
    expect(valuesOf(update(first, '5 step=9 loss=7\n', 'step=3 loss=0.1\n'))).toEqual([['loss', 3, 0.1]]);
    expect(valuesOf(update(first, '5 step=9', ' loss=7\n', 'step=3 acc=0.1\n'))).toEqual([
      ['loss', 1, 0.5],
      ['acc', 3, 0.1],
    ]);
  });

  it('know the epoch that began in a poll before', () => {
    const first = update(NO_METRICS, 'Epoch 7/9\n');
    expect(valuesOf(update(first, '2/2 - 1s - 5ms/step - loss: 0.25\n'))).toEqual([['loss', 7, 0.25]]);
  });

  it('of a huge piece are those at its end', () => {
    const lines = Array.from({ length: 100_000 }, (_, step) => `step=${step} loss=${step}\n`);
    expect(valuesOf(update(NO_METRICS, ...lines))).toEqual([['loss', 99_999, 99_999]]);
  });

  it('stop when the time is over, and go on with the next piece', () => {
    const answers = [false, true];
    const first = updateLatest(
      NO_METRICS,
      ['step=1 loss=1\n', 'step=2 loss=2\n', 'step=3 loss'],
      () => answers.shift() ?? true,
    );
    expect(valuesOf(first)).toEqual([['loss', 1, 1]]);
    expect(valuesOf(update(first, '=3\n', 'step=4 loss=4\n'))).toEqual([['loss', 4, 4]]);
  });

  it('are of lines that the log has, however it is cut', async () => {
    const text = Array.from({ length: 30 }, (_, step) => `step=${step} loss=${step * 111}\r\n`).join('');
    const cuts = fc.array(fc.integer({ min: 0, max: text.length }), { maxLength: 12 });
    await fc.assert(
      fc.property(cuts, (some) => {
        let latest = NO_METRICS;
        let from = 0;
        for (const cut of [...some.sort((a, b) => a - b), text.length]) {
          latest = update(latest, ...(cut > from ? [text.slice(from, cut)] : []));
          from = cut;
          for (const { step, value } of latest.values) expect(value).toBe(step * 111);
        }
      }),
    );
  });
});
