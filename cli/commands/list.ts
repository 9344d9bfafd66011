import { type Command, InvalidArgumentError, Option } from 'commander';
import { PHASES } from '../../core/workflow/vocabulary.ts';
import { withContext } from '../context.ts';
import { EXIT } from '../errors.ts';
import {
  COLUMN_NAMES,
  type Column,
  columnNamed,
  defaultColumns,
  printCsv,
  printRuns,
  sortRuns,
} from '../runs/columns.ts';
import type { RunSummary } from '../runs/summary.ts';
import { wholeNumber } from '../terminal/options.ts';

interface ListOptions {
  readonly all?: true;
  readonly active?: true;
  readonly project?: string;
  readonly number: number;
  readonly columns?: readonly Column[];
  readonly sort?: { readonly column: Column; readonly descending: boolean };
  readonly csv?: true;
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
    .option(
      '--columns <names>',
      `show these columns: ${COLUMN_NAMES.join(',')},args.<name>,metric.<name>`,
      columnsNamed,
    )
    .option(
      '--sort <column>',
      'sort by this column, or by -<column> from the highest on; the newest first otherwise',
      sorting,
    )
    .addOption(new Option('--json', 'print one JSON document').conflicts('csv'))
    .option('--csv', 'print comma-separated values')
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
  runctl list --columns run,args.lr,metric.val_loss,duration,cost --sort metric.val_loss
  runctl list --all -n 500 --csv > runs.csv
  runctl list --json | jq -r '.[] | select(.state == "failed") | .id'`,
    )
    .action(async (options: ListOptions, command: Command) => {
      await withContext(command, async (context) => {
        const [{ Runs }, { projectFor }, { atMost }, { toRunOutput }, { withLatestMetrics }] = await Promise.all([
          import('../runs/find.ts'),
          import('../project/which-project.ts'),
          import('../terminal/several.ts'),
          import('../runs/summary.ts'),
          import('../runs/latest-metrics.ts'),
        ]);
        const { terminal } = context;
        const project = options.all ? null : await projectFor(context, options);
        const runs = await Runs.of(context.account);
        const found: RunSummary[] = [];
        const source = runs.list(project?.value ?? null, { active: options.active === true });
        for await (const run of atMost(options.number, source)) found.push(run);
        const listed = await withLatestMetrics(runs, found);
        const now = Date.now();
        const sorted = options.sort === undefined ? listed : sortRuns(listed, options.sort, now);
        const columns = options.columns ?? defaultColumns(options.all === true, sorted);
        if (options.json) terminal.json(sorted.map((run) => toRunOutput(run, now)));
        else if (options.csv) printCsv(terminal, sorted, columns, now);
        else if (sorted.length > 0) printRuns(terminal, sorted, columns, now);
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

function columnsNamed(text: string): Column[] {
  return text.split(',').map((part) => {
    const column = columnNamed(part.trim());
    if (column !== null) return column;
    throw new InvalidArgumentError(
      `${JSON.stringify(part)} is not a column. The columns are ${COLUMN_NAMES.join(', ')}, args.<name>, and metric.<name>.`,
    );
  });
}

function sorting(text: string): ListOptions['sort'] {
  const descending = text.startsWith('-');
  const [column, ...more] = columnsNamed(descending ? text.slice(1) : text);
  if (column !== undefined && more.length === 0) return { column, descending };
  throw new InvalidArgumentError('Name one column.');
}
