import type { Command } from 'commander';
import { withContext } from '../context.ts';

export function addInitCommand(program: Command): void {
  program
    .command('init')
    .description('write a commented runctl.yaml for this folder')
    .option('--force', 'overwrite the one that is there')
    .addHelpText(
      'after',
      `
It finds the script, the requirements and the project's name, and shows every other key as a comment. Editors with the
YAML language server complete it. A folder with one train.py or main.py needs no runctl.yaml.`,
    )
    .action((options: { force?: boolean }, self: Command) =>
      withContext(self, async (context) => {
        const { initProject } = await import('../init/init.ts');
        return await initProject(context, { force: options.force === true });
      }),
    );
}
