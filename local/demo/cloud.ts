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
 * Brings the local cloud up for a demo, with its progress. One that the demo started is marked as the demo's: a later demo
 * ends it too, though `--keep` had left it. One that a person brought up stays that person's.
 */
export async function bringUp(paths: StatePaths, signal: AbortSignal): Promise<LocalState> {
  const before = await readState(paths).catch(() => undefined); // `up` will say what is wrong with it
  const theirs = before !== undefined && (await isAlive(before.ministack)) && !(await isDemosOwn(paths));
  if (!theirs) await markAsDemos(paths); // before anything runs: what fails half-way is ended too
  const { state } = await up(paths, { agentCommand: null, deploy: 'changed', signal, output: 'progress' });
  // `up` may have begun anew, with an empty folder.
  if (!theirs || state.ministack.pid !== before.ministack.pid) await markAsDemos(paths);
  await keepPackageCaches(join(paths.instance, 'home'), paths);
  return state;
}

/** Ends the local cloud if it is the demo's own. @returns whether it was. */
export async function takeDown(paths: StatePaths): Promise<boolean> {
  if (!(await isDemosOwn(paths))) return false;
  await down(paths, { purge: false });
  return true;
}

/** Ends a run in a cloud that stays up: the execution, then what it started on the instance. */
export async function endRun(cloud: CloudAccess, run: { executionArn: string; runId: string }): Promise<void> {
  const clients = localClients(cloud);
  try {
    // The upload may be on its way still; a run that begins when nobody looks any more is the worst of all.
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
