import { readFile, writeFile } from 'node:fs/promises';
import { Command, InvalidArgumentError, Option } from 'commander';
import { fail } from '../cli/failure.ts';
import { busyWarning, compare, parseResults, type Results, thisMachine } from './compare.ts';
import { PACKAGES, type PackageName } from './environments.ts';
import { measure, PARTS, type Part } from './measure.ts';
import { showProgress } from './progress.ts';
import { reached, tableOf } from './report.ts';

process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = 'true';

const HELP = `
Parts, in the order in which they are measured:
${Object.entries(PARTS)
  .map(([name, { what }]) => `  ${name.padEnd(13)}${what}`)
  .join('\n')}

Each number stands beside its target, where it has one: ok or MISSED. What is compared with another program was measured in turns with it.
A missed target does not change the exit code; \`npm test\` is what passes or fails.

Examples:
  npm run bench                                    all of it, about ten minutes
  npm run bench -- --only log,poll                 two parts
  npm run bench -- --json before.json              for later
  npm run bench -- --compare before.json           measures, and says what has changed since
  npm run bench -- --compare before.json after.json   measures nothing
`;

interface Options {
  readonly json?: string;
  readonly only: readonly Part[];
  readonly compare?: readonly string[];
  readonly checkpointMb: number;
  readonly install: PackageName;
}

function megabytes(text: string): number {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 1) throw new InvalidArgumentError('It is a whole number of megabytes.');
  return number;
}

function partsOf(text: string): Part[] {
  const asked = text.split(',');
  const unknown = asked.filter((part) => !(part in PARTS));
  if (unknown.length > 0)
    throw new InvalidArgumentError(
      `There is no part ${unknown.join(', ')}. The parts are ${Object.keys(PARTS).join(', ')}.`,
    );
  return asked as Part[];
}

function optionsOf(argv: readonly string[]): Options {
  const command = new Command('npm run bench --')
    .description('Measures the project on this machine, in a local cloud of its own that is gone at the end.')
    .addOption(
      new Option('--only <parts>', 'some of the parts below, with commas')
        .argParser(partsOf)
        .default(Object.keys(PARTS), 'all'),
    )
    .option('--checkpoint-mb <number>', 'size of the file that is sent as a checkpoint', megabytes, 1_000)
    .addOption(
      new Option('--install <package>', 'of the environment that is stored; torch needs 25 GB of disk and of memory')
        .choices(Object.keys(PACKAGES))
        .default('scikit-learn'),
    )
    .option('--json <file>', 'write the numbers to a file as well')
    .option(
      '--compare <files...>',
      'one earlier --json: how the new numbers stand to it; two: how these stand to each other',
    )
    .addHelpText('after', HELP)
    .showHelpAfterError('(--help has examples)')
    .exitOverride()
    .parse([...argv]);
  const options = command.opts<Options>();
  if ((options.compare?.length ?? 0) > 2) command.error('error: --compare takes one file or two');
  return options;
}

async function main(): Promise<void> {
  const { json, only, compare: files = [], ...options } = optionsOf(process.argv);
  const [before, after] = await Promise.all(
    files.map(async (file) => parseResults(await readFile(file, 'utf8'), file)),
  );
  if (before && after) return console.log(compare(before, after).join('\n'));
  const results = await run(only, options);
  if (json !== undefined) await writeFile(json, `${JSON.stringify(results, null, 2)}\n`);
  if (before) console.log(['', ...compare(before, results)].join('\n'));
}

async function run(parts: readonly Part[], options: Pick<Options, 'checkpointMb' | 'install'>): Promise<Results> {
  const controller = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => controller.abort());
  const progress = showProgress(process.stderr);
  try {
    const machine = thisMachine();
    const busy = busyWarning(machine);
    if (busy !== null) progress.say(busy);
    const results = {
      ...machine,
      sections: await measure(parts, { ...options, say: progress.say, signal: controller.signal }),
    };
    progress.stop();
    console.log(`\n${results.sections.flatMap(tableOf).join('\n')}`);
    const missed = results.sections.flatMap(({ rows }) => rows).filter((row) => reached(row) === false).length;
    console.log(missed === 0 ? 'All targets are met.' : `${missed} targets are missed.`);
    return results;
  } finally {
    progress.stop();
  }
}

try {
  await main();
} catch (error) {
  fail(error);
}
