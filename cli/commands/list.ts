import { type Command, InvalidArgumentError } from 'commander';
import { PHASES } from '../../core/workflow/vocabulary.ts';
import { withContext } from '../context.ts';
import { EXIT } from '../errors.ts';
import { COLUMN_NAMES, type ColumnName, defaultColumns, printRuns } from '../runs/columns.ts';
import type { RunSummary } from '../runs/summary.ts';
import { wholeNumber } from '../terminal/options.ts';

interface ListOptions {
  readonly all?: true;
  readonly active?: true;
  readonly project?: string;
  readonly number: number;
  readonly columns?: readonly ColumnName[];
  readonly json?: true;
}

export function addListCommand(program: Command): void {
  program
    .command('list')
    .description('list the runs of this project, newest first')
    .option('--all', 'list the runs of all projects')
    .option('--active', 'list only runs that have not ended')
    .option('--project <name>', "list the runs of this project instead of the folder's")
    .option('-n, --number <count>', 'list at most this many runs', wholeNumber, 20)
    .option('--columns <names>', `show these columns: ${COLUMN_NAMES.join(',')}`, columnNames)
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      `
The state is what a run does or how it ended. While it lasts:
  ${Object.keys(PHASES).join(', ')}
docs/reference/errors.md has every word.
Step Functions keeps a run for 90 days. To see an older one, give its id: runctl status <run id>

Examples:
  runctl list                  the latest runs of this project
  runctl list --active --all   what runs, or waits for its instance
  runctl list --columns run,state,args,training,queue
  runctl list --json | jq -r '.[] | select(.state == "failed") | .id'`,
    )
    .action(async (options: ListOptions, command: Command) => {
      await withContext(command, async (context) => {
        const [{ Runs }, { projectFor }, { atMost }, { toRunOutput }] = await Promise.all([
          import('../runs/find.ts'),
          import('../project/which-project.ts'),
          import('../terminal/several.ts'),
          import('../runs/summary.ts'),
        ]);
        const { terminal } = context;
        const project = options.all ? null : await projectFor(context, options);
        const runs = await Runs.of(context.account);
        const found: RunSummary[] = [];
        const source = runs.list(project?.value ?? null, { active: options.active === true });
        for await (const run of atMost(options.number, source)) found.push(run);
        const now = Date.now();
        if (options.json) terminal.json(found.map((run) => toRunOutput(run, now)));
        else if (found.length > 0)
          printRuns(terminal, found, options.columns ?? defaultColumns(options.all === true, found), now);
        else if (options.active) terminal.note(`No run${project === null ? '' : ` of ${project.value}`} is active.`);
        else if (project === null) terminal.note('There are no runs yet. To start one: runctl run');
        else
          terminal.note(
            `The project ${project.value} (from ${project.from}) has no runs. To list the runs of all projects: runctl list --all`,
          );
        return EXIT.succeeded;
      });
    });
}

function columnNames(text: string): ColumnName[] {
  return text.split(',').map((part) => {
    const name = COLUMN_NAMES.find((one) => one === part.trim());
    if (name !== undefined) return name;
    throw new InvalidArgumentError(
      `${JSON.stringify(part)} is not a column. The columns are ${COLUMN_NAMES.join(', ')}.`,
    );
  });
}
