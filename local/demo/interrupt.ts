import { executionsOver } from '../../aws/executions.ts';
import { getObject, headObject } from '../../aws/objects.ts';
import type { Print } from '../../cli/runs/print-events.ts';
import { pollUntil } from '../../cli/terminal/poll.ts';
import { latestKey } from '../../core/checkpoints/keys.ts';
import { readLatest } from '../../core/checkpoints/manifest.ts';
import { readRun } from '../../core/workflow/history.ts';
import type { Clients } from '../cloud/clients.ts';
import type { StartedRun } from './run.ts';

const POLL_MS = 1_000;

/** Kills the training of the demo when it has a checkpoint in S3, as a crash would. */
export async function interruptOnce(
  run: StartedRun,
  clients: Clients,
  print: Print,
  signal: AbortSignal,
): Promise<void> {
  const { bucket, project, runId } = run;
  const key = latestKey(project, runId);
  const latest = await pollUntil(
    POLL_MS,
    async () => {
      if ((await headObject(clients.s3, { bucket, key }, signal)) === null) return undefined;
      const object = await getObject(clients.s3, { bucket, key }, { signal });
      return readLatest((await object?.Body?.transformToString()) ?? '') ?? undefined;
    },
    signal,
  );
  const { train } = readRun(await executionsOver(clients.sfn).history(run.executionArn, { data: true }));
  if (train?.pid == null) return;
  print(`${' '.repeat(9)}--interrupt: ${latest.name} is in S3; killing the training, PID ${train.pid}`);
  process.kill(train.pid, 'SIGKILL');
}
