import { type Command, Option } from 'commander';
import { withContext } from '../context.ts';
import type { MetricsOptions } from '../metrics/show-metrics.ts';

const collect = (value: string, before: readonly string[] = []) => [...before, value];

export function addMetricsCommand(program: Command): void {
  program
    .command('metrics')
    .description('show the metrics in the log of a training: last values and curves')
    .argument('[run...]', 'run ids, beginnings of ids, or ARNs (default: the latest run of this project)')
    .option('--name <metric>', 'show this metric only; may be given several times', collect)
    .option(
      '--match <name=expression>',
      'read a metric with an RE2 expression, whose first group is the value',
      collect,
    )
    .option('-f, --follow', 'print values until the run ends; the exit code is then 0 if it succeeded, else 1')
    .addOption(new Option('--json', 'print one JSON document; with --follow one JSON object per line').conflicts('csv'))
    .option('--csv', 'print comma-separated values')
    .option('--project <name>', "use the latest run of this project instead of the folder's")
    .addHelpText(
      'after',
      `
runctl reads metrics from the log of the training: JSON lines, lines with an epoch or a step, and what Keras,
Lightning, Hugging Face, nanoGPT, XGBoost, LightGBM, scikit-learn and Ultralytics print.

Examples:
  runctl metrics
  runctl metrics --name val_loss -f
  runctl metrics digits-3f2a digits-77c1 --csv > metrics.csv
  runctl metrics --match 'score=Score is ([0-9.]+)'`,
    )
    .action(async (ids: string[], options: MetricsOptions, command: Command) => {
      await withContext(command, async (context) => {
        const { showMetrics } = await import('../metrics/show-metrics.ts');
        return await showMetrics(context, ids, options);
      });
    });
}
