import { join } from 'node:path';
import { Command, CommanderError } from 'commander';
import { projectRoot } from '../cloud/paths.ts';

export interface DemoOptions {
  /** The project folder to train. */
  readonly folder: string;
  readonly script: string | null;
  /** Arguments of the script, as they were typed. */
  readonly args: readonly string[];
  /** Leave the local cloud up at the end. */
  readonly keep: boolean;
  /** Where the local cloud keeps its state; undefined for the project's own place. */
  readonly state: string | undefined;
}

/** What the demo trains when nobody names a folder. */
export const exampleFolder = join(projectRoot, 'examples', 'digits');

/**
 * Reads the command line of the demo: what comes after the first `--` belongs to the script.
 * @returns null when the person asked for help, which has been printed then.
 * @throws CommanderError when it is not understood; commander has said so on stderr.
 */
export function parseDemoOptions(argv: readonly string[]): DemoOptions | null {
  const dashes = argv.indexOf('--');
  const own = dashes === -1 ? argv : argv.slice(0, dashes);
  const command = new Command('npm run demo --')
    .description('Train a project on the local cloud: pack it, upload it, and show the run.')
    .argument('[folder]', 'the project folder', exampleFolder)
    .option('--script <path>', 'entry script, relative to the folder (default: train.py or main.py)')
    .option('--keep', 'keep the local cloud running at the end')
    .option('--state <folder>', 'folder for the state of the local cloud (default: .runctl in this project)')
    .usage('[folder] [--script <path>] [--keep] [-- <arguments of the script>]')
    .exitOverride();
  try {
    command.parse(own, { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return null;
    throw error;
  }
  const { script, keep, state } = command.opts<{ script?: string; keep?: boolean; state?: string }>();
  return {
    folder: command.processedArgs[0] as string,
    script: script ?? null,
    args: dashes === -1 ? [] : argv.slice(dashes + 1),
    keep: keep === true,
    state,
  };
}
