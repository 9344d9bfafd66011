import { createHash } from 'node:crypto';
import type { S3Client } from '@aws-sdk/client-s3';
import { fakeClient } from './sdk-client.ts';

interface Version {
  readonly id: string;
  /** null: a delete marker. */
  readonly body: Buffer | null;
  readonly metadata: Record<string, string>;
  readonly modifiedAt: number;
  /** When another version came; null: it is the current one. */
  replacedAt: number | null;
  tags: { Key: string; Value: string }[];
}

/** A rule of a bucket's lifecycle, as CloudFormation has it. */
export interface LifecycleRule {
  readonly Prefix?: string;
  readonly TagFilters?: readonly { readonly Key: string; readonly Value: string }[];
  readonly ExpirationInDays?: number;
  readonly NoncurrentVersionExpiration?: { readonly NoncurrentDays: number };
}

const DAY_MS = 86_400_000;
const failure = (name: string, httpStatusCode: number) =>
  Object.assign(new Error(name), { name, $metadata: { httpStatusCode } });

/** A bucket with versions, tags and a lifecycle. Its clock is the machine's. */
export class VersionedS3 {
  readonly objects = new Map<string, Version[]>();
  readonly client: S3Client;
  private count = 0;

  constructor() {
    const { client } = fakeClient<S3Client>({
      HeadObjectCommand: (input) => this.read(input, (version) => describe(version)),
      GetObjectCommand: (input) =>
        this.read(input, (version) => ({ ...describe(version), Body: chunks(version.body ?? Buffer.alloc(0)) })),
      PutObjectCommand: ({ Key, Body, Metadata, Tagging, IfNoneMatch }) => {
        if (IfNoneMatch === '*' && this.current(String(Key)) !== null) return failure('PreconditionFailed', 412);
        return this.put(String(Key), Buffer.from(Body as Buffer), Metadata, Tagging);
      },
      CopyObjectCommand: ({ Key, CopySource, Metadata, Tagging }) => {
        const [path = '', VersionId] = String(CopySource).split('?versionId=');
        const from = decodeURIComponent(path.slice(path.indexOf('/') + 1));
        return this.read({ Key: from, VersionId }, ({ body }) =>
          this.put(String(Key), body as Buffer, Metadata, Tagging),
        );
      },
      ListObjectsV2Command: ({ Prefix }) => ({
        Contents: this.keys(String(Prefix)).map((Key) => ({
          Key,
          LastModified: new Date(this.current(Key)?.modifiedAt ?? 0),
        })),
      }),
      GetObjectTaggingCommand: (input) => this.read(input, ({ tags }) => ({ TagSet: tags })),
      PutObjectTaggingCommand: ({ Tagging, ...input }) =>
        this.read(input, (version) => {
          version.tags = (Tagging as { TagSet: Version['tags'] }).TagSet;
          return {};
        }),
      DeleteObjectTaggingCommand: (input) =>
        this.read(input, (version) => {
          version.tags = [];
          return {};
        }),
    });
    const endpoint = () => Promise.resolve({ protocol: 'https:', hostname: 's3.example', path: '/' });
    this.client = Object.assign(client, { config: { requestHandler: {}, endpoint } }) as unknown as S3Client;
  }

  keys(prefix: string): string[] {
    return [...this.objects.keys()].filter((key) => key.startsWith(prefix) && this.current(key) !== null).sort();
  }

  has({ key, versionId }: { key: string; versionId: string | null }): boolean {
    return (this.objects.get(key) ?? []).some(({ id }) => id === versionId);
  }

  current(key: string): Version | null {
    const last = this.objects.get(key)?.at(-1);
    return last === undefined || last.body === null ? null : last;
  }

  /** What S3 does about once a day. */
  runLifecycle(rules: readonly LifecycleRule[]): void {
    const now = Date.now();
    const days = (since: number) => (now - since) / DAY_MS;
    for (const [key, versions] of this.objects) {
      const matching = (version: Version) =>
        rules.filter(
          ({ Prefix = '', TagFilters = [] }) =>
            key.startsWith(Prefix) &&
            TagFilters.every((wanted) =>
              version.tags.some((tag) => tag.Key === wanted.Key && tag.Value === wanted.Value),
            ),
        );
      const current = this.current(key);
      const isOver = ({ ExpirationInDays: most }: LifecycleRule) =>
        current !== null && most !== undefined && days(current.modifiedAt) >= most;
      if (current !== null && matching(current).some(isOver)) this.add(key, null, {}, []);
      const left = versions.filter(
        (version) =>
          version.replacedAt === null ||
          !matching(version).some(({ NoncurrentVersionExpiration: rule }) =>
            rule ? days(version.replacedAt ?? now) >= rule.NoncurrentDays : false,
          ),
      );
      if (left.every(({ body }) => body === null)) this.objects.delete(key);
      else versions.splice(0, versions.length, ...left);
    }
  }

  private put(key: string, body: Buffer, metadata: unknown, tagging: unknown): object {
    const tags = [...new URLSearchParams(String(tagging ?? ''))].map(([Key, Value]) => ({ Key, Value }));
    return { VersionId: this.add(key, body, (metadata ?? {}) as Record<string, string>, tags) };
  }

  private add(key: string, body: Buffer | null, metadata: Record<string, string>, tags: Version['tags']): string {
    const versions = this.objects.get(key) ?? [];
    const last = versions.at(-1);
    if (last !== undefined) last.replacedAt = Date.now();
    this.count += 1;
    const id = `v${this.count}`;
    versions.push({ id, body, metadata, modifiedAt: Date.now(), replacedAt: null, tags });
    this.objects.set(key, versions);
    return id;
  }

  private read(input: Record<string, unknown>, use: (version: Version) => object): object {
    const key = String(input.Key);
    const { VersionId } = input;
    const found =
      VersionId === undefined ? this.current(key) : this.objects.get(key)?.find(({ id }) => id === VersionId);
    return found?.body ? use(found) : failure('NotFound', 404);
  }
}

function describe({ id, body, metadata, modifiedAt }: Version) {
  return {
    VersionId: id,
    ContentLength: body?.length ?? 0,
    ChecksumSHA256: createHash('sha256')
      .update(body ?? '')
      .digest('base64'),
    LastModified: new Date(modifiedAt),
    Metadata: metadata,
  };
}

async function* chunks(body: Buffer): AsyncGenerator<Uint8Array> {
  yield body;
}
