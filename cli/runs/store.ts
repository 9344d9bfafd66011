import { GetObjectCommand, type GetObjectCommandOutput, ListObjectsV2Command, type S3Client } from '@aws-sdk/client-s3';
import { MANIFEST, RUN_PREFIX, runFileKey } from '../../core/names.ts';
import { type Manifest, readManifest } from '../../core/outcome/manifest-schema.ts';
import { at, nameOf } from '../aws/aws-errors.ts';
import { setUpError } from '../errors.ts';

export interface StoredFile {
  readonly name: string;
  readonly bytes: number;
}

/** What runs left in the bucket: it outlives the instance, and Step Functions' 90 days. */
export class RunStore {
  readonly #s3: Pick<S3Client, 'send'>;
  readonly bucket: string;

  constructor(s3: Pick<S3Client, 'send'>, bucket: string) {
    this.#s3 = s3;
    this.bucket = bucket;
  }

  /** null: there is none (yet). @throws CliError for one that this runctl cannot read */
  async manifest(runId: string): Promise<Manifest | null> {
    const object = await this.open(runFileKey(runId, MANIFEST));
    if (object === null) return null;
    const manifest = readManifest((await object.Body?.transformToString()) ?? '');
    if (manifest !== null) return manifest;
    throw setUpError(
      `The manifest of run ${runId} is not one that this runctl understands.`,
      `Update runctl, or read it yourself: aws s3 cp s3://${this.bucket}/${runFileKey(runId, MANIFEST)} -`,
    );
  }

  /** @param from byte to begin at. null: there is no such object */
  async open(Key: string, from = 0, signal?: AbortSignal): Promise<GetObjectCommandOutput | null> {
    const Range = from > 0 ? { Range: `bytes=${from}-` } : {};
    const command = new GetObjectCommand({ Bucket: this.bucket, Key, ...Range });
    const sent = this.#s3.send(command, signal ? { abortSignal: signal } : {});
    return await at(
      `s3:GetObject of s3://${this.bucket}/${Key}`,
      sent.catch((error: unknown) => {
        if (nameOf(error) === 'NoSuchKey') return null;
        throw error;
      }),
    );
  }

  /** What lies there of a run. */
  async files(runId: string): Promise<StoredFile[]> {
    const prefix = runFileKey(runId, '');
    const { Contents } = await this.#list(prefix, undefined);
    return (Contents ?? []).map(({ Key = '', Size = 0 }) => ({ name: Key.slice(prefix.length), bytes: Size }));
  }

  /** Ids of runs that begin like this; at most 1,000. */
  async idsBeginning(text: string): Promise<string[]> {
    const { CommonPrefixes } = await this.#list(`${RUN_PREFIX}${text}`, '/');
    return (CommonPrefixes ?? []).map(({ Prefix = '' }) => Prefix.slice(RUN_PREFIX.length, -1));
  }

  #list(Prefix: string, Delimiter: string | undefined) {
    const command = new ListObjectsV2Command({ Bucket: this.bucket, Prefix, Delimiter });
    return at(`s3:ListBucket of ${this.bucket}`, this.#s3.send(command));
  }
}
