import { access, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { StopExecutionCommand } from '@aws-sdk/client-sfn';
import { waitForStart } from '../../cli/runs/follow.ts';
import { ERRORS } from '../../core/errors.ts';
import { localClients } from '../cloud/clients.ts';
import type { CloudAccess } from '../cloud/credentials.ts';
import { keepPackageCaches } from '../cloud/instance.ts';
import { makePrivateFolders, type StatePaths } from '../cloud/paths.ts';
import { isAlive, killMarked } from '../cloud/processes.ts';
import { type LocalState, readState } from '../cloud/state.ts';
import { down } from '../commands/down.ts';
import { up } from '../commands/up.ts';

/**
 * Starts the local cloud for a demo and shows the progress. A cloud that a demo started is marked: a
 * later demo stops it too, even after `--keep`. A cloud that a person started is never stopped.
 */
export async function startCloud(paths: StatePaths, signal: AbortSignal): Promise<LocalState> {
  const before = await readState(paths).catch(() => undefined); // `up` reports the error
  const startedByPerson = before !== undefined && (await isAlive(before.ministack)) && !(await isDemosOwn(paths));
  if (!startedByPerson) await markAsDemos(paths); // before anything runs, so that a failed start is stopped too
  const { state } = await up(paths, { agentCommand: null, deploy: 'changed', signal, output: 'progress' });
  // `up` may have started a new cloud with an empty folder.
  if (!startedByPerson || state.ministack.pid !== before.ministack.pid) await markAsDemos(paths);
  await keepPackageCaches(join(paths.instance, 'home'), paths);
  return state;
}

/** Stops the local cloud if a demo started it. @returns whether a demo did */
export async function stopDemoCloud(paths: StatePaths): Promise<boolean> {
  if (!(await isDemosOwn(paths))) return false;
  await down(paths, { purge: false });
  return true;
}

/** Stops a run in a cloud that keeps running: the execution, then its processes on the instance. */
export async function endRun(cloud: CloudAccess, run: { executionArn: string; runId: string }): Promise<void> {
  const clients = localClients(cloud);
  try {
    // The upload may not have started the run yet. Without waiting for it, the run would start unattended.
    const started = await waitForStart(clients.sfn, run.executionArn, 10_000, new AbortController().signal);
    if (!started) return;
    const cause = JSON.stringify({
      outcome: 'stopped',
      message: 'The demo was interrupted.',
      next: ERRORS.RunStopped.next,
    });
    const stop = { executionArn: run.executionArn, error: 'RunStopped', cause };
    await clients.sfn.send(new StopExecutionCommand(stop));
    await killMarked((entry) => entry === `RUNCTL_RUN_ID=${run.runId}`);
  } finally {
    clients.destroy();
  }
}

function mark(paths: StatePaths): string {
  return join(paths.local, 'started-by-demo');
}

async function markAsDemos(paths: StatePaths): Promise<void> {
  await makePrivateFolders(paths);
  await writeFile(mark(paths), '');
}

async function isDemosOwn(paths: StatePaths): Promise<boolean> {
  return await access(mark(paths)).then(
    () => true,
    () => false,
  );
}
