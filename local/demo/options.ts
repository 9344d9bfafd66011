import { join } from 'node:path';
import { Command, CommanderError } from 'commander';
import { projectRoot } from '../cloud/paths.ts';

export interface DemoOptions {
  /** The project folder to train. */
  readonly folder: string;
  readonly script: string | null;
  /** Arguments of the script, as they were typed. */
  readonly args: readonly string[];
  /** Kill the training once, after it has a checkpoint in S3. */
  readonly interrupt: boolean;
  /** Keep the local cloud running at the end. */
  readonly keep: boolean;
  /** The folder for the local cloud's state; undefined: the default. */
  readonly state: string | undefined;
}

/** The default project folder of the demo. */
export const exampleFolder = join(projectRoot, 'examples', 'digits');

/**
 * Parses the command line of the demo. Arguments after the first `--` are for the script.
 * @returns null if help was requested and printed
 * @throws CommanderError if it is not valid; commander has printed the reason to stderr
 */
export function parseDemoOptions(argv: readonly string[]): DemoOptions | null {
  const dashes = argv.indexOf('--');
  const own = dashes === -1 ? argv : argv.slice(0, dashes);
  const command = new Command('npm run demo --')
    .description('Train a project on the local cloud: pack it, upload it, and show the run.')
    .argument('[folder]', 'the project folder', exampleFolder)
    .option('--script <path>', 'entry script, relative to the folder (default: train.py or main.py)')
    .option('--interrupt', 'kill the training once it has a checkpoint in S3: the run goes on from it')
    .option('--keep', 'keep the local cloud running at the end')
    .option('--state <folder>', 'folder for the state of the local cloud (default: .runctl in this project)')
    .usage('[folder] [--script <path>] [--interrupt] [--keep] [-- <arguments of the script>]')
    .exitOverride();
  try {
    command.parse(own, { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return null;
    throw error;
  }
  const { script, interrupt, keep, state } = command.opts<{
    script?: string;
    interrupt?: boolean;
    keep?: boolean;
    state?: string;
  }>();
  return {
    folder: command.processedArgs[0] as string,
    script: script ?? null,
    args: dashes === -1 ? [] : argv.slice(dashes + 1),
    interrupt: interrupt === true,
    keep: keep === true,
    state,
  };
}
