import { CommanderError } from 'commander';
import { fail } from '../../cli/failure.ts';
import { eventPrinter } from '../../cli/runs/print-events.ts';
import { Terminal } from '../../cli/terminal/terminal.ts';
import { formatDuration } from '../../core/units.ts';
import { localClients } from '../cloud/clients.ts';
import { localCommand, type StatePaths, statePaths } from '../cloud/paths.ts';
import type { LocalState } from '../cloud/state.ts';
import { nextCommands } from '../commands/next-commands.ts';
import { endRun, startCloud, stopDemoCloud } from './cloud.ts';
import { Interruption } from './interrupt.ts';
import { type DemoOptions, parseDemoOptions } from './options.ts';
import { checkFolder, type StartedRun, startRun, watchRun } from './run.ts';
import { RunRecord } from './summary.ts';

// Turns off the SDK's warning on each start that it will need Node 22 in 2027.
process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = 'true';

/** The exit code of a program that SIGINT ended. */
const INTERRUPTED = 130;

const terminal = new Terminal({ out: process.stdout, err: process.stderr, in: process.stdin, env: process.env });
const { colors } = terminal;
const print = (line: string) => terminal.print(line);

interface Started {
  state?: LocalState;
  /** While it is running. */
  run?: StartedRun;
  runId?: string;
}

/** @returns the exit code: 0 only when the execution succeeded. */
async function main(argv: readonly string[]): Promise<number> {
  const options = parseDemoOptions(argv);
  if (options === null) return 0;
  await checkFolder(options);
  const paths = statePaths(options.state);
  const { signal } = stopOnRequest();
  const started: Started = {};
  try {
    return (await demo(options, paths, signal, started)) ? 0 : 1;
  } catch (error) {
    if (!signal.aborted) throw error;
    return INTERRUPTED;
  } finally {
    await cleanUp(options, paths, signal.aborted, started);
  }
}

/** Stops the demo in order on SIGINT, SIGTERM and SIGHUP. The handlers stay, so that a second signal leaves nothing running. */
function stopOnRequest(): AbortController {
  const controller = new AbortController();
  const stop = () => {
    if (controller.signal.aborted) return;
    controller.abort();
    print('Stopping the run and everything else that the demo started.');
  };
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, stop);
  // The reader has gone (`npm run demo | head`, a closed terminal): clean up before ending.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => controller.abort());
  return controller;
}

async function demo(options: DemoOptions, paths: StatePaths, signal: AbortSignal, started: Started): Promise<boolean> {
  const startedAt = performance.now();
  const state = await startCloud(paths, signal);
  started.state = state;
  const clients = localClients(state);
  try {
    print(`The local cloud is running after ${formatDuration((performance.now() - startedAt) / 1_000)}`);
    print('');
    const run = await startRun(options, { state, clients }, print, signal);
    started.run = run;
    started.runId = run.runId;
    print(`Uploaded to ${run.archive}; the upload starts the run ${colors.bold(run.runId)}`);
    print('');
    const record = new RunRecord();
    const show = eventPrinter(print, colors);
    const interruption = new Interruption();
    if (options.interrupt) {
      const killed = interruption.waitAndKill(run, clients, print, signal);
      killed.catch((error: Error) => signal.aborted || print(`warning: ${error.message}`));
    }
    const end = await watchRun(
      run,
      clients,
      {
        print,
        show: (event) => {
          record.add(event);
          interruption.see(event);
          show(event);
        },
      },
      signal,
    );
    delete started.run; // it has ended
    const succeeded = end.status === 'SUCCEEDED';
    const title = `${succeeded ? 'Succeeded' : 'Failed'} after ${formatDuration((end.endedAt - end.startedAt) / 1_000)}`;
    print('');
    print(colors.bold(succeeded ? colors.green(title) : colors.red(title)));
    for (const row of [['run', run.runId] as const, ...record.rows(end)]) printRow(row);
    return succeeded;
  } finally {
    clients.destroy();
  }
}

function printRow([label, value]: readonly [string, string]): void {
  print(`  ${colors.dim(label.padEnd(10))} ${value}`);
}

async function cleanUp(options: DemoOptions, paths: StatePaths, interrupted: boolean, started: Started): Promise<void> {
  const isKept = options.keep && !interrupted;
  if (!isKept && (await stopDemoCloud(paths))) {
    print('The local cloud has stopped. Start one that keeps running:');
    print(`  ${localCommand('up', paths)}`);
    return;
  }
  if (started.state === undefined) return; // it did not start
  if (!isKept && started.run) await endRun(started.state, started.run);
  print('The local cloud is still running.');
  const log: [string, string][] =
    started.runId === undefined ? [] : [['In that shell, read logs:', `runctl logs ${started.runId}`]];
  print(nextCommands(paths, log).join('\n'));
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode;
  else fail(error);
}
