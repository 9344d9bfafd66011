import type { Command } from 'commander';
import { formatDuration } from '../../core/units.ts';
import { withContext } from '../context.ts';
import { EXIT } from '../errors.ts';
import type { RunSummary } from '../runs/summary.ts';
import { wholeNumber } from '../terminal/options.ts';
import { colorOutcome } from '../terminal/outcome-color.ts';
import type { Terminal } from '../terminal/terminal.ts';
import { formatTime, isoTime } from '../terminal/times.ts';

interface ListOptions {
  readonly all?: true;
  readonly project?: string;
  readonly number: number;
  readonly json?: true;
}

export function addListCommand(program: Command): void {
  program
    .command('list')
    .description('list the runs of this project, newest first')
    .option('--all', 'list the runs of all projects')
    .option('--project <name>', "list the runs of this project instead of the folder's")
    .option('-n, --number <count>', 'list at most this many runs', wholeNumber, 20)
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      `
Step Functions keeps a run for 90 days. To see an older one, give its id: runctl status <run id>

Examples:
  runctl list                  the latest runs of this project
  runctl list --all -n 50
  runctl list --json | jq -r '.[] | select(.outcome == "failed") | .id'`,
    )
    .action(async (options: ListOptions, command: Command) => {
      await withContext(command, async (context) => {
        const [{ Runs }, { projectFor }, { atMost }] = await Promise.all([
          import('../runs/find.ts'),
          import('../project/which-project.ts'),
          import('../terminal/several.ts'),
        ]);
        const project = options.all ? null : await projectFor(context, options);
        const runs = await Runs.of(context.account);
        const { terminal } = context;
        const found: RunSummary[] = [];
        for await (const run of atMost(options.number, runs.list(project?.value ?? null))) found.push(run);
        if (options.json) terminal.json(found.map(asJson));
        else if (found.length > 0) showTable(context.terminal, found, options.all === true);
        else if (project === null) terminal.note('There are no runs yet. To start one: runctl run');
        else
          terminal.note(
            `The project ${project.value} (from ${project.from}) has no runs. To list the runs of all projects: runctl list --all`,
          );
        return EXIT.succeeded;
      });
    });
}

function showTable(terminal: Terminal, runs: readonly RunSummary[], withProject: boolean): void {
  const headings = ['RUN', ...(withProject ? ['PROJECT'] : []), 'STATE', 'STARTED', 'DURATION', 'INSTANCE', 'SCRIPT'];
  terminal.table(
    headings,
    runs.map((run) => [
      run.id,
      ...(withProject ? [run.project ?? '-'] : []),
      run.outcome === null ? terminal.colors.cyan(run.state ?? '') : colorOutcome(terminal, run.outcome),
      formatTime(run.startedAt),
      formatDuration(((run.endedAt ?? Date.now()) - run.startedAt) / 1_000),
      run.instance ?? '-',
      run.script ?? '-',
    ]),
  );
}

function asJson({ startedAt, endedAt, ...run }: RunSummary) {
  return { ...run, startedAt: isoTime(startedAt), endedAt: isoTime(endedAt) };
}
