import type { CheckpointGrant } from '../protocol/messages.ts';

export interface StoredObject {
  readonly bytes: number;
  /** Without quotes. */
  readonly etag: string;
  readonly versionId: string | null;
}

/** The bucket, as far as checkpoints need it. Implemented in aws/checkpoint-store.ts. */
export interface CheckpointStore {
  /** The right to POST objects whose keys have this beginning. */
  grant(prefix: string): Promise<Pick<CheckpointGrant, 'url' | 'fields'>>;
  /** null: there is no such object. */
  head(key: string, versionId?: string | null): Promise<StoredObject | null>;
  read(key: string): Promise<{ readonly text: string; readonly etag: string } | null>;
  /**
   * Writes an object. @param when null: only when there is none of this key; else only over the one with this ETag
   * @returns false when the condition does not hold
   */
  write(key: string, text: string, when: string | null): Promise<boolean>;
  /** Writes an object over whatever is there. */
  replace(key: string, text: string): Promise<void>;
  remove(keys: readonly string[]): Promise<void>;
  /** Objects whose keys have this beginning; `modifiedAt` in epoch milliseconds. */
  list(prefix: string): AsyncIterable<{ readonly key: string; readonly modifiedAt: number }>;
  /** A URL that GETs an object, for the instance. */
  presignGet(key: string, versionId: string | null): Promise<string>;
}
