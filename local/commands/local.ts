import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { StatePaths } from '../cloud/paths.ts';

/** Adds `runctl local …`. Each subcommand imports its code when it runs, so that `local env` is quick. */
export function addLocalCommand(program: Command): void {
  const local = program.command('local').description('run a cloud on this machine, to try runctl without AWS (Linux)');

  withState(local.command('up'))
    .description('start or repair the local cloud, and deploy runctl into it')
    .option('--agent-command <program>', 'program that executes commands in place of the built-in SSM agent')
    .option('--deploy', 'deploy even if nothing has changed')
    .option('--no-deploy', 'start the services only')
    .action(async (options: StateOption & { agentCommand?: string; deploy?: boolean }) => {
      const { runUp } = await import('./run-up.ts');
      await runUp(await paths(options), {
        agentCommand: options.agentCommand === undefined ? null : programPath(options.agentCommand),
        deploy: options.deploy === false ? 'never' : options.deploy === true ? 'always' : 'changed',
      });
    });

  withState(local.command('env'))
    .description('print the variables that AWS clients need to use it: eval "$(runctl local env)"')
    .option('--json', 'print one JSON object')
    .action(async (options: StateOption & { json?: boolean }) => {
      const { variables } = await import('./status.ts');
      const { set, unset } = await variables(await paths(options));
      if (options.json === true) console.log(JSON.stringify(set, null, 2));
      else {
        for (const [name, value] of Object.entries(set)) console.log(`export ${name}=${value}`);
        for (const name of unset) console.log(`unset ${name}`);
      }
    });

  withState(local.command('shell'))
    .description('open a shell, or run one command, that uses it: runctl local shell -- aws s3 ls')
    .argument('[command...]', 'the command, after -- (default: your shell)')
    .action(async (command: string[], options: StateOption) => {
      const { runShell } = await import('./shell.ts');
      process.exitCode = await runShell(await paths(options), command);
    });

  withState(local.command('status'))
    .description('show its state; the exit code is 0 only if it is up')
    .option('--json', 'print one JSON object')
    .action(async (options: StateOption & { json?: boolean }) => {
      const { statusOf, statusLines } = await import('./status.ts');
      const statePaths = await paths(options);
      const status = await statusOf(statePaths);
      console.log(options.json === true ? JSON.stringify(status, null, 2) : statusLines(status, statePaths).join('\n'));
      if (!status.up) process.exitCode = 1;
    });

  withState(local.command('down'))
    .description('stop it and all of its processes')
    .option('--purge', 'also remove the Python environments and caches')
    .action(async (options: StateOption & { purge?: boolean }) => {
      const { down } = await import('./down.ts');
      const { ended } = await down(await paths(options), { purge: options.purge === true });
      console.log(ended === 0 ? 'The local cloud was not running.' : 'The local cloud has stopped.');
    });
}

interface StateOption {
  readonly state?: string;
}

function withState(command: Command): Command {
  return command.option('--state <folder>', 'folder for its state (default: .runctl in the project)');
}

async function paths({ state }: StateOption): Promise<StatePaths> {
  const { statePaths } = await import('../cloud/paths.ts');
  return statePaths(state);
}

/** A path is relative to the current folder, not to the agent's; a bare name is searched for on PATH. */
function programPath(program: string): string {
  return program.includes('/') ? resolve(program) : program;
}
