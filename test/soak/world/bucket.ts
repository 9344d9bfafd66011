import { awsError } from '../../support/fakes/sdk-client.ts';
import type { Clock } from '../clock.ts';
import type { Service } from './invocation.ts';

export const BUCKET = 'uploads-bucket';
const URL_MS = 300_000;

/** S3: objects by key, conditional writes, and presigned URLs that are valid for 300 s. */
export class Bucket {
  readonly objects = new Map<string, Buffer>();
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
        if (!object) throw awsError('NotFound');
        return { VersionId: 'v1' };
      case 'GetObject':
        if (!object) throw awsError('NoSuchKey');
        return { Body: body(object), VersionId: 'v1', ContentLength: object.length, Metadata: {} };
      case 'PutObject':
        if (input.IfNoneMatch === '*' && object) throw awsError('PreconditionFailed');
        this.objects.set(key, Buffer.from(input.Body as string | Buffer));
        return {};
      default:
        throw new Error(`S3 of the soak knows no ${command}`);
    }
  };

  sign = ({ input }: { input: { Key?: string | undefined } }): Promise<string> =>
    Promise.resolve(`${this.origin}/${encodeURIComponent(input.Key ?? '')}?until=${this.clock.now() + URL_MS}`);

  /** Handles a request to a presigned URL. Returns the HTTP status and the body. */
  request(method: 'GET' | 'PUT', url: string, content: Buffer | null): { status: number; body: Buffer | null } {
    const { pathname, searchParams } = new URL(url, this.origin);
    const key = decodeURIComponent(pathname.slice(1));
    if (this.clock.now() > Number(searchParams.get('until'))) return { status: 403, body: null };
    if (method === 'PUT') {
      this.objects.set(key, content ?? Buffer.alloc(0));
      return { status: 200, body: null };
    }
    const object = this.objects.get(key);
    return { status: object ? 200 : 404, body: object ?? null };
  }
}

function body(bytes: Buffer) {
  return {
    transformToByteArray: () => Promise.resolve(new Uint8Array(bytes)),
    async *[Symbol.asyncIterator]() {
      yield bytes;
    },
  };
}
