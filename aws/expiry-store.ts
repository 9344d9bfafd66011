import {
  DeleteObjectTaggingCommand,
  GetObjectTaggingCommand,
  PutObjectTaggingCommand,
  S3Client,
  type Tag,
} from '@aws-sdk/client-s3';
import type { StoredObject } from '../core/archive/unused.ts';
import { EXPIRING } from '../core/names.ts';
import { unless, withAwsErrors } from './errors.ts';
import { GONE, headObject, listObjects, type S3 } from './objects.ts';
import { CLIENT_SETTINGS } from './settings.ts';

export interface ObjectVersion {
  readonly key: string;
  readonly versionId: string;
}

/** What is in the bucket, and which versions of it expire. */
export interface ExpiryStore {
  list(prefix: string): Promise<StoredObject[]>;
  /** The version that is at a key now; null: there is none. */
  find(key: string): Promise<(ObjectVersion & StoredObject) | null>;
  /** Adds the mark, or takes it away; other tags stay. @returns false when it was so before, or there is no such version */
  setExpires(version: ObjectVersion, expires: boolean): Promise<boolean>;
}

export function createExpiryStore(bucket: string): ExpiryStore {
  return expiryStoreOver(new S3Client(CLIENT_SETTINGS), bucket);
}

export function expiryStoreOver(s3: S3, bucket: string): ExpiryStore {
  return {
    async list(prefix) {
      const found: StoredObject[] = [];
      let token: string | undefined;
      do {
        const { objects, next } = await listObjects(s3, bucket, prefix, { token });
        for (const { key, modifiedAt } of objects)
          found.push({ key, modifiedAt: modifiedAt ?? Number.POSITIVE_INFINITY });
        token = next;
      } while (token !== undefined);
      return found;
    },
    async find(key) {
      const head = await headObject(s3, { bucket, key });
      if (!head?.VersionId || head.LastModified === undefined) return null;
      return { key, versionId: head.VersionId, modifiedAt: head.LastModified.getTime() };
    },
    async setExpires({ key, versionId }, expires) {
      const object = { Bucket: bucket, Key: key, VersionId: versionId };
      const action = (verb: string) => `s3:${verb}ObjectVersionTagging of s3://${bucket}/${key}`;
      const tagging = await unless(GONE, action('Get'), s3.send(new GetObjectTaggingCommand(object)));
      if (tagging === null) return false;
      const tags: Tag[] = tagging.TagSet ?? [];
      const others = tags.filter(({ Key }) => Key !== EXPIRING.tag.key);
      if (others.length < tags.length === expires) return false;
      const TagSet = expires ? [...others, { Key: EXPIRING.tag.key, Value: EXPIRING.tag.value }] : others;
      const set =
        TagSet.length === 0
          ? withAwsErrors(action('Delete'), s3.send(new DeleteObjectTaggingCommand(object)))
          : withAwsErrors(action('Put'), s3.send(new PutObjectTaggingCommand({ ...object, Tagging: { TagSet } })));
      await set;
      return true;
    },
  };
}
