import { availableParallelism } from 'node:os';
import { Command, InvalidArgumentError, Option } from 'commander';
import { formatDuration } from '../../core/units.ts';
import { playCloud } from './cloud/play.ts';
import { readDefinitions } from './definitions.ts';
import { LEVELS, type Level, PER_CORE, play } from './levels.ts';
import { playAll } from './pool.ts';
import { describeSchedule } from './report.ts';
import { Totals } from './totals.ts';

const SEEDS = { model: 10_000, lineage: 1_000, power: 1_000, processes: 300 } as const satisfies Record<Level, number>;
const PROGRESS_MS = 15_000;

interface Options {
  readonly seed?: number;
  readonly from: number;
  readonly count?: number;
  readonly level?: Level | 'cloud';
  readonly interruptions: number;
  readonly workers?: number;
}

const program = new Command('npm run soak --')
  .description('Plays seeded schedules of faults against whole runs and counts what must never happen.')
  .addOption(
    new Option('--level <level>', 'play only this level; cloud: interrupt one run on a local cloud').choices([
      ...LEVELS,
      'cloud',
    ]),
  )
  .option('--seed <number>', 'replay the schedule of one seed and print its events', whole)
  .option('--from <number>', 'the first seed', whole, 1)
  .option(
    '--count <number>',
    `number of schedules (${LEVELS.map((level) => `${level}: ${SEEDS[level]}`).join(', ')})`,
    whole,
  )
  .option('--interruptions <number>', 'of level cloud', whole, 50)
  .option('--workers <number>', 'number of worker processes', whole);
const options = program.parse().opts<Options>();

function whole(text: string): number {
  const number = Number(text);
  if (!Number.isSafeInteger(number) || number < 0) throw new InvalidArgumentError('not a whole number');
  return number;
}

const { level: chosen } = options;
if (chosen === 'cloud') process.exit(await interruptOnCloud());
const definitions = readDefinitions();
if (options.seed === undefined) process.exitCode = await soak(chosen ? [chosen] : LEVELS);
else process.exitCode = await replay(options.seed, chosen ?? 'model');
process.exit();

async function interruptOnCloud(): Promise<number> {
  const wrong = await playCloud(options.seed ?? options.from, options.interruptions);
  console.log(wrong.length === 0 ? 'nothing wrong' : wrong.join('\n'));
  return wrong.length === 0 ? 0 : 1;
}

async function replay(seed: number, level: Level): Promise<number> {
  const played = await play(level, seed, definitions);
  console.log(describeSchedule(played));
  return Object.values(played.findings).flat().length === 0 ? 0 : 1;
}

async function soak(levels: readonly Level[]): Promise<number> {
  let found = 0;
  for (const level of levels) {
    const totals = new Totals(level);
    const seeds = Array.from({ length: options.count ?? SEEDS[level] }, (_, index) => options.from + index);
    const began = performance.now();
    const progress = setInterval(
      () => console.log(`  ${level}: ${totals.schedules} of ${seeds.length} schedules`),
      PROGRESS_MS,
    );
    const workers = options.workers ?? PER_CORE[level] * availableParallelism();
    await playAll({ definitions, level, workers }, seeds, (result) => {
      totals.add(result);
      for (const line of totals.problemsOf(result)) console.log(line);
    });
    clearInterval(progress);
    console.log(`${totals.summary()}\n  in ${formatDuration((performance.now() - began) / 1_000)}`);
    found += totals.found;
  }
  return found === 0 ? 0 : 1;
}
