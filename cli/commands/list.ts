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
    .description('the runs of this project, newest first')
    .option('--all', 'of all projects')
    .option('--project <name>', 'of another project than this folder')
    .option('-n, --number <count>', 'at most so many', wholeNumber, 20)
    .option('--json', 'as one JSON document')
    .addHelpText(
      'after',
      `
Runs stand in Step Functions for 90 days; an older one is found by its id: runctl status <run id>.

Examples:
  runctl list                  what became of this project's runs
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
        else if (project === null) terminal.note('There are no runs yet. Start one: npx runctl run');
        else
          terminal.note(
            `There is no run of the project ${project.value} (from ${project.from}). Of all projects: npx runctl list --all`,
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
