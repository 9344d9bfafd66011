import type { Command } from 'commander';
import { withContext } from '../context.ts';
import type { ReportOptions } from '../report/show-report.ts';

export function addReportCommand(program: Command): void {
  program
    .command('report')
    .description('write an HTML report of a run, or one that compares several')
    .argument('[runs...]', 'run ids, beginnings of ids, or ARNs (default: the latest run of this project)')
    .option(
      '-o, --output <file>',
      'write to this file (default: runctl-runs/<run id>/report.html, or runctl-report.html)',
    )
    .option('--open', 'open the report in the browser')
    .option('--json', 'print one JSON document')
    .option('--project <name>', "use the latest run of this project instead of the folder's")
    .addHelpText(
      'after',
      `
A report of a run has its outcome, the curves of its metrics, what its instance did, its states, and its packages. With
several runs it has what differs between them, and their curves in common charts. The file loads nothing and runs no
script, so it can be sent to anybody.

Examples:
  runctl report --open
  runctl report digits-3f2a -o report.html
  runctl report digits-3f2a digits-77c1 digits-9b10 --open`,
    )
    .action(async (ids: string[], options: ReportOptions, command: Command) => {
      await withContext(command, async (context) => {
        const { showReport } = await import('../report/show-report.ts');
        return await showReport(context, ids, options);
      });
    });
}
