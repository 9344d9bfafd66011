import type { Command } from 'commander';

const COLUMNS = 100;
const INTRODUCTION = [
  '# Command line',
  '',
  "Each command's `--help`, as it prints it. This page is generated: `npm run docs:cli` writes it.",
  '',
  'Options of `runctl` itself (`--profile`, `--region`) may be given before or after the command.',
  '',
].join('\n');

/** The page docs/reference/cli.md: a section for each command, in the order of `runctl --help`. */
export function cliReference(program: Command): string {
  return [INTRODUCTION, ...sections(program, program.name())].join('\n');
}

function sections(command: Command, path: string): string[] {
  const own = [`## ${path}`, '', '```text', helpOf(command).trim(), '```', ''].join('\n');
  return [own, ...command.commands.flatMap((subcommand) => sections(subcommand, `${path} ${subcommand.name()}`))];
}

function helpOf(command: Command): string {
  let text = '';
  command.configureOutput({
    writeOut: (part) => {
      text += part;
    },
    getOutHelpWidth: () => COLUMNS,
    getOutHasColors: () => false,
  });
  command.outputHelp();
  return text;
}
