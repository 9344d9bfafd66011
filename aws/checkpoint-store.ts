import { DeleteObjectsCommand, GetObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import type { CheckpointStore } from '../core/checkpoints/store.ts';
import { withAwsErrors } from './errors.ts';
import { getObject, headObject, listObjects, objectInput, putJson } from './objects.ts';
import { grantPosts } from './post-grant.ts';
import { CLIENT_SETTINGS } from './settings.ts';

/** A restore takes hours at most. The session of the function's role may end before: then it is started again. */
const RESTORE_S = 12 * 3_600;
const OBJECTS_PER_DELETE = 1_000;

export function createCheckpointStore(bucket: string): CheckpointStore {
  const s3 = new S3Client(CLIENT_SETTINGS);
  const grant = (prefix: string) => grantPosts(s3, bucket, prefix);
  return checkpointStoreOver(
    s3,
    { grant, sign: (command) => getSignedUrl(s3, command, { expiresIn: RESTORE_S }) },
    bucket,
  );
}

export function checkpointStoreOver(
  s3: Pick<S3Client, 'send'>,
  { grant, sign }: { grant: CheckpointStore['grant']; sign: (command: GetObjectCommand) => Promise<string> },
  bucket: string,
): CheckpointStore {
  const uri = (key: string) => `s3://${bucket}/${key}`;
  return {
    grant,

    async head(key, versionId = null) {
      const object = await headObject(s3, { bucket, key, versionId });
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

    async replace(key, text) {
      await putJson(s3, { bucket, key }, text, { onlyFirst: false });
    },

    async *list(prefix) {
      for (let token: string | undefined; ; ) {
        const page = await listObjects(s3, bucket, prefix, { token });
        for (const { key, modifiedAt } of page.objects) yield { key, modifiedAt: modifiedAt ?? 0 };
        if (page.next === undefined) return;
        token = page.next;
      }
    },

    presignGet: (key, versionId) => sign(new GetObjectCommand(objectInput({ bucket, key, versionId }))),

    async remove(keys) {
      for (let at = 0; at < keys.length; at += OBJECTS_PER_DELETE) {
        const Objects = keys.slice(at, at + OBJECTS_PER_DELETE).map((Key) => ({ Key }));
        const command = new DeleteObjectsCommand({ Bucket: bucket, Delete: { Objects, Quiet: true } });
        await withAwsErrors(`s3:DeleteObject in ${bucket}`, s3.send(command));
      }
    },
  };
}
