import { createHash } from 'node:crypto';
import { RunError } from '../errors.ts';
import { ENABLED_TAG } from '../names.ts';
import type { FoundInstance, InstanceSelector } from '../workflow/choose-instance.ts';
import { BOOT_S, NO_CAPACITY } from '../workflow/start-instance.ts';
import type { Bake, BakeInput, BakeOutput } from './data.ts';
import { IMAGE_TAGS, MADE_BY_BAKE } from './names.ts';
import type { Images } from './ports.ts';
import { again, done, type Patience } from './visit.ts';

export interface StartPorts {
  readonly images: Pick<Images, 'run'>;
  readonly instances: {
    find(selector: InstanceSelector): Promise<FoundInstance[]>;
    /** What SSM says of its agent; null: it does not know the instance. */
    ping(id: string, startedAt: number | null): Promise<string | null>;
  };
  /** Epoch milliseconds. */
  readonly now: () => number;
}

const CAPACITY: Patience = { longest: 7_200, error: 'NoCapacity' };
const BOOT: Patience = { longest: BOOT_S, error: 'AgentOffline' };

/**
 * One visit to an instance of the bake: starts it from the launch template, and waits for its SSM agent. One that EC2 takes back
 * for lack of capacity is asked for again.
 * @param which `builder`: from the base image. `tester`: from the image that was made.
 * @throws RunError `NoCapacity`, `InstanceStartFailed`, `AgentOffline`
 */
export async function startInstance(
  { images, instances, now }: StartPorts,
  { bake, waiting }: BakeInput,
  which: 'builder' | 'tester',
): Promise<BakeOutput> {
  const at = now() / 1_000;
  const id = bake[which];
  if (id === null) {
    const image = which === 'builder' ? bake.base : bake.image;
    if (image === null) throw new RunError('Internal', 'there is no image to start an instance from');
    const { template } = bake;
    const started = await images.run({ template, image, token: tokenOf(bake, which), tags: tagsOf(bake, which) });
    if ('id' in started) {
      // The time for its boot begins now.
      return again({ ...bake, [which]: started.id }, null, at, `${started.id} starts.`, BOOT);
    }
    if (started.kind === 'no-capacity') {
      return again(bake, waiting, at, `EC2 has no capacity now: ${started.message}`, CAPACITY);
    }
    const from = `from the launch template ${template.id}, version ${template.version}`;
    throw new RunError('InstanceStartFailed', `EC2 does not start an instance ${from}: ${started.message}`);
  }
  // EC2 shows a new instance a moment later than it starts it.
  const [found] = await instances.find({ id });
  if (found && !['pending', 'running'].includes(found.state)) {
    const reason = found.reason ?? 'EC2 gives no reason';
    const message = `${id} was started, and is ${found.state}: ${reason}.`;
    if (!NO_CAPACITY.test(reason)) throw new RunError('InstanceStartFailed', message);
    return withdraw(bake, which, at, `EC2 had no capacity after all: ${message}`);
  }
  const ping = found?.state === 'running' ? await instances.ping(id, found.startedAt) : null;
  if (ping === 'Online') {
    const { withdrawn: _before, ...ready } = bake;
    return done(ready);
  }
  return again(bake, waiting, at, `${id} starts; its SSM agent is not online yet.`, BOOT);
}

/** Another instance is asked for; the time without capacity goes on. */
function withdraw(bake: Bake, which: 'builder' | 'tester', at: number, message: string): BakeOutput {
  const { times, since } = bake.withdrawn ?? { times: 0, since: at };
  const without = { ...bake, [which]: null, withdrawn: { times: times + 1, since } };
  return again(without, { since }, at, message, CAPACITY);
}

/** Equal for every attempt of the state: EC2 then starts one instance, until it takes that back. 64 characters at most. */
function tokenOf({ name, withdrawn }: Bake, which: string): string {
  const of = [name, which, ...(withdrawn ? [String(withdrawn.times)] : [])];
  return createHash('sha256').update(of.join('\0')).digest('hex').slice(0, 32);
}

function tagsOf({ name, project }: Bake, which: string): Record<string, string> {
  return {
    Name: `runctl image ${project} (${which})`,
    [ENABLED_TAG.key]: ENABLED_TAG.value,
    [MADE_BY_BAKE.key]: MADE_BY_BAKE.value,
    [IMAGE_TAGS.bake]: name,
  };
}
