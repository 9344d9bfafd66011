import type { Command } from 'commander';
import { withContext } from '../context.ts';

export function addInitCommand(program: Command): void {
  program
    .command('init')
    .description('write a commented runctl.yaml for this folder')
    .option('--force', 'overwrite an existing runctl.yaml')
    .addHelpText(
      'after',
      `
runctl fills in the script, the requirements file and the project name, and lists every other key as a comment. Editors
with a YAML language server complete the keys. A folder with a single train.py or main.py needs no runctl.yaml.`,
    )
    .action((options: { force?: boolean }, self: Command) =>
      withContext(self, async (context) => {
        const { initProject } = await import('../init/init.ts');
        return await initProject(context, { force: options.force === true });
      }),
    );
}
