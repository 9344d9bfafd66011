import { readdirSync, readFileSync } from 'node:fs';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compileMetrics } from '../../../../core/metrics/custom.ts';
import { type LatestMetrics, NO_METRICS, updateLatest } from '../../../../core/metrics/latest.ts';
import { MetricsParser } from '../../../../core/metrics/parser.ts';

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

const FIXTURES = new URL('../../../fixtures/metrics/', import.meta.url);
const fixtures = ['', 'documented/'].flatMap((folder) =>
  readdirSync(new URL(folder, FIXTURES))
    .filter((name) => name.endsWith('.txt'))
    .map((name): [string, string] => [name, readFileSync(new URL(folder + name, FIXTURES), 'utf8')]),
);
const custom = compileMetrics([{ name: 'mine', regex: 'loss[=:] ?([0-9.e-]+)' }]);

/** As the snapshot has it. */
const stored = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T;

function inOneGo(text: string) {
  const parser = new MetricsParser({ custom });
  const points = [...parser.push(Buffer.from(text)), ...parser.end()];
  const latest = new Map(points.map(({ name, step, value, gap }) => [name, [name, step, value ?? gap]]));
  return stored([...latest.values()]);
}

/** @param polls the lines that each has */
function inPolls(polls: readonly (readonly string[])[]) {
  let latest = NO_METRICS;
  for (const lines of polls) latest = stored(updateLatest(latest, lines, inTime, custom));
  return valuesOf(latest);
}

const linesOf = (text: string) => text.match(/[^\n]*\n|[^\n]+$/g) ?? [];

describe('the latest values of a log that came in many polls', () => {
  it.each(fixtures)('are those of the log in one go, cut behind every line: %s', (_, text) => {
    const lines = linesOf(text.endsWith('\n') ? text : `${text}\n`);
    expect(inPolls(lines.map((line) => [line]))).toEqual(inOneGo(text));
    expect(inPolls([lines])).toEqual(inOneGo(text));
  });

  const line = fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom(...fixtures.flatMap(([, text]) => linesOf(text))) },
    fc.constantFrom(
      ...['Epoch 3/5\n', 'Epoch 0\n', 'epoch 4 step 20 loss=2\n', 'epoch 5 step 10 loss=1\n', 'loss: 0.25\n'],
      ...[
        'val loss 0.5\n',
        'step,loss\n',
        '7,0.25\n',
        '3,0.5\n',
        '{"loss": 0.5}\n',
        'Loss: 3, mine: 4\n',
        '-----------\n',
      ],
      ...['| time/iterations | 4 |\n', '| loss | nan |\n', '7/7 - 1s - loss: 0.5\r', '{"__proto__": 1, "loss": 2}\n'],
    ),
  );
  it('are those of the log in one go, whatever lines follow each other, and however many come in a poll', async () => {
    await fc.assert(
      fc.property(fc.array(fc.array(line, { maxLength: 4 }), { maxLength: 25 }), (polls) => {
        const whole = polls.map((lines) => lines.map((one) => (/[\r\n]$/.test(one) ? one : `${one}\n`)));
        expect(inPolls(whole)).toEqual(inOneGo(whole.flat().join('')));
      }),
      { numRuns: 1_000 },
    );
  });

  it('are none of an evaluation behind a bar that the poll before has left open', () => {
    const polls = ['Epoch 1/2\n', '2/2 - 1s - loss: 0.5\r', '\n', '2/2 - 1s - loss: 0.9\n'];
    expect(inPolls(polls.map((text) => [text]))).toContainEqual(['loss', 1, 0.5]);
    expect(inPolls([polls])).toEqual(inOneGo(polls.join('')));
  });

  it('are none of a row that goes back, or far behind its table, wherever the polls are', () => {
    const back = ['step,loss\n', '7,0.25\n', '3,0.5\n'];
    expect(inPolls(back.map((text) => [text]))).toEqual([['loss', 7, 0.25]]);
    const others = Array.from({ length: 60 }, () => 'other 1\n');
    expect(inPolls([['step,loss\n', ...others], others, ['7,0.25\n']])).toEqual([]);
    expect(inPolls([['step,loss\n'], others, ['7,0.25\n']])).toEqual([['loss', 7, 0.25]]);
  });

  it('are of 64 metrics at most, in all polls together', () => {
    const polls = Array.from({ length: 4 }, (_, poll) => [
      `step=${poll} ${Array.from({ length: 30 }, (_, index) => `n${poll * 30 + index}=1`).join(' ')}\n`,
    ]);
    expect(inPolls(polls)).toEqual(inOneGo(polls.flat().join('')));
    expect(inPolls(polls)).toHaveLength(64);
  });

  it('have a step that is reported in a poll before', () => {
    const polls = ['Epoch 7/9\n', 'step loss\n', 'Validation Loss: 0.25\n', 'val acc: 0.5\n'];
    expect(inPolls(polls.map((text) => [text]))).toEqual([
      ['Validation Loss', 7, 0.25],
      ['val acc', 7, 0.5],
    ]);
  });

  it('need a bounded state, whatever the log has', () => {
    const name = (index: number) => `loss_${index}_`.padEnd(64, 'x');
    const counted = Array.from({ length: 2_000 }, (_, index) => `epoch ${index} step 3 ${name(index)}=1\n`);
    const records = Array.from({ length: 2_000 }, (_, index) => `{"${name(index)}": 1}\n`);
    const table = `step,${Array.from({ length: 60 }, (_, index) => name(index)).join(',')}\n`;
    const box = Array.from({ length: 190 }, (_, index) => `| ${name(index)} | 0.${index} |\n`);
    const losses = `Epoch GPU_mem ${Array.from({ length: 50 }, (_, index) => name(index)).join(' ')} Instances Size\n`;
    const lines = [...counted, ...records, losses, table, '-----------\n', ...box];
    const latest = updateLatest(NO_METRICS, lines, inTime);
    expect(latest.values).toHaveLength(64);
    expect(JSON.stringify(latest.state).length).toBeLessThan(24_000);
    expect(JSON.stringify(latest.values).length).toBeLessThan(10_000);
    expect(latest.state?.progress).toHaveLength(64);
    expect(latest.state).not.toHaveProperty('box');
  });

  it('go on from a snapshot of an older version', () => {
    const old = { values: [{ name: 'loss', step: 1, value: 2 }], epoch: 7, isMidLine: false };
    expect(valuesOf(update(old, 'Loss: 0.5\n'))).toEqual([
      ['loss', 1, 2],
      ['Loss', 7, 0.5],
    ]);
  });
});
