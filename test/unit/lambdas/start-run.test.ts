import { describe, expect, it } from 'vitest';
import { RunError } from '../../../core/errors.ts';
import { scheduledStart } from '../../../core/schedule/scheduled-start.ts';
import { createStartRun } from '../../../lambdas/start-run.ts';
import { FakeArchives, FakeExecutions } from '../../support/fakes/ports.ts';
import { MACHINE_ARN } from '../../support/fakes/samples.ts';

const NOW = Date.parse('2026-11-24T17:05:09Z');

function event(key: string, version?: string, bucket = 'mine') {
  const object = version === undefined ? { key } : { key, 'version-id': version };
  return { detail: { bucket: { name: bucket }, object } };
}

function setUp() {
  const archives = new FakeArchives();
  const executions = new FakeExecutions();
  return {
    archives,
    executions,
    start: createStartRun(archives, executions, { uploadBucket: 'mine', runMachineArn: MACHINE_ARN }, () => NOW),
  };
}

describe('start-run', () => {
  it('starts one run however often S3 sends the event of an upload', async () => {
    const { start, executions } = setUp();
    const told = [];
    for (let time = 0; time < 3; time += 1) told.push(await start(event('uploads/a/x.tar.gz', 'v1')));
    expect(told.map((one) => one?.started)).toEqual([true, false, false]);
    expect([...executions.inputs.values()]).toEqual([{ archive: 's3://mine/uploads/a/x.tar.gz?versionId=v1' }]);
  });

  it('starts one run for each time of a schedule, named by both, however often the schedule reports it', async () => {
    const { start, executions } = setUp();
    const spec = { project: 'digits', archive: 's3://mine/archives/x.tar.gz' };
    const at = (time: string) => ({
      ...scheduledStart('runctl-digits-nightly', spec),
      schedule: { name: 'runctl-digits-nightly', time },
    });
    await start(at('2026-11-24T02:00:00Z'));
    await start(at('2026-11-24T02:00:00Z'));
    await start(at('2026-11-25T02:00:00Z'));
    expect([...executions.inputs.keys()]).toEqual([
      expect.stringMatching(/^digits-nightly-20261124-020000-[0-9a-f]{8}$/),
      expect.stringMatching(/^digits-nightly-20261125-020000-[0-9a-f]{8}$/),
    ]);
    expect([...executions.inputs.values()]).toEqual([spec, spec]);
  });

  it('takes the present time where a scheduler does not fill it in', async () => {
    const { start } = setUp();
    expect((await start(scheduledStart('runctl-a', {})))?.execution).toMatch(/^a-20261124-170509-/);
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
    const { execution } = (await start(event(key, 'v1'))) ?? { execution: '' };
    expect(execution).toMatch(/^[A-Za-z0-9_-]{1,80}$/);
    expect(executions.inputs.get(execution)).toEqual({ archive: `s3://mine/${key}?versionId=v1` });
  });

  it('starts a run for an invalid or deleted archive, and the run reports the error', async () => {
    const { start, executions, archives } = setUp();
    await start(event('uploads/x.zip', 'v1'));
    archives.missing = true;
    await start(event('uploads/gone.tar.gz'));
    expect([...executions.inputs.values()]).toEqual([
      { archive: 's3://mine/uploads/x.zip?versionId=v1' },
      { archive: 's3://mine/uploads/gone.tar.gz' },
    ]);
  });

  it('lets a folder be that the console made', async () => {
    const { start, executions } = setUp();
    expect(await start(event('uploads/digits/', 'v1'))).toBe(null);
    expect(executions.inputs.size).toBe(0);
  });

  it('fails when S3 or Step Functions do, so that the event comes again', async () => {
    const { start, executions, archives } = setUp();
    archives.currentVersion = () => Promise.reject(new RunError('ServiceUnavailable', 'slow down'));
    await expect(start(event('uploads/x.tar.gz'))).rejects.toThrow('slow down');
    executions.start = () => Promise.reject(new RunError('ServiceUnavailable', 'throttled'));
    await expect(start(event('uploads/x.tar.gz', 'v1'))).rejects.toThrow('throttled');
  });

  it.each([
    [{}],
    [{ detail: { bucket: { name: 'mine' } } }],
    [{ detail: { bucket: { name: 'mine' }, object: { key: 7 } } }],
  ])('rejects %j, which is not an event of S3', async (made) => {
    await expect(setUp().start(made)).rejects.toThrow('not an event of S3');
  });

  it.each([
    ['another prefix', event('archives/x.tar.gz', 'v1')],
    ['another bucket', event('uploads/x.tar.gz', 'v1', 'theirs')],
  ])('starts nothing for %s', async (_, upload) => {
    const { start, executions } = setUp();
    await expect(start(upload)).rejects.toThrow('not an upload of this stack');
    expect(executions.inputs.size).toBe(0);
  });
});
