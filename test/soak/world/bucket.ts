import { createHash } from 'node:crypto';
import { CHECKPOINT_DATA_PREFIX } from '../../../core/checkpoints/keys.ts';
import type { CheckpointGrant } from '../../../core/protocol/messages.ts';
import { awsError } from '../../support/fakes/sdk-client.ts';
import type { Clock } from '../clock.ts';
import type { Service } from './invocation.ts';

export const BUCKET = 'uploads-bucket';
const URL_MS = 300_000;
const PAGE = 1_000;
/** The version of what no keeper has sent. */
const FIRST = 'v1';

/** S3: objects by key, conditional writes, and presigned URLs that are valid for 300 s. */
export class Bucket {
  readonly objects = new Map<string, Buffer>();
  /** Versions of what keepers send: those before the current one expire after a day, and count as gone. */
  private readonly versions = new Map<string, string>();
  /** Of what functions have written. */
  private readonly writtenAt = new Map<string, number>();
  /** Called after each write of a function. */
  onWrite: (key: string, text: string) => void = () => undefined;
  private count = 0;
  private readonly clock: Clock;
  /** The start of every presigned URL. */
  private readonly origin: string;

  constructor(clock: Clock, origin: string) {
    this.clock = clock;
    this.origin = origin;
  }

  readonly service: Service = (command, input) => {
    const key = String(input.Key);
    const object = this.objects.get(key);
    switch (command) {
      case 'HeadObject':
        if (!object || (input.VersionId !== undefined && this.versionOf(key, String(input.VersionId)) === null))
          throw awsError('NotFound');
        return { VersionId: this.versions.get(key) ?? FIRST, ContentLength: object.length, ETag: etagOf(object) };
      case 'GetObject':
        if (!object) throw awsError('NoSuchKey');
        return {
          Body: body(object),
          VersionId: this.versions.get(key) ?? FIRST,
          ContentLength: object.length,
          ETag: etagOf(object),
          Metadata: {},
        };
      case 'PutObject':
        if (input.IfNoneMatch === '*' && object) throw awsError('PreconditionFailed');
        if (input.IfMatch !== undefined && (!object || etagOf(object) !== input.IfMatch))
          throw awsError(object ? 'PreconditionFailed' : 'NoSuchKey');
        this.objects.set(key, Buffer.from(input.Body as string | Buffer));
        this.writtenAt.set(key, this.clock.now());
        this.onWrite(key, String(input.Body));
        return {};
      case 'ListObjectsV2': {
        const after = String(input.ContinuationToken ?? '');
        const isListed = (one: string) => one.startsWith(String(input.Prefix)) && one > after;
        const keys = [...this.objects.keys()].filter(isListed).sort();
        const Contents = keys.slice(0, PAGE).map((Key) => ({
          Key,
          Size: this.objects.get(Key)?.length ?? 0,
          LastModified: new Date(this.writtenAt.get(Key) ?? 0),
        }));
        return { Contents, ...(keys.length > PAGE ? { NextContinuationToken: keys[PAGE - 1] } : {}) };
      }
      case 'DeleteObjects':
        for (const { Key } of (input.Delete as { Objects: { Key: string }[] }).Objects) this.objects.delete(Key);
        return {};
      default:
        throw new Error(`S3 of the soak knows no ${command}`);
    }
  };

  sign = (
    { input }: { input: { Key?: string | undefined; VersionId?: string | undefined } },
    validMs = URL_MS,
  ): Promise<string> => {
    const version = input.VersionId === undefined ? '' : `&versionId=${input.VersionId}`;
    const until = this.clock.now() + validMs;
    return Promise.resolve(`${this.origin}/${encodeURIComponent(input.Key ?? '')}?until=${until}${version}`);
  };

  grant = (prefix: string) =>
    Promise.resolve({ url: `${this.origin}/`, fields: { until: String(this.clock.now() + URL_MS), prefix } });

  /** A POST by a grant. Returns whether it was taken. */
  post({ fields }: CheckpointGrant, key: string, content: Buffer): boolean {
    const { until, prefix = '' } = fields;
    if (this.clock.now() > Number(until) || !key.startsWith(prefix) || !prefix.startsWith(CHECKPOINT_DATA_PREFIX))
      return false;
    this.count += 1;
    this.objects.set(key, content);
    this.versions.set(key, `p${this.count}`);
    return true;
  }

  textOf(key: string): string | null {
    return this.objects.get(key)?.toString() ?? null;
  }

  /** null: this version is not the current one. */
  versionOf(key: string, versionId: string | null): Buffer | null {
    return (this.versions.get(key) ?? FIRST) === versionId ? (this.objects.get(key) ?? null) : null;
  }

  /** Handles a request to a presigned URL. Returns the HTTP status and the body. */
  request(method: 'GET' | 'PUT', url: string, content: Buffer | null): { status: number; body: Buffer | null } {
    const { pathname, searchParams } = new URL(url, this.origin);
    const key = decodeURIComponent(pathname.slice(1));
    if (this.clock.now() > Number(searchParams.get('until'))) return { status: 403, body: null };
    if (method === 'PUT') {
      this.objects.set(key, content ?? Buffer.alloc(0));
      return { status: 200, body: null };
    }
    const version = searchParams.get('versionId');
    const object = version === null ? this.objects.get(key) : this.versionOf(key, version);
    return { status: object ? 200 : 404, body: object ?? null };
  }
}

const etagOf = (bytes: Buffer) => `"${createHash('md5').update(bytes).digest('hex')}"`;

function body(bytes: Buffer) {
  return {
    transformToString: () => Promise.resolve(bytes.toString()),
    transformToByteArray: () => Promise.resolve(new Uint8Array(bytes)),
    async *[Symbol.asyncIterator]() {
      yield bytes;
    },
  };
}
