import { createHash } from 'node:crypto';
import type { CheckpointStore } from '../../../core/checkpoints/store.ts';

interface Stored {
  readonly text: string;
  readonly version: number;
}

/** A bucket in memory, with versions and conditions as S3 has them. */
export class MemoryCheckpointStore implements CheckpointStore {
  readonly objects = new Map<string, Stored>();
  /** All that latest.json files have named, in order. */
  readonly latest: string[] = [];
  /** Called before each call with its name and key; throws what the call throws. */
  before: (call: string, key: string) => void = () => undefined;
  private version = 0;

  grant(prefix: string) {
    return Promise.resolve({ url: 'https://bucket', fields: { policy: prefix } });
  }

  put(key: string, text: string): void {
    this.version += 1;
    this.objects.set(key, { text, version: this.version });
  }

  async head(key: string) {
    this.before('head', key);
    const object = this.objects.get(key);
    if (object === undefined) return null;
    return { bytes: object.text.length, etag: md5(object.text), versionId: `v${object.version}` };
  }

  async read(key: string) {
    this.before('read', key);
    const object = this.objects.get(key);
    return object === undefined ? null : { text: object.text, etag: md5(object.text) };
  }

  async write(key: string, text: string, when: string | null): Promise<boolean> {
    this.before('write', key);
    const there = this.objects.get(key);
    if (when === null ? there !== undefined : there === undefined || md5(there.text) !== when) return false;
    this.put(key, text);
    if (key.endsWith('latest.json')) this.latest.push(text);
    return true;
  }

  async replace(key: string, text: string): Promise<void> {
    this.before('replace', key);
    this.put(key, text);
  }

  async *list(prefix: string) {
    this.before('list', prefix);
    for (const [key, { version }] of [...this.objects].sort(([a], [b]) => (a < b ? -1 : 1)))
      if (key.startsWith(prefix)) yield { key, modifiedAt: version };
  }

  presignGet(key: string, versionId: string | null) {
    return Promise.resolve(`https://bucket/${key}?versionId=${versionId}`);
  }

  async remove(keys: readonly string[]): Promise<void> {
    for (const key of keys) {
      this.before('remove', key);
      this.objects.delete(key);
    }
  }
}

export const md5 = (text: string) => createHash('md5').update(text).digest('hex');
