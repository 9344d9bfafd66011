import { powerOver } from '../../aws/power.ts';
import type { FoundInstance } from '../../core/workflow/choose-instance.ts';
import type { Account } from '../account/account.ts';
import { setUpError } from '../errors.ts';
import type { InstanceOutput } from '../output/schemas.ts';
import { pollUntil } from '../terminal/poll.ts';
import type { Terminal } from '../terminal/terminal.ts';
import { again, LOOK_MS } from './status.ts';

/** @throws CliError that names the runs that would end with it */
export function refuseWhileUsed({ id }: FoundInstance, runs: InstanceOutput['runs']): void {
  if (runs.length === 0) return;
  const list = runs.map((run) => `${run.id} (${run.state})`).join(', ');
  throw setUpError(
    `${id} is in use by ${list}.`,
    `Wait for the end, or stop them first, which saves their results: runctl stop ${runs.map((run) => run.id).join(' ')}\nTo stop the instance nevertheless: runctl instance stop --force`,
  );
}

/** Stops the instance, unless it is stopped, and waits until it is. @returns it, stopped */
export async function stopInstance(
  { ec2 }: Pick<Account, 'ec2'>,
  terminal: Pick<Terminal, 'working'>,
  instance: FoundInstance,
  { signal, everyMs = LOOK_MS }: { readonly signal: AbortSignal; readonly everyMs?: number },
): Promise<FoundInstance> {
  if (!['stopped', 'stopping'].includes(instance.state)) await powerOver(ec2).stop(instance.id);
  return await terminal.working(`Stopping ${instance.id}`, async () => {
    return await pollUntil(
      everyMs,
      async () => {
        const now = await again({ ec2 }, instance);
        return now.state === 'stopped' ? now : undefined;
      },
      signal,
    );
  });
}
