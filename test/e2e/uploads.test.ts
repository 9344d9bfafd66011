import { CloudWatchClient, GetMetricStatisticsCommand } from '@aws-sdk/client-cloudwatch';
import { beforeAll, describe, expect, it } from 'vitest';
import { METRIC_NAMESPACE, METRICS } from '../../core/notify/metrics.ts';
import { Cloud } from '../support/cloud/cloud.ts';
import { waitFor } from '../support/instance/processes.ts';
import { tarGz } from './archives.ts';

let cloud: Cloud;
beforeAll(async () => {
  cloud = await Cloud.connect();
});

const SCRIPT = { 'train.py': 'print("hello")\n' };
const ended = async (key: string) => cloud.finished(await cloud.runAppears(key));

describe('an upload that cannot be a run', () => {
  it('is a failed run that says why', async () => {
    const code = await tarGz(SCRIPT);
    await cloud.put('uploads/doors/notes.txt', Buffer.from('remember the milk'));
    await cloud.put('uploads/doors/no json.tar.gz', code, '{"args": [');
    await cloud.put('uploads/doors/bad.tar.gz', await tarGz({ ...SCRIPT, 'runctl.yaml': 'scirpt: train.py\n' }));
    await cloud.put('uploads/doors/not-yaml.tar.gz', await tarGz({ ...SCRIPT, 'runctl.yaml': 'args: [\n' }));
    await cloud.invokeStartRun('uploads/doors/gone.tar.gz');
    const expected = {
      'notes.txt': ['ArchiveNotGzip', 'is not named .tar.gz'],
      'no json.tar.gz': ['InvalidSpec', 'x-amz-meta-runctl is not JSON'],
      'bad.tar.gz': ['InvalidSpec', 'did you mean script?'],
      'not-yaml.tar.gz': ['InvalidSpec', 'runctl.yaml is not YAML'],
      'gone.tar.gz': ['ArchiveNotFound', 'gone.tar.gz'],
    };
    for (const [name, [error, says]] of Object.entries(expected)) {
      const run = await ended(`uploads/doors/${name}`);
      expect(run, name).toMatchObject({ status: 'FAILED', error, cause: { outcome: 'rejected' } });
      expect(run.cause?.message, name).toContain(says);
      expect((await cloud.manifest(run.arn)).outcome).toBe('rejected');
    }
  });
});

describe('an event that nobody uploaded for', () => {
  it.each([
    [
      'of another bucket',
      { bucket: { name: 'theirs' }, object: { key: 'uploads/x.tar.gz' } },
      'not an upload of this stack',
    ],
    ['of no shape', { object: [] }, 'not an event of S3'],
  ])('%s starts nothing, and says so', async (_, detail, says) => {
    expect(await cloud.invokeStartRunWith({ id: 'made up', detail })).toMatchObject({
      errorMessage: expect.stringContaining(says),
    });
  });
});

describe('many uploads at once', () => {
  it('have a run each', async () => {
    const keys = Array.from({ length: 12 }, (_, index) => `uploads/flood/${index}.tar.gz`);
    await Promise.all(keys.map((key) => cloud.put(key, Buffer.from('no archive'))));
    for (const key of keys) expect((await ended(key)).error).toBe('ArchiveNotGzip');
    for (const key of keys) expect(await cloud.runsOf(key)).toHaveLength(1);
  });

  it('are counted: how they ended, and how many run', async () => {
    const cloudWatch = cloud.client(CloudWatchClient);
    const sum = async (MetricName: string, Statistic: 'Sum' | 'SampleCount', outcome?: string) => {
      const { Datapoints } = await cloudWatch.send(
        new GetMetricStatisticsCommand({
          Namespace: METRIC_NAMESPACE,
          MetricName,
          Dimensions: outcome ? [{ Name: 'Outcome', Value: outcome }] : [],
          StartTime: new Date(Date.now() - 3_600_000),
          EndTime: new Date(Date.now() + 60_000),
          Period: 7_200,
          Statistics: [Statistic],
        }),
      );
      return (Datapoints ?? []).reduce((total, point) => total + (point[Statistic] ?? 0), 0);
    };
    // Twelve of this file's flood and five of its first test; other files add theirs.
    await waitFor(async () => (await sum(METRICS.ended, 'Sum', 'rejected')) >= 17 || null, 60);
    await waitFor(async () => (await sum(METRICS.failed, 'Sum')) >= 17 || null, 60);
    await waitFor(async () => (await sum(METRICS.running, 'SampleCount')) >= 34 || null, 60);
  });
});
