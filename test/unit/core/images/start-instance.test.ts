import { describe, expect, it } from 'vitest';
import type { Waiting } from '../../../../core/images/data.ts';
import { startInstance } from '../../../../core/images/start-instance.ts';
import { foundInstance } from '../../../support/fakes/samples.ts';
import { BASE, BUILDER, bake, FakeImages, IMAGE, STARTED } from './support.ts';

function ports({
  state = 'running',
  reason = null as string | null,
  ping = 'Online' as string | null,
  after = 0,
  images = new FakeImages(),
} = {}) {
  const found = state === 'gone' ? [] : [{ ...foundInstance, id: BUILDER, state, reason }];
  const instances = { find: async () => found, ping: async () => ping };
  return { images, instances, now: () => STARTED + after * 1_000 };
}

const waiting: Waiting = { since: STARTED / 1_000, wait: 10, message: '' };

describe('the builder', () => {
  it('is started from the base image, once however often the state is entered, with the tags of the bake', async () => {
    const given = ports();
    const first = await startInstance(given, { bake, waiting: null }, 'builder');
    expect(first).toMatchObject({ bake: { builder: BUILDER }, waiting: { wait: 10 } });
    await startInstance(given, { bake, waiting: null }, 'builder');
    const [one, other] = given.images.started;
    expect(one).toMatchObject({
      image: BASE,
      tags: { runctl: 'enabled', 'runctl:bake': 'demo-image-1', 'runctl:made-by': 'runctl-bake' },
    });
    expect(other?.token).toBe(one?.token);
  });

  it('is ready when its agent is online', async () => {
    const started = { ...bake, builder: BUILDER };
    expect(await startInstance(ports(), { bake: started, waiting }, 'builder')).toEqual({
      bake: started,
      waiting: null,
    });
    for (const given of [ports({ state: 'pending' }), ports({ state: 'gone' }), ports({ ping: null })]) {
      const output = await startInstance(given, { bake: started, waiting }, 'builder');
      expect(output.waiting?.wait).toBeGreaterThan(0);
    }
  });

  it('that does not boot, or is stopped again, ends the bake', async () => {
    const started = { ...bake, builder: BUILDER };
    const late = startInstance(ports({ ping: null, after: 900 }), { bake: started, waiting }, 'builder');
    await expect(late).rejects.toMatchObject({ name: 'AgentOffline' });
    const stopped = startInstance(ports({ state: 'terminated' }), { bake: started, waiting }, 'builder');
    await expect(stopped).rejects.toMatchObject({ name: 'InstanceStartFailed' });
  });

  it('is asked for again when EC2 takes it back for lack of capacity, two hours at most', async () => {
    const reason = 'Server.InsufficientInstanceCapacity: Insufficient capacity.';
    const lacking = (after: number) => ports({ state: 'terminated', reason, after });
    const started = await startInstance(ports(), { bake, waiting: null }, 'builder');
    const first = await startInstance(lacking(20), { ...started }, 'builder');
    expect(first).toMatchObject({
      bake: { builder: null, withdrawn: { times: 1 } },
      waiting: { message: expect.stringContaining('no capacity after all') },
    });
    const given = ports({ after: 30 });
    await startInstance(ports({ images: given.images }), { bake, waiting: null }, 'builder');
    const second = await startInstance(given, first, 'builder');
    const [one, other] = given.images.started;
    expect(second.bake).toMatchObject({ builder: BUILDER, withdrawn: { times: 1 } });
    expect(other?.token).not.toBe(one?.token);
    const online = await startInstance(ports({ after: 60 }), second, 'builder');
    expect(online).toEqual({ bake: { ...bake, builder: BUILDER }, waiting: null });
    await expect(startInstance(lacking(7_300), second, 'builder')).rejects.toMatchObject({ name: 'NoCapacity' });
  });

  it('waits for capacity, two hours at most; any other refusal ends the bake', async () => {
    const images = new FakeImages();
    const refusal = { kind: 'no-capacity', message: 'InsufficientInstanceCapacity: none' } as const;
    images.refusals = [refusal, refusal, { kind: 'other', message: 'VPCIdNotSpecified: no default VPC' }];
    const first = await startInstance(ports({ images }), { bake, waiting: null }, 'builder');
    expect(first).toMatchObject({ bake: { builder: null }, waiting: { message: expect.stringContaining('capacity') } });
    const late = startInstance(ports({ images, after: 7_200 }), { bake, waiting: first.waiting }, 'builder');
    await expect(late).rejects.toMatchObject({ name: 'NoCapacity' });
    const other = startInstance(ports({ images }), { bake, waiting: null }, 'builder');
    await expect(other).rejects.toMatchObject({
      name: 'InstanceStartFailed',
      message: expect.stringMatching(/lt-0123456789abcdef0.*VPCIdNotSpecified/),
    });
  });
});

it('the test instance is started from the image that was made, by a token of its own', async () => {
  const given = ports();
  await startInstance(given, { bake, waiting: null }, 'builder');
  await startInstance(given, { bake: { ...bake, builder: BUILDER, image: IMAGE }, waiting: null }, 'tester');
  const [builder, tester] = given.images.started;
  expect(tester).toMatchObject({ image: IMAGE, template: bake.template });
  expect(tester?.token).not.toBe(builder?.token);
});
