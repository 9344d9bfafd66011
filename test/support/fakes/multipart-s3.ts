import { createHash } from 'node:crypto';
import type { S3Client } from '@aws-sdk/client-s3';
import { awsError, fakeClient } from './sdk-client.ts';

const md5 = (bytes: Uint8Array) => createHash('md5').update(bytes).digest('hex');
const unquoted = (etag: unknown) => String(etag).replaceAll('"', '');
/** Of every part but the last. The emulator does not check it. */
const MIN_PART_BYTES = 5 * 2 ** 20;

/** A bucket that joins parts, as strict as S3. */
export class MultipartS3 {
  readonly objects = new Map<string, Buffer>();
  readonly uploads = new Map<string, { readonly key: string; readonly parts: Map<number, Buffer> }>();
  /** Called before each command; throws what the command throws. */
  before: (command: string) => void = () => undefined;
  /** Called after it: what it throws is thrown although the command had its effect. */
  after: (command: string) => void = () => undefined;
  /** Smaller in tests of many parts. */
  minPartBytes = MIN_PART_BYTES;
  /** Of one page of ListParts. */
  pageParts = 1_000;
  readonly client: Pick<S3Client, 'send'>;
  readonly sent: readonly { readonly name: string }[];
  private count = 0;

  constructor() {
    const { client, sent } = fakeClient<S3Client>({
      HeadObjectCommand: ({ Key }) =>
        this.object(Key, (body) => ({ ContentLength: body.length, ETag: `"${md5(body)}"` })),
      GetObjectCommand: ({ Key }) =>
        this.object(Key, (body) => ({
          ETag: `"${md5(body)}"`,
          Body: { transformToString: async () => body.toString() },
        })),
      CreateMultipartUploadCommand: ({ Key }) => {
        this.count += 1;
        this.uploads.set(`u${this.count}`, { key: String(Key), parts: new Map() });
        return { UploadId: `u${this.count}` };
      },
      ListPartsCommand: (input) =>
        this.upload(input, ({ parts }) => {
          const after = [...parts].sort(([a], [b]) => a - b).filter(([n]) => n > Number(input.PartNumberMarker ?? 0));
          const page = after.slice(0, this.pageParts);
          return {
            Parts: page.map(([PartNumber, body]) => ({ PartNumber, ETag: `"${md5(body)}"` })),
            IsTruncated: page.length < after.length,
            NextPartNumberMarker: String(page.at(-1)?.[0] ?? ''),
          };
        }),
      UploadPartCopyCommand: (input) =>
        this.upload(input, ({ parts }) =>
          this.object(String(input.CopySource).replace(/^[^/]+\//, ''), (body) => {
            if (unquoted(input.CopySourceIfMatch) !== md5(body)) return awsError('PreconditionFailed');
            parts.set(Number(input.PartNumber), body);
            return { CopyPartResult: { ETag: `"${md5(body)}"` } };
          }),
        ),
      CompleteMultipartUploadCommand: (input) =>
        this.upload(input, ({ key, parts }) => {
          const { Parts } = input.MultipartUpload as { Parts: { PartNumber: number; ETag: string }[] };
          const bodies = Parts.map(({ PartNumber, ETag }) => {
            const body = parts.get(PartNumber);
            return body !== undefined && md5(body) === unquoted(ETag) ? body : null;
          });
          if (bodies.some((body) => body === null)) return awsError('InvalidPart');
          if (bodies.slice(0, -1).some((body) => (body?.length ?? 0) < this.minPartBytes))
            return awsError('EntityTooSmall');
          this.objects.set(key, Buffer.concat(bodies as Buffer[]));
          this.uploads.delete(String(input.UploadId));
          return {};
        }),
    });
    this.sent = sent;
    this.client = {
      send: (async (command: object) => {
        this.before(command.constructor.name);
        const reply: object = await client.send(command as never);
        this.after(command.constructor.name);
        return reply;
      }) as S3Client['send'],
    };
  }

  private object(key: unknown, use: (body: Buffer) => object): object {
    const body = this.objects.get(String(key));
    return body === undefined ? awsError('NoSuchKey') : use(body);
  }

  private upload(
    input: Record<string, unknown>,
    use: (upload: { readonly key: string; readonly parts: Map<number, Buffer> }) => object,
  ): object {
    const upload = this.uploads.get(String(input.UploadId));
    return upload === undefined ? awsError('NoSuchUpload') : use(upload);
  }
}
