import { beforeAll, describe, expect, it } from 'vitest';
import { Cloud } from '../support/cloud/cloud.ts';
import { waitFor } from '../support/instance/processes.ts';
import { tarGz } from './archives.ts';

let cloud: Cloud;
let long: string;
let stamped: string;
beforeAll(async () => {
  cloud = await Cloud.connect();
  long = await cloud.put(
    'archives/holds.tar.gz',
    await tarGz({ 'train.py': 'import time\nprint("begun", flush=True)\ntime.sleep(600)\n' }),
  );
  const script = `import os, time
path = os.path.expanduser("~/order.txt")
with open(path, "a") as turns:
    print("begin", os.environ["RUNCTL_RUN_ID"], file=turns)
time.sleep(0.2)
with open(path, "a") as turns:
    print("end", os.environ["RUNCTL_RUN_ID"], file=turns)
`;
  stamped = await cloud.put('archives/turns.tar.gz', await tarGz({ 'train.py': script }));
});

const start = (archive: string, project: string, spec: object = {}, name?: string) =>
  cloud.start({ instance: cloud.instanceId, archive, project, ...spec }, name);

describe('a busy instance', () => {
  it('is waited for, skipped, or refused, as the spec says; a waiting run can be stopped; the next in line gets it', async () => {
    const holder = await start(long, 'holds');
    await cloud.entered(holder, 'Watch training');
    const first = await start(stamped, 'turns');
    await cloud.entered(first, 'Wait for instance');
    const second = await start(stamped, 'turns');
    await cloud.entered(second, 'Wait for instance');

    const skipped = await cloud.finished(await start(stamped, 'turns', { ifBusy: 'skip' }));
    expect(skipped).toMatchObject({ status: 'FAILED', error: 'RunSkipped', cause: { outcome: 'skipped' } });
    const refused = await cloud.finished(await start(stamped, 'turns', { ifBusy: 'refuse' }));
    expect(refused).toMatchObject({ status: 'FAILED', error: 'InstanceBusy', cause: { outcome: 'busy' } });
    expect(refused.cause?.message).toContain(holder.split(':').at(-1));
    const tired = await cloud.finished(await start(stamped, 'turns', { maxWait: '3s' }));
    expect(tired).toMatchObject({ error: 'InstanceBusy', cause: { outcome: 'busy' } });
    expect(tired.cause?.message).toContain('maxWait');
    expect(await cloud.manifest(tired.arn)).toMatchObject({ outcome: 'busy', jobs: { train: null } });

    const waits = await cloud.outputOf(second, 'Sync code');
    expect(waits).toMatchObject({
      holder: { run: holder.split(':').at(-1) },
      queue: { place: 2, ahead: [{ run: first.split(':').at(-1) }] },
    });
    await cloud.stop(first);
    expect(await cloud.manifest(first)).toMatchObject({ outcome: 'stopped' });
    // The holder goes on: the next poll of the second run finds it at the head of the queue.
    await waitFor(async () => {
      const { queue } = (await cloud.outputOf(second, 'Sync code')) as { queue: { place: number } };
      return queue.place === 1 || null;
    }, 60);
    await cloud.stop(holder);
    expect(await cloud.finished(second)).toMatchObject({ status: 'SUCCEEDED' });
  });

  it('trains runs that start in the same second one after another, in the order in which they came', async () => {
    const arns = await Promise.all(
      Array.from({ length: 6 }, (_, index) => start(stamped, 'turns', { install: 'skip' }, `turn-${index}`)),
    );
    const arrivals: { since: number; run: string }[] = [];
    for (const arn of arns) {
      expect(await cloud.finished(arn)).toMatchObject({ status: 'SUCCEEDED' });
      const [first] = (await cloud.outputsOf(arn, 'Sync code')) as { queue: { since: number } | null }[];
      // No place in the queue: it came to a free instance.
      arrivals.push({ since: first?.queue?.since ?? 0, run: arn.split(':').at(-1) ?? '' });
    }
    arrivals.sort((a, b) => a.since - b.since || (a.run < b.run ? -1 : 1));
    const turns = cloud.readHome('order.txt').trim().split('\n').slice(-12);
    expect(turns).toEqual(arrivals.flatMap(({ run }) => [`begin ${run}`, `end ${run}`]));
  });
});
