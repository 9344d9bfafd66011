import type { Command } from 'commander';
import { withContext } from '../context.ts';
import { EXIT, exitCodeOf } from '../errors.ts';

interface StatusOptions {
  readonly project?: string;
  readonly wait?: true;
  readonly json?: true;
}

export function addStatusCommand(program: Command): void {
  program
    .command('status')
    .description('show the state of a run, or how it ended')
    .argument('[run]', 'run id, the beginning of one, or an ARN (default: the latest run of this project)')
    .option('--project <name>', "use the latest run of this project instead of the folder's")
    .option('--wait', 'wait until the run ends; the exit code is then 0 if it succeeded, 4 if it was skipped, else 1')
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      `
Without --wait the exit code is 0, whatever the state of the run.

Examples:
  runctl status
  runctl status --wait && runctl pull
  runctl status digits-3f2a --json | jq -r .state`,
    )
    .action(async (id: string | undefined, options: StatusOptions, command: Command) => {
      await withContext(command, async (context) => {
        const [{ Runs }, { reportOn }, { projectFor }, { printReport, reportJson }] = await Promise.all([
          import('../runs/find.ts'),
          import('../runs/report.ts'),
          import('../project/which-project.ts'),
          import('../runs/print-report.ts'),
        ]);
        const { account, terminal } = context;
        const runs = await Runs.of(account);
        let run = await runs.find(id, () => projectFor(context, options));
        if (options.wait && run.execution !== null) {
          const { waitForEnd } = await import('../runs/wait-for-end.ts');
          run = { ...run, execution: await waitForEnd(context, runs.executions, run.execution) };
        }
        const sources = { runs, logs: account.logs, logGroup: await account.output('logGroup') };
        const report = await reportOn(sources, run);
        if (options.json) terminal.json(reportJson(report, Date.now()));
        else printReport(terminal, report, Date.now());
        if (!options.wait) return EXIT.succeeded;
        return report.ending === null ? EXIT.runFailed : exitCodeOf(report.ending.outcome);
      });
    });
}
