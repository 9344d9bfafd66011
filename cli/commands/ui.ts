import { type Command, InvalidArgumentError } from 'commander';
import { withContext } from '../context.ts';
import type { UiOptions } from '../ui/show-ui.ts';

export function addUiCommand(program: Command): void {
  program
    .command('ui')
    .description('show runs in a page of this machine: live log, curves, queue, cost; stop and pull')
    .option('--project <name>', "show the runs of this project instead of the folder's")
    .option('--all', 'show the runs of all projects')
    .option('--port <number>', 'serve the page on this port (default: a free one)', port)
    .option('--no-open', 'do not open the browser')
    .option('--json', 'print one JSON document, and do not open the browser')
    .addHelpText(
      'after',
      `
The page is served on 127.0.0.1, to those who have the token in its address: that address is all it takes to stop
a run with your credentials, so do not pass it on. The page reads what list, status, logs and metrics read, and
only while it is open. Downloads go to runctl-runs/ in the current folder, as with runctl pull.

The browser is opened when runctl is started in a terminal. On a machine that you reach by SSH, forward the port:
  ssh -L 8000:127.0.0.1:8000 <machine>     and there: runctl ui --port 8000

Ctrl-C ends the page. Runs go on without it.

Examples:
  runctl ui
  runctl ui --all
  runctl ui --no-open --port 8000
  runctl ui --json | jq -r .url`,
    )
    .action(async (options: UiOptions, command: Command) => {
      await withContext(command, async (context) => {
        const { showUi } = await import('../ui/show-ui.ts');
        return await showUi(context, options);
      });
    });
}

function port(text: string): number {
  const number = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (number >= 1 && number <= 65_535) return number;
  throw new InvalidArgumentError('It must be a number from 1 to 65535.');
}
