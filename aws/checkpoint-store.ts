import { DeleteObjectsCommand, S3Client } from '@aws-sdk/client-s3';
import type { CheckpointStore } from '../core/checkpoints/store.ts';
import { withAwsErrors } from './errors.ts';
import { getObject, headObject, putJson } from './objects.ts';
import { grantPosts } from './post-grant.ts';
import { CLIENT_SETTINGS } from './settings.ts';

const OBJECTS_PER_DELETE = 1_000;

export function createCheckpointStore(bucket: string): CheckpointStore {
  const s3 = new S3Client(CLIENT_SETTINGS);
  return checkpointStoreOver(s3, (prefix) => grantPosts(s3, bucket, prefix), bucket);
}

export function checkpointStoreOver(
  s3: Pick<S3Client, 'send'>,
  grant: CheckpointStore['grant'],
  bucket: string,
): CheckpointStore {
  const uri = (key: string) => `s3://${bucket}/${key}`;
  return {
    grant,

    async head(key) {
      const object = await headObject(s3, { bucket, key });
      if (object === null) return null;
      const { ContentLength = 0, ETag = '', VersionId = null } = object;
      return { bytes: ContentLength, etag: ETag.replaceAll('"', ''), versionId: VersionId };
    },

    async read(key) {
      const object = await getObject(s3, { bucket, key });
      if (object === null) return null;
      const body = object.Body?.transformToString() ?? Promise.resolve('');
      const text = await withAwsErrors(`s3:GetObject of ${uri(key)}`, body);
      return { text, etag: (object.ETag ?? '').replaceAll('"', '') };
    },

    write: (key, text, when) =>
      putJson(s3, { bucket, key }, text, when === null ? { onlyFirst: true } : { onlyFirst: false, over: when }),

    async remove(keys) {
      for (let at = 0; at < keys.length; at += OBJECTS_PER_DELETE) {
        const Objects = keys.slice(at, at + OBJECTS_PER_DELETE).map((Key) => ({ Key }));
        const command = new DeleteObjectsCommand({ Bucket: bucket, Delete: { Objects, Quiet: true } });
        await withAwsErrors(`s3:DeleteObject in ${bucket}`, s3.send(command));
      }
    },
  };
}
