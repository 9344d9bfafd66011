import { type ErrorName, RunError } from '../errors.ts';
import { accept, type InstanceCommands, requestBase } from '../job/instance-commands.ts';
import { type FoundInstance, type InstanceSelector, isManaged } from '../workflow/choose-instance.ts';
import type { StopIdleInput, StopIdleOutput } from '../workflow/data.ts';
import { shareWait } from '../workflow/share-wait.ts';

/** Between two looks at an instance that somebody uses: a tenth of the time so far, within these. Seconds. */
const SHORTEST_WAIT_S = 30;
const LONGEST_WAIT_S = 600;
const SHARE = 10;
/** The instance has just become quiet enough when it is looked at again. */
const MARGIN_S = 1;
/** An older program does not know the request, and never will. */
const NEVER: readonly ErrorName[] = ['ProgramMissing'];

export interface StopPorts {
  readonly instances: { find(selector: InstanceSelector): Promise<FoundInstance[]> };
  readonly commands: InstanceCommands;
  readonly stop: (instanceId: string) => Promise<void>;
  /** Epoch milliseconds. */
  readonly now: () => number;
}

/**
 * One look at a managed instance: stops it when nobody uses it. The instance decides, under the lock of its lease, and marks itself
 * before it is stopped, so that a run that arrives meanwhile waits for the next boot. What is not known counts as use.
 */
export async function stopIfIdle(ports: StopPorts, input: StopIdleInput): Promise<StopIdleOutput> {
  const { run, instance, project, user, stopAfter, startedAt } = input;
  const again = (message: string, wait = laterWait(ports.now() - Date.parse(startedAt))): StopIdleOutput => ({
    wait,
    message,
  });
  const ended = (message: string): StopIdleOutput => ({ wait: null, message });
  const [found] = await ports.instances.find({ id: instance.id });
  if (!found || ['stopped', 'stopping', 'shutting-down', 'terminated'].includes(found.state))
    return ended(`${instance.id} is ${found?.state ?? 'gone'}`);
  if (!isManaged(found)) return ended(`${instance.id} no longer has the tags with which runctl may stop it`);
  if (found.state !== 'running') return again(`${instance.id} is ${found.state}`);
  const base = requestBase({ run, instance, project, user });
  let answer: Awaited<ReturnType<typeof ask>>;
  try {
    answer = await ask();
  } catch (error) {
    if (!(error instanceof RunError) || error.name === 'ServiceUnavailable') throw error;
    const message = `${instance.id} does not say whether it is used: ${error.name}: ${error.message}`;
    return NEVER.includes(error.name) ? ended(message) : again(message);
  }
  const reasons = answer.reasons.join('; ');
  switch (answer.verdict) {
    case 'stopping':
      await ports.stop(instance.id);
      return ended(`${instance.id} is being stopped`);
    case 'in-use':
      // The end of that run begins another execution.
      return ended(`${instance.id} is in use: ${reasons}`);
    case 'quiet':
      return again(`${instance.id} was used lately`, Math.ceil(stopAfter - answer.idleSeconds) + MARGIN_S);
    case 'busy':
      return again(`${instance.id} is busy: ${reasons}`);
  }

  async function ask() {
    const request = { ...base, verb: 'idle', quiet: stopAfter } as const;
    return accept('idle', await ports.commands.ask(instance.id, run.program, request));
  }
}

function laterWait(sinceStartMs: number): number {
  return shareWait(sinceStartMs / 1_000, { shortest: SHORTEST_WAIT_S, longest: LONGEST_WAIT_S, share: SHARE });
}
