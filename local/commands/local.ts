import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { StatePaths } from '../cloud/paths.ts';

/** Adds `runctl local …`. What a subcommand needs is loaded when it runs: `local env` must be quick. */
export function addLocalCommand(program: Command): void {
  const local = program.command('local').description('a cloud on this machine, to try everything without AWS (Linux)');

  withState(local.command('up'))
    .description('start it, or repair it, and deploy the stack into it')
    .option('--agent-command <program>', 'a program that executes commands instead of the imitated SSM agent')
    .option('--deploy', 'deploy the stack even when nothing changed')
    .option('--no-deploy', 'start the services alone')
    .action(async (given: StateOption & { agentCommand?: string; deploy?: boolean }) => {
      const { runUp } = await import('./run-up.ts');
      await runUp(await paths(given), {
        agentCommand: given.agentCommand === undefined ? null : programPath(given.agentCommand),
        deploy: given.deploy === false ? 'never' : given.deploy === true ? 'always' : 'changed',
      });
    });

  withState(local.command('env'))
    .description('print what lets any AWS client talk to it: eval "$(npx runctl local env)"')
    .option('--json', 'as one JSON object')
    .action(async (given: StateOption & { json?: boolean }) => {
      const { variables } = await import('./status.ts');
      const { set, unset } = await variables(await paths(given));
      if (given.json === true) console.log(JSON.stringify(set, null, 2));
      else {
        for (const [name, value] of Object.entries(set)) console.log(`export ${name}=${value}`);
        for (const name of unset) console.log(`unset ${name}`);
      }
    });

  withState(local.command('shell'))
    .description('a shell, or one command, whose AWS clients talk to it: npx runctl local shell -- aws s3 ls')
    .argument('[command...]', "after --: a command (default: the person's shell)")
    .action(async (command: string[], given: StateOption) => {
      const { runShell } = await import('./shell.ts');
      process.exitCode = await runShell(await paths(given), command);
    });

  withState(local.command('status'))
    .description('say how it is; exit code 0 only when it is up')
    .option('--json', 'as one JSON object')
    .action(async (given: StateOption & { json?: boolean }) => {
      const { statusOf, statusLines } = await import('./status.ts');
      const status = await statusOf(await paths(given));
      console.log(given.json === true ? JSON.stringify(status, null, 2) : statusLines(status).join('\n'));
      if (!status.up) process.exitCode = 1;
    });

  withState(local.command('down'))
    .description('end it with every process of it')
    .option('--purge', 'remove the Python environments and caches too')
    .action(async (given: StateOption & { purge?: boolean }) => {
      const { down } = await import('./down.ts');
      const { ended } = await down(await paths(given), { purge: given.purge === true });
      console.log(
        ended === 0 ? 'The local cloud was down already.' : 'The local cloud is down; nothing of it runs any more.',
      );
    });
}

interface StateOption {
  readonly state?: string;
}

function withState(command: Command): Command {
  return command.option('--state <folder>', 'where it keeps its state (default: .runctl in the project)');
}

async function paths({ state }: StateOption): Promise<StatePaths> {
  const { statePaths } = await import('../cloud/paths.ts');
  return statePaths(state);
}

/** A program given by a path is meant from here, not from where the agent runs; a bare name is looked up on PATH. */
function programPath(program: string): string {
  return program.includes('/') ? resolve(program) : program;
}
