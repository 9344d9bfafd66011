import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';
import { GetObjectTaggingCommand, ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3';
import { SchedulerClient } from '@aws-sdk/client-scheduler';
import { expect, it } from 'vitest';
import { expiryStoreOver } from '../../aws/expiry-store.ts';
import { scheduleInputs } from '../../aws/schedules.ts';
import { ARCHIVE_PREFIX, parseArchiveUri, USE_PREFIX } from '../../core/names.ts';
import { createExpireArchives } from '../../lambdas/expire-archives.ts';
import { Cloud } from '../support/cloud/cloud.ts';
import { projectFolder, runctl, shellEnvironment } from '../support/cloud/runctl.ts';
import { outputOf } from '../support/outputs.ts';

const DAY_MS = 86_400_000;

it('archives expire when no schedule names them and no run used them lately', async () => {
  const cloud = await Cloud.connect();
  const env = await shellEnvironment();
  const folder = projectFolder(cloud.project, { 'train.py': 'print("scheduled")\n' });
  const s3 = cloud.client(S3Client);
  const mine = `${ARCHIVE_PREFIX}${cloud.project}/`;
  const store = expiryStoreOver(s3, cloud.bucket);
  /** The function's code, on the archives of this project, some days from now. */
  const sweep = (days: number) =>
    createExpireArchives({
      // Uses and indexes expire on AWS, which the local cloud does not do.
      store: { ...store, list: async (prefix) => (prefix === ARCHIVE_PREFIX ? await store.list(mine) : []) },
      schedules: () => scheduleInputs(cloud.client(SchedulerClient)),
      uploadBucket: cloud.bucket,
      now: () => Date.now() + days * DAY_MS,
    })();
  const tagsOf = async (uri: string) => {
    const { key, versionId } = parseArchiveUri(uri) ?? { key: '', versionId: null };
    const VersionId = versionId ?? undefined;
    const { TagSet = [] } = await s3.send(new GetObjectTaggingCommand({ Bucket: cloud.bucket, Key: key, VersionId }));
    return TagSet.map(({ Key, Value }) => `${Key}=${Value}`);
  };
  const call = async (...words: string[]) => {
    const { code, stdout, stderr } = await runctl(folder, words, env);
    expect(code, stderr).toBe(0);
    return stdout;
  };

  const { archive } = outputOf('push', await call('push', '--json'));
  const add = ['schedule', 'add', 'yearly', 'cron(0 0 1 1 ? *)', '--timezone', 'UTC', '--yes', '--json'];
  const { spec } = outputOf('schedule add', await call(...add));
  expect(spec.archive).toBe(archive);
  expect(await sweep(400)).toEqual({ archives: 1, marked: 0, kept: 0 });

  await call('schedule', 'remove', 'yearly');
  expect(await sweep(89)).toEqual({ archives: 1, marked: 0, kept: 0 });
  expect(await sweep(91)).toEqual({ archives: 1, marked: 1, kept: 0 });
  expect(await tagsOf(archive)).toEqual(['runctl-expires=yes']);

  // One of cdk.json may name it before it is deleted: the function as it is deployed takes the mark away.
  await call(...add, '--archive', archive);
  const { Payload } = await cloud
    .client(LambdaClient)
    .send(new InvokeCommand({ FunctionName: 'runctl-expire-archives', Payload: '{}' }));
  expect(JSON.parse(Buffer.from(Payload ?? []).toString())).toMatchObject({ marked: 0, kept: 1 });
  expect(await tagsOf(archive)).toEqual([]);

  // A run notes what it uses.
  await cloud.finished((JSON.parse(await call('run', '--yes', '--json', '--archive', archive)) as { arn: string }).arn);
  const { Contents = [] } = await s3.send(
    new ListObjectsV2Command({ Bucket: cloud.bucket, Prefix: `${USE_PREFIX}${mine}` }),
  );
  expect(Contents.map(({ Key }) => Key)).toEqual([`${USE_PREFIX}${parseArchiveUri(archive)?.key}`]);
});
