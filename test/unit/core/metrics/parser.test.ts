import { readdirSync, readFileSync } from 'node:fs';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compileMetrics, InvalidMetric } from '../../../../core/metrics/custom.ts';
import { MetricsParser, type ParserOptions } from '../../../../core/metrics/parser.ts';
import { isMetricName, MAX_SERIES, type Point } from '../../../../core/metrics/point.ts';

const FIXTURES = new URL('../../../fixtures/metrics/', import.meta.url);

function parse(text: string | Uint8Array, options: ParserOptions = {}, cuts: readonly number[] = []): Point[] {
  const bytes = Buffer.from(text as string);
  const parser = new MetricsParser(options);
  const points: Point[] = [];
  let from = 0;
  for (const cut of [...cuts, bytes.length]) {
    points.push(...parser.push(bytes.subarray(from, cut)));
    from = cut;
  }
  return [...points, ...parser.end()];
}

const valuesOf = (text: string, options?: ParserOptions) =>
  parse(text, options).map(({ name, step, value, gap }) => [name, step, value ?? gap]);

/** Lines like those of logs, and the pieces that the formats are made of in any order. */
const pieces = fc.constantFrom(
  ...[
    'epoch',
    'Epoch 3/5',
    'step',
    'loss',
    'val_loss',
    'acc',
    '=',
    ': ',
    ' ',
    ', ',
    '\t',
    ' - ',
    '|',
    '{',
    '}',
    '"',
    "'",
  ],
  ...[
    '[',
    ']',
    '(',
    ')',
    '/',
    '%',
    '1',
    '12',
    '0.5',
    '-3e-4',
    '1e308',
    '1e999',
    'nan',
    'NaN',
    'inf',
    '\r',
    '\n',
    '\r\n',
  ],
  ...[
    '\u001b[31m',
    '\u001b]0;x\u0007',
    '\0',
    '\b',
    '<script>',
    '7/7 \u2501\u2501 1s 2ms/step - ',
    '100%|\u2588| 2/2 [',
    'é',
    '😀',
  ],
  ...['[0]\t', "valid_0's auc", 'np.float64(', '__proto__', 'constructor'],
);
const logs = fc.oneof(
  fc.array(pieces, { maxLength: 120 }).map((parts) => parts.join('')),
  fc.string({ unit: 'binary', maxLength: 400 }),
  fc.constantFrom(
    ...readdirSync(FIXTURES)
      .filter((name) => name.endsWith('.txt'))
      .map((name) => readFileSync(new URL(name, FIXTURES), 'utf8')),
  ),
);

describe('the points of a log', () => {
  it('do not depend on how it is cut into chunks', async () => {
    const cut = logs.chain((text) => {
      const at = fc.integer({ min: 0, max: Buffer.byteLength(text) });
      return fc.tuple(fc.constant(text), fc.array(at, { maxLength: 8 }));
    });
    const options = { custom: compileMetrics([{ name: 'mine', regex: 'loss[=:] ?([0-9.e-]+)' }]) };
    await fc.assert(
      fc.property(cut, ([text, cuts]) => {
        const sorted = [...cuts].sort((a, b) => a - b);
        expect(parse(text, options, sorted)).toEqual(parse(text, options));
      }),
      { numRuns: 500 },
    );
  });

  it('keep to their form whatever the log has', async () => {
    await fc.assert(
      fc.property(logs, (text) => {
        const points = parse(text);
        for (const { name, step, value, gap, offset } of points) {
          expect(isMetricName(name)).toBe(true);
          expect(Number.isFinite(step)).toBe(true);
          expect(value === null ? gap : Number.isFinite(value)).toBeTruthy();
          expect(offset).toBeLessThan(Buffer.byteLength(text));
        }
        expect(new Set(points.map(({ name }) => name)).size).toBeLessThanOrEqual(MAX_SERIES);
      }),
      { numRuns: 500 },
    );
  });

  it('name the byte where their line begins, and the attempt', () => {
    const points = parse('é\nstep=1 loss=2\r\nstep=2 loss=1\n', { offset: 100, attempt: 2 });
    expect(points.map(({ offset, attempt }) => [offset, attempt])).toEqual([
      [103, 2],
      [118, 2],
    ]);
  });

  it('have a mark where the log has no finite number', () => {
    expect(valuesOf('step=1 loss=nan\nstep 2 loss=-inf\n{"step": 3, "loss": 1e999}\nstep=4 loss=1e308\n')).toEqual([
      ['loss', 1, 'nan'],
      ['loss', 2, '-inf'],
      ['loss', 3, 'inf'],
      ['loss', 4, 1e308],
    ]);
  });

  it('are read through colors, and never carry markup', () => {
    expect(valuesOf('\u001b[1mepoch=1\u001b[0m \u001b[32mloss=0.5\u001b[0m <b>acc</b>=0.9 <img src=x>=1\n')).toEqual([
      ['loss', 1, 0.5],
    ]);
  });

  it.each([
    ['listening on port 8080, pid: 12, threads=4'],
    ['{"level":30,"time":1732600000,"pid":12,"hostname":"a","msg":"step 3"}'],
    ['2026-11-26 16:00:01 Downloaded 12 of 13 files: 3, size=12'],
    ['loss: 0.5'],
    ["{'rows': 100, 'columns': 4}"],
    ['Step 3 of 7: Installing'],
    ['10%|█         | 1/10 [00:00<00:01,  9.91it/s]'],
    ['epoch 3 took 12.5s'],
  ])('are not invented: %s', (line) => {
    expect(valuesOf(`${line}\n`)).toEqual([]);
  });
});

describe('attacks', () => {
  const attack = (text: string, options?: ParserOptions) => {
    const began = process.cpuUsage();
    const parser = new MetricsParser(options);
    const points = [...parser.push(Buffer.from(text)), ...parser.end()];
    const { user, system } = process.cpuUsage(began);
    return { points, parser, ms: (user + system) / 1_000 };
  };

  it('skips a line of 10 MB and reads the next', () => {
    const { points, parser, ms } = attack(`step=1 ${'loss=0.5 '.repeat(1_200_000)}\nstep=2 loss=0.4\n`);
    expect(points).toHaveLength(1);
    expect(parser.skippedLines).toBe(1);
    expect(ms).toBeLessThan(2_000);
  });

  it('keeps 64 of a hundred thousand names', () => {
    const lines = Array.from({ length: 10_000 }, (_, line) => `step=${line} ${tenNames(line)}\n`).join('');
    const { points, parser } = attack(lines);
    expect(new Set(points.map(({ name }) => name)).size).toBe(MAX_SERIES);
    expect(parser.hasMoreSeries).toBe(true);
  });

  it.each([
    ['spaces', ' '.repeat(4_000)],
    ['names without an end', `epoch 1 ${'a '.repeat(2_000)}`],
    ['dots', `epoch 1 ${'a.'.repeat(2_000)}`],
    ['digits', `step=${'1'.repeat(4_000)}`],
    ['numbers', `epoch 1 loss=${'1.'.repeat(2_000)}`],
    ['equals', `epoch 1 ${'='.repeat(4_000)}1`],
    ['steps', 'step 1 '.repeat(580)],
    ['pairs', `epoch 1 ${'l=1 '.repeat(1_000)}`],
    ['braces', `${'{'.repeat(2_000)}1${'}'.repeat(2_000)}`],
    ['quotes', `{${`'a': `.repeat(800)}1}`],
    ['colons', `{${'"a":'.repeat(900)}1}`],
    ['tabs', `[1]${'\ta:'.repeat(1_300)}1`],
    ['escapes', `1${'\u001b['.repeat(2_000)}`],
    ['operating system commands', `1${'\u001b]'.repeat(2_000)}`],
    ['bars', `100%|${'\u2588 '.repeat(1_000)}`],
    ['a Keras bar', `7/7 ${'\u2501 '.repeat(1_000)}`],
    ['a Keras bar of words', `7/7 ${'- x/step '.repeat(400)}`],
    ['Rich', `Epoch 1/2 ${'\u2501 '.repeat(1_000)}1`],
    ['blanks', `step 1 ${' \t'.repeat(2_000)}x`],
    ['dashes', `epoch 1 ${'- '.repeat(2_000)}1`],
    ['fractions', `epoch 1 ${'[1/2 '.repeat(800)}`],
    ['parentheses', `{'a': ${'np.float64('.repeat(350)}1}`],
  ])('takes time in proportion to the text: %s', (_, line) => {
    attack(`${line}\n`);
    // Of CPU: 40 ms for a line of 4 KB is far from what a backtracking expression takes.
    expect(attack(`${line}\n`.repeat(100)).ms).toBeLessThan(4_000);
  });

  it('runs expressions of people without backtracking', () => {
    const metrics = [
      { name: 'x', regex: '(a+)+$' },
      { name: 'y', regex: '(?:a|aa|b.*)*c([0-9]+)' },
    ];
    expect(attack(`1 ${'a'.repeat(4_000)}!\n`.repeat(5), { custom: compileMetrics(metrics) }).ms).toBeLessThan(4_000);
  });
});

describe('attacks on the expressions of people', () => {
  const within = (regexes: readonly string[], text: string) => {
    const custom = compileMetrics(regexes.map((regex, index) => ({ name: `m${index}`, regex })));
    const parser = new MetricsParser({ custom });
    const began = process.cpuUsage();
    const points = [...parser.push(Buffer.from(text)), ...parser.end()];
    const { user, system } = process.cpuUsage(began);
    return { points, ms: (user + system) / 1_000 };
  };
  const line = 'ab'.repeat(2_000);

  it.each([
    ['nested repetitions', ['(a+)+$', '(?:(?:a|b)+)+(c)', '(a*)*(b*)*(c)']],
    ['a large automaton', ['(a|b)*a(a|b){400}']],
    ['many counted classes', ['(?i)(\\pL{400})\\d', '([^c]{500})c']],
    ['all forty', Array.from({ length: 40 }, () => '(?:a|ab|b)*?([0-9])$')],
    ['any character', Array.from({ length: 40 }, () => '.*.*.*([0-9])')],
  ])('take a second for a line of 4 KB at most: %s', (_, regexes) => {
    expect(within(regexes, `1 ${line}\n`.repeat(3)).ms).toBeLessThan(9_000);
  });

  it.each([
    ['(a{1000}){1000}(x)'],
    [`(${'a{1000}'.repeat(70)})`],
    ['((a{0,50}){0,50})'],
    [`(${'\\pL{1000}'.repeat(40)})`],
  ])('are not compiled when they are too large: %s', (regex) => {
    const began = performance.now();
    expect(() => compileMetrics([{ name: 'a', regex }])).toThrow(/makes the expressions too large|not one that RE2/);
    expect(performance.now() - began).toBeLessThan(10_000);
  });

  it('are too large together, whichever is too many', () => {
    const regexes = (count: number) => Array.from({ length: count }, () => ({ name: 'a', regex: '(x{400})' }));
    expect(() => compileMetrics(regexes(4))).not.toThrow();
    expect(() => compileMetrics(regexes(5))).toThrow(/too large/);
  });

  it('find no value in a line of 10 MB, in half a line, and in escape codes', () => {
    const text = `m0=${'1'.repeat(10_000_000)}\n\u001b]0;m0=7\u0007m0=\u001b[31m3\u001b[0m\u0000\nm0=nan\nm0=-inf\nm0=1e308\nm0=1e999\n`;
    const { points } = within(['m0=(\\S+)'], text);
    expect(points.map(({ step, value, gap }) => [step, value ?? gap])).toEqual([
      [1, 3],
      [2, 'nan'],
      [3, '-inf'],
      [4, 1e308],
      [5, 'inf'],
    ]);
  });

  it('give values only: a group with other text, or none, is not one', () => {
    const { points } = within(['m=(.*)', 'n=(\\d)?'], 'm=1; rm 1\nm=__proto__1\nm=0x10\nn= 1\nm=\u0661\n');
    expect(points).toEqual([]);
  });
});

it('counts steps of the metrics that are kept alone, however many names a log has', () => {
  const parser = new MetricsParser();
  for (let line = 0; line < 2_000; line += 1) {
    const names = Array.from({ length: 100 }, (_, index) => `n${line * 100 + index}=1`).join(' ');
    parser.push(Buffer.from(`epoch ${line} step 7 ${names}\n`));
  }
  expect(parser.state.progress).toHaveLength(MAX_SERIES);
  expect(JSON.stringify(parser.state).length).toBeLessThan(10_000);
});

function tenNames(line: number): string {
  return Array.from({ length: 10 }, (_, index) => `n${line * 10 + index}=1`).join(' ');
}

describe('metrics of people', () => {
  const metrics = [{ name: 'loss', regex: 'L2 \\(x\\) is ([0-9.]+)' }];

  it('take the first group, at the step of the line', () => {
    expect(valuesOf('step 4: L2 (x) is 0.25, acc=0.5\n', { custom: compileMetrics(metrics) })).toEqual([
      ['loss', 4, 0.25],
      ['acc', 4, 0.5],
    ]);
  });

  it('count their values where the log has no step', () => {
    expect(valuesOf('L2 (x) is 3\nL2 (x) is 2\n', { custom: compileMetrics(metrics) })).toEqual([
      ['loss', 1, 3],
      ['loss', 2, 2],
    ]);
  });

  it('replace what is recognized under the same name', () => {
    expect(valuesOf('step=1 loss=9 L2 (x) is 3\n', { custom: compileMetrics(metrics) })).toEqual([['loss', 1, 3]]);
  });

  it.each([
    ['a name', [{ name: '<b>', regex: '(.)' }], /the name is "<b>"; a metric has/],
    ['no group', [{ name: 'a', regex: '.' }], /no group/],
    ['a look-behind or back-reference', [{ name: 'a', regex: '(a)\\1' }], /not one that RE2 accepts/],
    ['a bomb', [{ name: 'a', regex: '((a{1000}){1000}){1000}' }], /not one that RE2 accepts/],
    ['length', [{ name: 'a', regex: `(${'a'.repeat(500)})` }], /more than 500/],
    ['number', Array.from({ length: 41 }, () => ({ name: 'a', regex: '(.)' })), /there are 41 metrics; 40 are allowed/],
  ])('are refused for %s', (_, definitions, message) => {
    expect(() => compileMetrics(definitions)).toThrow(InvalidMetric);
    expect(() => compileMetrics(definitions)).toThrow(message);
  });
});
