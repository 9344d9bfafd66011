import type { Readable } from 'node:stream';
import type { GetObjectCommandOutput, S3Client } from '@aws-sdk/client-s3';
import { getObject, listObjects } from '../../aws/objects.ts';
import { MANIFEST, RUN_PREFIX, runFileKey } from '../../core/names.ts';
import { type Manifest, readManifest } from '../../core/outcome/manifest-schema.ts';
import { setUpError } from '../errors.ts';

export interface StoredFile {
  readonly name: string;
  readonly bytes: number;
}

/** The files of runs in the bucket, which are kept longer than the instance and than Step Functions' 90 days. */
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
    return object === null ? null : await this.#read(runId, object);
  }

  /** The same, without the content of one that is larger than a list wants to download: it names thousands of outputs. */
  async glanceAtManifest(runId: string, maxBytes: number): Promise<{ exists: boolean; manifest: Manifest | null }> {
    const object = await this.open(runFileKey(runId, MANIFEST));
    if (object === null) return { exists: false, manifest: null };
    if ((object.ContentLength ?? 0) <= maxBytes) return { exists: true, manifest: await this.#read(runId, object) };
    (object.Body as Readable | undefined)?.destroy();
    return { exists: true, manifest: null };
  }

  async #read(runId: string, object: GetObjectCommandOutput): Promise<Manifest> {
    const manifest = readManifest((await object.Body?.transformToString()) ?? '');
    if (manifest !== null) return manifest;
    throw setUpError(
      `This version of runctl cannot read the manifest of run ${runId}.`,
      `Update runctl, or read the manifest yourself: aws s3 cp s3://${this.bucket}/${runFileKey(runId, MANIFEST)} -`,
    );
  }

  /** @param from byte to begin at. null: there is no such object */
  async open(key: string, from = 0, signal?: AbortSignal): Promise<GetObjectCommandOutput | null> {
    return getObject(this.#s3, { bucket: this.bucket, key }, { from, signal });
  }

  /** The stored files of a run. */
  async files(runId: string): Promise<StoredFile[]> {
    const prefix = runFileKey(runId, '');
    const { objects } = await listObjects(this.#s3, this.bucket, prefix);
    return objects.map(({ key, bytes }) => ({ name: key.slice(prefix.length), bytes }));
  }

  /** The keys with this beginning; at most 1,000. */
  async keys(prefix: string): Promise<string[]> {
    return (await listObjects(this.#s3, this.bucket, prefix)).objects.map(({ key }) => key);
  }

  /** Ids of runs with this beginning; at most 1,000. */
  async idsBeginning(text: string): Promise<string[]> {
    const { prefixes } = await listObjects(this.#s3, this.bucket, `${RUN_PREFIX}${text}`, { delimiter: '/' });
    return prefixes.map((prefix) => prefix.slice(RUN_PREFIX.length, -1));
  }
}
