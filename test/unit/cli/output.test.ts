import { describe, expect, it } from 'vitest';
import { EXIT, exitCodeOf, setUpError, usageError } from '../../../cli/errors.ts';
import { errorOutput, wantsJson } from '../../../cli/output/error.ts';
import { argumentNamed } from '../../../cli/runs/arguments.ts';
import { COLUMN_NAMES, type Column, columnNamed, printCsv, printRuns, sortRuns } from '../../../cli/runs/columns.ts';
import { printReport, reportJson } from '../../../cli/runs/print-report.ts';
import type { RunReport } from '../../../cli/runs/report.ts';
import { type RunSummary, toRunOutput } from '../../../cli/runs/summary.ts';
import { OUTCOMES } from '../../../core/errors.ts';
import { usageSample } from '../../support/fakes/samples.ts';
import { outputOf } from '../../support/outputs.ts';
import { captured } from '../../support/terminal.ts';

const NOW = Date.parse('2026-11-24T12:00:00Z');
const MINUTE = 60_000;

const summary: RunSummary = {
  id: 'digits-1',
  arn: 'arn',
  project: 'digits',
  state: 'training',
  outcome: null,
  startedAt: NOW - 10 * MINUTE,
  endedAt: null,
  queueSeconds: 300,
  trainingSeconds: 240,
  instance: 'i-1',
  script: 'train.py',
  args: ['--lr', '0.1'],
  gitCommit: 'a'.repeat(40),
  gitDirty: true,
  name: 'baseline',
  note: null,
  startedBy: 'anna',
  costUsd: null,
  instanceCostUsd: null,
  headlines: [],
  metrics: [
    { name: 'loss', step: 3, value: 0.5 },
    { name: 'grad', step: 3, value: null, gap: 'nan' },
  ],
  isKept: false,
};

const report: RunReport = {
  spec: null,
  ...summary,
  attempt: 1,
  attempts: [],
  projectFrom: 'runctl.yaml',
  instanceType: 'g5.xlarge',
  instanceRequested: 'tag:Project=digits',
  instanceFrom: 'the project',
  pid: 4711,
  install: null,
  queue: { place: 1, length: 2, since: NOW / 1_000 - 60, holder: { run: 'digits-0', since: NOW / 1_000 - 600 } },
  silentSince: null,
  job: 'train',
  lastLine: { text: 'epoch 3', at: NOW - 25 * MINUTE },
  usage: usageSample(),
  checkpoints: null,
  endsBy: NOW + 90 * MINUTE,
  endsByCost: false,
  ending: null,
  warnings: [],
  manifest: null,
  costSoFarUsd: 0.002,
  instanceCost: null,
};

describe('the exit code of a command that waits for a run', () => {
  it('is 0 for success, 4 for a skipped run, 1 for every other end', () => {
    const others = OUTCOMES.filter((outcome) => outcome !== 'succeeded' && outcome !== 'skipped');
    expect(exitCodeOf('succeeded')).toBe(0);
    expect(exitCodeOf('skipped')).toBe(4);
    expect(others.map(exitCodeOf)).toEqual(others.map(() => 1));
  });
});

describe('status', () => {
  it('has the age of the last line, and the time that is left', () => {
    const { terminal, written } = captured();
    printReport(terminal, report, NOW);
    const { out } = written();
    expect(out).toContain('epoch 3  (25 min 00 s ago)');
    expect(out).toContain('for 4 min 00 s, 1 h 30 min left of maxDuration');
    expect(out).toContain('train.py --lr 0.1');
    expect(out).toMatch(/^state +training, for 10 min 00 s in total$/m);
  });

  it('has what it cost so far, at which price, of which cap', () => {
    const costOf = (changes: Partial<RunReport>) => {
      const { terminal, written } = captured();
      printReport(terminal, { ...report, ...changes }, NOW);
      return written().out;
    };
    expect(costOf({})).not.toMatch(/^cost/m);
    const at = '2026-11-24T10:00:05.000Z';
    const instanceCost = { usd: 0.42, seconds: 1_500, usdPerHour: 1.008, source: 'pricing', at };
    const words = 'about $0.42: 25 min 00 s of the instance at $1.008 an hour (list price of 2026-11-24 10:00 UTC)';
    expect(costOf({ instanceCost })).toContain(`cost      ${words}; runctl itself $0.002`);
    const capped = { instanceCost, spec: { maxCost: 5 }, endsByCost: true };
    expect(costOf(capped)).toContain('about $0.42 of maxCost ($5): 25 min');
    expect(costOf(capped)).toContain('1 h 30 min left of maxCost');
    const json = reportJson({ ...report, ...capped, instanceCostUsd: 0.42 }, NOW);
    expect(outputOf('status', JSON.stringify(json))).toMatchObject({
      instanceCostUsd: 0.42,
      instanceCost,
      maxCostUsd: 5,
      endsByCost: true,
    });
  });

  it('has the usage of a running training on one line', () => {
    const usageOf = (changes: Partial<RunReport>) => {
      const { terminal, written } = captured();
      printReport(terminal, { ...report, ...changes }, NOW);
      return /^usage +(.*)$/m.exec(written().out)?.[1] ?? null;
    };
    const none = { index: 3, utilizationPercent: null, memoryUsedBytes: null, memoryTotalBytes: null };
    const gpus = [...usageSample().gpus, { ...none, powerWatts: null, temperatureCelsius: null }];
    const line = 'CPU 85 %, memory 11.2 GiB of 59.6 GiB, GPU 0 97 % (18.6 GiB of 22.4 GiB)';
    expect(usageOf({})).toBe(line);
    expect(usageOf({ usage: usageSample({ gpus }) })).toBe(`${line}, GPU 3 not known`);
    expect(usageOf({ usage: null })).toBeNull();
    const usage = usageSample({ warning: 'w' });
    const { usage: json } = outputOf('status', JSON.stringify(reportJson({ ...report, usage }, NOW))) as {
      usage: object;
    };
    expect(json).toMatchObject({ time: new Date(1_795_000_009_000).toISOString(), gpus: [{ utilizationPercent: 97 }] });
    expect(json).not.toHaveProperty('warning');
  });

  it('is JSON of the published schema, with ISO times and a state, while it lasts and after it', () => {
    const running = outputOf('status', JSON.stringify(reportJson(report, NOW)));
    expect(running).toMatchObject({
      state: 'training',
      outcome: null,
      startedAt: '2026-11-24T11:50:00.000Z',
      queue: { since: '2026-11-24T11:59:00.000Z', holder: { since: '2026-11-24T11:50:00.000Z' } },
      lastLineAt: '2026-11-24T11:35:00.000Z',
      endsBy: '2026-11-24T13:30:00.000Z',
      seconds: 600,
    });
    const ending = {
      outcome: 'failed',
      message: 'm',
      next: 'n',
      exitCode: 1,
      signal: null,
      warnings: [],
      lastLines: [],
    };
    const ended = {
      ...report,
      state: 'failed',
      outcome: 'failed',
      endedAt: NOW,
      ending: { ...ending, error: 'TrainingFailed' },
    };
    expect(outputOf('status', JSON.stringify(reportJson(ended as RunReport, NOW)))).toMatchObject({
      state: 'failed',
      outcome: 'failed',
      error: 'TrainingFailed',
      exitCode: 1,
    });
  });

  it('has no key that the schema does not have', () => {
    expect(() => outputOf('schedule remove', '{"name": "a", "more": 1}')).toThrow('schedule remove.more');
    expect(() => outputOf('list', JSON.stringify([{ ...toRunOutput(summary, NOW), state: null }]))).toThrow('state');
  });
});

describe('list', () => {
  it('tells the runs of a sweep apart, in the columns that were chosen', () => {
    const { terminal, written } = captured();
    const other: RunSummary = {
      ...summary,
      id: 'digits-2',
      args: ['--lr', '0.2'],
      state: 'queued',
      trainingSeconds: null,
    };
    printRuns(terminal, [summary, other], columns('run,state,args,training,queue,commit,by'), NOW);
    expect(
      written()
        .out.split('\n')
        .map((text) => text.trim().split(/ {2,}/)),
    ).toEqual([
      ['RUN', 'STATE', 'ARGS', 'TRAINING', 'QUEUE', 'COMMIT', 'BY'],
      ['digits-1', 'training', '--lr 0.1', '4 min 00 s', '5 min 00 s', 'aaaaaaaaaa+', 'anna'],
      ['digits-2', 'queued', '--lr 0.2', '-', '5 min 00 s', 'aaaaaaaaaa+', 'anna'],
      [''],
    ]);
  });

  it('has a value for every column, and is JSON of the published schema', () => {
    const { terminal, written } = captured();
    printRuns(terminal, [summary], columns(COLUMN_NAMES.join(',')), NOW);
    expect(written().out).not.toContain('undefined');
    expect(outputOf('list', JSON.stringify([toRunOutput(summary, NOW)]))[0]).toMatchObject({ state: 'training' });
  });

  it('has the cost of the instance and of runctl together, where the price is known', () => {
    const cost = (costUsd: number | null, instanceCostUsd: number | null) => {
      const { terminal, written } = captured();
      const run = { ...summary, costUsd, instanceCostUsd };
      printRuns(terminal, [run], columns('cost'), NOW);
      return [columns('cost')[0]?.value(run, NOW), written().out.trim().split('\n')[1]];
    };
    expect(cost(0.01, 1.5)).toEqual([1.51, '$1.51']);
    expect(cost(null, 0.0423)).toEqual([0.0423, '$0.042']);
    expect(cost(0.01, null)).toEqual([null, '-']);
  });

  it('shows the headline metric that the spec names, in a list and first in the status', () => {
    const metrics = ['loss', 'val_loss'].map((name) => ({ name, step: 9, value: 0.5 }));
    const shown = (headlines: readonly string[]) =>
      columns('metric').map(({ value }) => value({ ...summary, metrics, headlines }, NOW));
    expect(shown([])).toEqual(['loss 0.5 (step 9)']);
    expect(shown(['val_loss'])).toEqual(['val_loss 0.5 (step 9)']);
    expect(shown(['other'])).toEqual(['loss 0.5 (step 9)']);
    const { terminal, written } = captured();
    printReport(terminal, { ...report, metrics, headlines: ['val_loss'] }, NOW);
    expect(written().out).toMatch(/metrics +val_loss 0.5 \(step 9\), loss 0.5 \(step 9\)/);
    expect(reportJson({ ...report, spec: { headline: ['x'] } }, NOW)).not.toHaveProperty('spec');
  });

  it('compares runs by their arguments and metrics: as a table, as CSV, and sorted', () => {
    const { terminal, written } = captured();
    const runs = [
      { ...summary, id: 'a', args: ['--lr', '0.1'], metrics: [{ name: 'val_loss', step: 9, value: 0.1234567 }] },
      { ...summary, id: 'b', args: ['--lr=1e-3'], metrics: [{ name: 'val_loss', step: 9, value: null, gap: 'nan' }] },
      { ...summary, id: 'c', args: [], note: 'a "quoted", long one', metrics: [] },
      { ...summary, id: 'd', args: ['lr=-0.5'], metrics: [{ name: 'val_loss', step: 9, value: 0.01 }] },
    ] satisfies RunSummary[];
    const chosen = columns('run,args.lr,metric.val_loss,metric,note,duration,cost');
    printRuns(terminal, runs, chosen.slice(0, 4), NOW);
    printCsv(terminal, runs, chosen, NOW);
    expect(written().out).toBe(`RUN  lr    val_loss  METRIC
a    0.1   0.123457  val_loss 0.123457 (step 9)
b    1e-3  nan       val_loss nan (step 9)
c    -     -         -
d    -0.5  0.01      val_loss 0.01 (step 9)
run,args.lr,metric.val_loss,metric,note,duration,cost
a,0.1,0.1234567,val_loss 0.1234567 (step 9),,600,
b,1e-3,nan,val_loss nan (step 9),,600,
c,,,,"a ""quoted"", long one",600,
d,-0.5,0.01,val_loss 0.01 (step 9),,600,
`);
    const sorted = (name: string, descending: boolean) =>
      sortRuns(runs, { column: columns(name)[0] as Column, descending }, NOW).map(({ id }) => id);
    expect(sorted('metric.val_loss', false)).toEqual(['d', 'a', 'b', 'c']);
    expect(sorted('metric.val_loss', true)).toEqual(['a', 'd', 'b', 'c']);
    expect(sorted('args.lr', true)).toEqual(['a', 'b', 'd', 'c']);
    expect(sorted('run', true)).toEqual(['d', 'c', 'b', 'a']);
  });

  it.each([
    ['--lr 1 --lr 2', 'lr', '2'],
    ['--learning-rate 3', 'learning_rate', '3'],
    ['--amp --lr 2', 'amp', 'true'],
    ['--momentum -0.9', 'momentum', '-0.9'],
    ['optimizer.lr=0.3 +data=a=b', 'optimizer.lr', '0.3'],
    ['optimizer.lr=0.3 +data=a=b', 'data', 'a=b'],
    ['lr 5', 'lr', null],
    ['--lr=', 'lr', ''],
  ])('reads of the arguments %s that %s is %s', (args, name, value) => {
    expect(argumentNamed(args.split(' '), name)).toBe(value);
  });
});

function columns(names: string): Column[] {
  return names.split(',').map((name) => columnNamed(name) as Column);
}

describe('an error with --json', () => {
  it('is a document with what to do and the exit code', () => {
    const output = (error: unknown, code: number) => outputOf('error', JSON.stringify(errorOutput(error, code))).error;
    expect(output(usageError('No run.', 'List them.'), EXIT.usage)).toEqual({
      kind: 'usage',
      message: 'No run.',
      next: 'List them.',
      exitCode: 2,
    });
    expect(output(setUpError('No region.', 'Set it.'), EXIT.setUp)).toMatchObject({ kind: 'set-up', exitCode: 3 });
    expect(output(new TypeError('x is not a function'), 70)).toEqual({
      kind: 'fault',
      message: 'x is not a function',
      next: null,
      exitCode: 70,
    });
  });

  it('is printed only where the command itself was asked for JSON', () => {
    expect(wantsJson(['node', 'runctl', 'list', '--json'])).toBe(true);
    expect(wantsJson(['node', 'runctl', 'run', '--', '--json'])).toBe(false);
  });
});
