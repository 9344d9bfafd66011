import type { PricedInstance } from '../cost/price.ts';
import { RunError } from '../errors.ts';
import { DEFAULT_ROOT, DEFAULT_USER, ENABLED_TAG, INSTANCE_TAGS, MANAGED_TAG } from '../names.ts';
import { parseDuration } from '../units.ts';
import type { Instance } from './data.ts';

export type InstanceSelector = { readonly id: string } | { readonly tag: string; readonly value: string };

export interface FoundInstance {
  readonly id: string;
  /** EC2's name of the state: running, stopped, … */
  readonly state: string;
  readonly platform: 'linux' | 'windows';
  readonly type: string;
  readonly image: string;
  readonly tags: Readonly<Record<string, string>>;
  /** What its price depends on. */
  readonly priced: PricedInstance;
  /** Epoch milliseconds of its last start; null: not known. */
  readonly startedAt: number | null;
  /** EC2's code for why it is in its state, such as Client.UserInitiatedShutdown; null: none. */
  readonly reason: string | null;
}

/** As EC2 describes an instance. */
interface DescribedInstance {
  readonly InstanceId?: string | undefined;
  readonly State?: { readonly Name?: string | undefined } | undefined;
  readonly Platform?: string | undefined;
  readonly InstanceType?: string | undefined;
  readonly ImageId?: string | undefined;
  /** Left out: on demand. */
  readonly InstanceLifecycle?: string | undefined;
  /** Of the image, such as Linux/UNIX or Red Hat Enterprise Linux. */
  readonly PlatformDetails?: string | undefined;
  readonly Placement?:
    | { readonly AvailabilityZone?: string | undefined; readonly Tenancy?: string | undefined }
    | undefined;
  readonly LaunchTime?: Date | undefined;
  readonly StateReason?: { readonly Code?: string | undefined } | undefined;
  readonly Tags?: readonly { readonly Key?: string | undefined; readonly Value?: string | undefined }[] | undefined;
}

export function foundInstance(instance: DescribedInstance): FoundInstance {
  return {
    id: instance.InstanceId ?? '',
    state: instance.State?.Name ?? 'unknown',
    platform: instance.Platform?.toLowerCase() === 'windows' ? 'windows' : 'linux',
    type: instance.InstanceType ?? 'unknown',
    image: instance.ImageId ?? 'unknown',
    tags: tagsOf(instance),
    priced: pricedInstance(instance),
    startedAt: instance.LaunchTime?.getTime() ?? null,
    reason: instance.StateReason?.Code ?? null,
  };
}

/** The tags of something of EC2, by their keys. */
export function tagsOf({ Tags }: Pick<DescribedInstance, 'Tags'>): Record<string, string> {
  return Object.fromEntries((Tags ?? []).map((tag) => [tag.Key ?? '', tag.Value ?? '']));
}

function pricedInstance(instance: DescribedInstance): PricedInstance {
  const { InstanceLifecycle = 'on-demand', PlatformDetails = 'Linux/UNIX', Placement } = instance;
  return {
    type: instance.InstanceType ?? 'unknown',
    zone: Placement?.AvailabilityZone ?? null,
    isSpot: InstanceLifecycle === 'spot',
    isPlain:
      ['on-demand', 'spot'].includes(InstanceLifecycle) &&
      PlatformDetails === 'Linux/UNIX' &&
      (Placement?.Tenancy ?? 'default') === 'default',
  };
}

/** What DescribeInstances is asked for a selector. */
export function describeInput(selector: InstanceSelector) {
  if ('id' in selector) return { InstanceIds: [selector.id] };
  return { Filters: [{ Name: `tag:${selector.tag}`, Values: [selector.value] }] };
}

/** Errors of DescribeInstances that say: there is none. */
export const UNKNOWN_INSTANCE = ['InvalidInstanceID.NotFound', 'InvalidInstanceID.Malformed'];

/** `i-…` or `tag:Key=value`, as the spec's schema has checked. */
export function parseSelector(text: string): InstanceSelector {
  if (!text.startsWith('tag:')) return { id: text };
  const equals = text.indexOf('=');
  return { tag: text.slice(4, equals), value: text.slice(equals + 1) };
}

/** What of a run the administrator of an instance may restrict. */
export interface RunRequest {
  readonly project: string;
  /** The spec's `user`; null: the instance's default. */
  readonly user: string | null;
}

/** Whether runctl may start and stop it. */
export function isManaged({ tags }: Pick<FoundInstance, 'tags'>): boolean {
  return tags[ENABLED_TAG.key] === ENABLED_TAG.value && tags[MANAGED_TAG.key] === MANAGED_TAG.value;
}

/**
 * Picks the one instance that a run may use.
 * @param mayStart when none is running, one that runctl may start will do
 * @throws RunError `InstanceNotFound`, `InstanceAmbiguous`, `InstanceNotRunning`, `InstanceNotLinux`, `InstanceNotEnabled`,
 * `ProjectNotAllowed`, `UserNotAllowed`
 */
export function chooseInstance(
  found: readonly FoundInstance[],
  wanted: string,
  request: RunRequest,
  { mayStart = false } = {},
): Instance {
  const present = found.filter((instance) => instance.state !== 'terminated' && instance.state !== 'shutting-down');
  const running = present.filter((instance) => instance.state === 'running');
  const list = (instances: readonly FoundInstance[]) =>
    instances.map((instance) => `${instance.id} (${instance.state})`).join(', ');
  const usable = running.length === 0 && mayStart ? present.filter(isManaged) : running;
  const [instance, second] = usable;
  if (present.length === 0) throw new RunError('InstanceNotFound', `There is no instance ${wanted}.`);
  if (!instance) throw new RunError('InstanceNotRunning', `No instance ${wanted} is running: ${list(present)}.`);
  if (second) throw new RunError('InstanceAmbiguous', `${usable.length} instances are ${wanted}: ${list(usable)}.`);
  if (instance.platform !== 'linux') throw new RunError('InstanceNotLinux', `${instance.id} runs Windows.`);
  if (instance.tags[ENABLED_TAG.key] !== ENABLED_TAG.value) {
    throw new RunError(
      'InstanceNotEnabled',
      `${instance.id} does not have the tag ${ENABLED_TAG.key}=${ENABLED_TAG.value}.`,
    );
  }
  const users = listOf(instance.tags[INSTANCE_TAGS.users]);
  const user = instance.tags[INSTANCE_TAGS.user] ?? null;
  refuseUnlessAllowed(instance, { ...request, users: user === null ? users : [user, ...users] });
  return {
    id: instance.id,
    root: instance.tags[INSTANCE_TAGS.root] ?? DEFAULT_ROOT,
    home: instance.tags[INSTANCE_TAGS.home] ?? null,
    user,
    users,
    projects: allowedProjects(instance),
    imds: instance.tags[INSTANCE_TAGS.imds] === 'allow',
    platform: instance.platform,
    type: instance.type,
    image: instance.image,
    ...(isManaged(instance) ? { managed: true, ...stopAfterOf(instance) } : {}),
  };
}

/** A value that cannot be read counts as none: the default then bounds the bill. */
export function stopAfterOf({ tags }: FoundInstance): { stopAfter?: number | 'never' } {
  const text = tags[INSTANCE_TAGS.stopAfter] ?? '';
  if (text === 'never') return { stopAfter: 'never' };
  return /^\d{1,6}(\.\d{1,6})?[smh]$/.test(text) ? { stopAfter: parseDuration(text) } : {};
}

/** What the price of the instance that was chosen of these depends on. */
export function pricedOf(found: readonly FoundInstance[], chosen: Pick<Instance, 'id'>): PricedInstance {
  return foundOf(found, chosen).priced;
}

/** The instance that was chosen of these, as EC2 describes it. */
export function foundOf(found: readonly FoundInstance[], { id }: Pick<Instance, 'id'>): FoundInstance {
  return found.find((instance) => instance.id === id) as FoundInstance;
}

/** The runner refuses such a user again: this is the early answer, with the tag's name in it. */
function refuseUnlessAllowed(
  instance: FoundInstance,
  { project, user, users }: RunRequest & { users: string[] },
): void {
  const projects = allowedProjects(instance);
  if (projects !== null && !projects.includes(project)) {
    throw new RunError(
      'ProjectNotAllowed',
      `${instance.id} does not allow the project ${project}: its tag ${INSTANCE_TAGS.projects} is "${projects.join(' ')}".`,
    );
  }
  if (user !== null && user !== DEFAULT_USER && !users.includes(user)) {
    throw new RunError(
      'UserNotAllowed',
      `${instance.id} does not allow jobs of the user ${user}: its tag ${INSTANCE_TAGS.users} does not name that user.`,
    );
  }
}

/** null: every project. */
function allowedProjects({ tags }: FoundInstance): string[] | null {
  const value = tags[INSTANCE_TAGS.projects];
  return value === undefined ? null : listOf(value);
}

/** A tag's value as a list: names separated by spaces, since EC2 allows no comma in every tag. */
function listOf(value: string | undefined): string[] {
  return (value ?? '').split(/[\s,]+/).filter((name) => name !== '');
}
