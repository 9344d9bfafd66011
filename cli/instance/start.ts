import { powerOver } from '../../aws/power.ts';
import { ERRORS } from '../../core/errors.ts';
import { formatDuration } from '../../core/units.ts';
import type { FoundInstance } from '../../core/workflow/choose-instance.ts';
import { BOOT_S } from '../../core/workflow/start-instance.ts';
import type { Account } from '../account/account.ts';
import { setUpError } from '../errors.ts';
import { pollUntil } from '../terminal/poll.ts';
import type { Terminal } from '../terminal/terminal.ts';
import { again, agentOf, LOOK_MS } from './status.ts';

interface Waiting {
  readonly signal: AbortSignal;
  /** Between two looks, ms. */
  readonly everyMs?: number;
}

/**
 * Starts the instance, unless it runs, and waits until runs can use it. One that is stopping is started when it has stopped.
 * @returns it, running, with its SSM agent online
 * @throws CliError when EC2 does not start it, or its agent is not online in time
 */
export async function startInstance(
  account: Pick<Account, 'ec2' | 'ssm'>,
  terminal: Pick<Terminal, 'working'>,
  instance: FoundInstance,
  { signal, everyMs = LOOK_MS }: Waiting,
): Promise<FoundInstance> {
  const { id } = instance;
  const deadline = Date.now() + BOOT_S * 1_000;
  let now = instance;
  return await terminal.working(`Starting ${id}`, async (update) => {
    return await pollUntil(
      everyMs,
      async () => {
        if (now.state === 'stopped') await start(account, id);
        now = await again(account, now);
        const agent = await agentOf(account, now);
        if (agent === 'Online') return now;
        if (Date.now() > deadline) throw tooLate(now, agent);
        update(now.state === 'running' ? `${id} runs; waiting for its SSM agent` : `${id} is ${now.state}`);
        return undefined;
      },
      signal,
    );
  });
}

async function start({ ec2 }: Pick<Account, 'ec2'>, id: string): Promise<void> {
  const refusal = await powerOver(ec2).start(id);
  // `changed`: it is in another state by now, which the next look sees.
  if (refusal === null || refusal.kind === 'changed') return;
  const next = refusal.kind === 'no-capacity' ? ERRORS.NoCapacity.next : ERRORS.InstanceStartFailed.next;
  throw setUpError(`EC2 does not start ${id}: ${refusal.message}`, next);
}

function tooLate({ id, state }: FoundInstance, agent: string | null) {
  const what =
    state === 'running' ? `its SSM agent is not online (${agent ?? 'SSM does not know it'})` : `it is ${state}`;
  return setUpError(`${id} cannot be used after ${formatDuration(BOOT_S)}: ${what}.`, 'To check more: runctl doctor');
}
