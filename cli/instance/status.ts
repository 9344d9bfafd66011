import { instancesOver } from '../../aws/instances.ts';
import { ENABLED_TAG } from '../../core/names.ts';
import { DEFAULT_STOP_AFTER_S } from '../../core/power/watch-power.ts';
import { formatDuration } from '../../core/units.ts';
import { type FoundInstance, foundInstance, isManaged, stopAfterOf } from '../../core/workflow/choose-instance.ts';
import type { Account } from '../account/account.ts';
import { findInstances } from '../account/instances.ts';
import { setUpError } from '../errors.ts';
import type { InstanceOutput } from '../output/schemas.ts';
import type { Found } from '../project/project.ts';
import { Runs } from '../runs/find.ts';
import type { Terminal } from '../terminal/terminal.ts';
import { formatTime } from '../terminal/times.ts';

/** Between two looks: EC2 allows some describe calls a second. */
export const LOOK_MS = 3_000;

type Services = Pick<Account, 'ec2' | 'ssm'>;

/** The one instance that is meant, whatever its state. @throws CliError when there is none, or more than one */
export async function oneInstance(
  { ec2 }: Pick<Services, 'ec2'>,
  { value, from }: Found<string>,
): Promise<FoundInstance> {
  const found = (await findInstances(ec2, value)).map(foundInstance);
  const [one, second] = found;
  if (!one) throw setUpError(`No instance matches ${value} (from ${from}).`, 'To see what exists: runctl doctor');
  if (!second) return one;
  const list = found.map(({ id, state }) => `${id} (${state})`).join(', ');
  throw setUpError(`${found.length} instances match ${value} (from ${from}): ${list}.`, 'Give the id of one of them.');
}

/** The same instance, as it is now. */
export async function again(services: Pick<Services, 'ec2'>, { id }: FoundInstance): Promise<FoundInstance> {
  return await oneInstance(services, { value: id, from: 'its id' });
}

/** SSM's PingStatus of its agent since its last start; null: SSM does not know it, or the instance is not running. */
export async function agentOf({ ec2, ssm }: Services, { id, state, startedAt }: FoundInstance): Promise<string | null> {
  return state === 'running' ? await instancesOver(ec2, ssm).ping(id, startedAt) : null;
}

/** Runs that have the instance, wait for it, or whose results it is sending. */
export async function runsOn(account: Account, { id }: FoundInstance): Promise<InstanceOutput['runs']> {
  const runs = await Runs.of(account);
  const found: InstanceOutput['runs'] = [];
  for await (const run of runs.list(null, { active: true })) {
    if (run.instance === id) found.push({ id: run.id, project: run.project, state: run.state });
  }
  return found;
}

export async function statusOf(account: Account, instance: FoundInstance): Promise<InstanceOutput> {
  const managed = isManaged(instance);
  const [agent, runs] = await Promise.all([agentOf(account, instance), runsOn(account, instance)]);
  return {
    id: instance.id,
    type: instance.type,
    state: instance.state,
    startedAt: instance.startedAt === null ? null : new Date(instance.startedAt).toISOString(),
    agent,
    enabled: instance.tags[ENABLED_TAG.key] === ENABLED_TAG.value,
    managed,
    stopAfter: managed ? (stopAfterOf(instance).stopAfter ?? DEFAULT_STOP_AFTER_S) : null,
    runs,
  };
}

export function printStatus(terminal: Terminal, status: InstanceOutput): void {
  const { id, type, state, startedAt, agent, enabled, managed, stopAfter, runs } = status;
  const since = state === 'running' && startedAt !== null ? ` since ${formatTime(Date.parse(startedAt))}` : '';
  terminal.print(`${id} (${type}) is ${state}${since}`);
  if (state === 'running') terminal.print(`  SSM agent   ${agent ?? 'not known to SSM'}`);
  if (!enabled) terminal.print(`  tag         ${ENABLED_TAG.key}=${ENABLED_TAG.value} is missing: runs cannot use it`);
  terminal.print(`  power       ${powerText(managed, stopAfter)}`);
  terminal.print(
    `  runs        ${runs.length === 0 ? 'none' : runs.map((run) => `${run.id} (${run.state})`).join(', ')}`,
  );
}

function powerText(managed: boolean, stopAfter: InstanceOutput['stopAfter']): string {
  if (!managed) return 'runctl neither starts nor stops it by itself: it has no tag runctl:power=managed';
  if (stopAfter === null || stopAfter === 'never') return 'managed: runs start it, and nothing stops it';
  return `managed: runs start it, and it is stopped ${formatDuration(stopAfter)} after the last one`;
}
