import type { EventBridgeEvent } from 'aws-lambda';
import { describe, expect, it } from 'vitest';
import { createStartRun } from '../../lambdas/start-run.ts';
import { FakeArchives, FakeExecutions } from '../fakes/ports.ts';

type Detail = Parameters<ReturnType<typeof createStartRun>>[0]['detail'];

function event(key: string, version?: string, bucket = 'mine') {
  const object = version === undefined ? { key } : { key, 'version-id': version };
  return { detail: { bucket: { name: bucket }, object } } as EventBridgeEvent<'Object Created', Detail>;
}

function setUp() {
  const archives = new FakeArchives();
  const executions = new FakeExecutions();
  return { archives, executions, start: createStartRun(archives, executions, 'mine') };
}

describe('start-run', () => {
  it('starts one run however often S3 tells of an upload', async () => {
    const { start, executions } = setUp();
    const told = [];
    for (let time = 0; time < 3; time += 1) told.push(await start(event('uploads/a/x.tar.gz', 'v1')));
    expect(told.map(({ started }) => started)).toEqual([true, false, false]);
    expect([...executions.inputs.values()]).toEqual([{ archive: 's3://mine/uploads/a/x.tar.gz?versionId=v1' }]);
  });

  it('starts another run for another version', async () => {
    const { start, executions } = setUp();
    await start(event('uploads/a/x.tar.gz', 'v1'));
    await start(event('uploads/a/x.tar.gz', 'v2'));
    expect(executions.inputs.size).toBe(2);
  });

  it('asks for the version when the event has none', async () => {
    const { start, executions, archives } = setUp();
    await start(event('uploads/x.tar.gz'));
    archives.version = null;
    await start(event('uploads/x.tar.gz'));
    expect([...executions.inputs.values()]).toEqual([
      { archive: 's3://mine/uploads/x.tar.gz?versionId=v-now' },
      { archive: 's3://mine/uploads/x.tar.gz' },
    ]);
  });

  it('takes keys with spaces, quotes, unicode and + as they are', async () => {
    const { start, executions } = setUp();
    const key = `uploads/my "naïve" it's/a+b 訓練%20.tar.gz`;
    const { execution } = await start(event(key, 'v1'));
    expect(execution).toMatch(/^[A-Za-z0-9_-]{1,80}$/);
    expect(executions.inputs.get(execution)).toEqual({ archive: `s3://mine/${key}?versionId=v1` });
  });

  it.each([
    ['another prefix', event('archives/x.tar.gz', 'v1')],
    ['another bucket', event('uploads/x.tar.gz', 'v1', 'theirs')],
    ['another kind of file', event('uploads/x.zip', 'v1')],
  ])('starts nothing for %s', async (_, upload) => {
    const { start, executions } = setUp();
    await expect(start(upload)).rejects.toThrow('not an upload of this stack');
    expect(executions.inputs.size).toBe(0);
  });
});
