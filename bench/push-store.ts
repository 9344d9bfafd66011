import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { decodePatch } from '../core/archive/patch.ts';
import { OUTPUTS } from '../core/names.ts';

/** As much of AWS as `runctl push` asks for, without the time that an emulator takes. */
export class PushStore {
  private readonly objects = new Map<string, Buffer>();
  /** Sizes of archives that were made of patches. */
  private readonly made = new Map<string, number>();

  private constructor(private readonly server: Server) {}

  static async start(): Promise<PushStore> {
    const server = createServer();
    const store = new PushStore(server);
    server.on('request', (request, response) => void store.answer(request, response));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return store;
  }

  get variables(): Record<string, string> {
    return {
      AWS_ENDPOINT_URL: `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`,
      AWS_ACCESS_KEY_ID: 'bench',
      AWS_SECRET_ACCESS_KEY: 'bench',
      AWS_REGION: 'us-east-1',
    };
  }

  forget(): void {
    this.objects.clear();
    this.made.clear();
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await buffer(request);
    const { method = '', url = '' } = request;
    const { pathname, searchParams } = new URL(url, 'http://store');
    if (method === 'POST' && pathname.includes('/functions/')) return void response.end(this.assemble(body));
    if (method === 'POST' && pathname === '/') return void response.end(STACK);
    if (method === 'POST' && searchParams.has('uploads')) this.objects.delete(pathname);
    if (method === 'POST' && searchParams.has('uploads'))
      return void response.end('<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>');
    if (method === 'POST') {
      response.setHeader('x-amz-version-id', 'v1');
      return void response.end('<CompleteMultipartUploadResult><ETag>"e"</ETag></CompleteMultipartUploadResult>');
    }
    if (method === 'PUT') {
      // Parts come in any order; of what has parts only the size matters.
      const others = searchParams.has('partNumber') ? this.objects.get(pathname) : undefined;
      this.objects.set(pathname, Buffer.concat([...(others ? [others] : []), body]));
      return void response.writeHead(200, { etag: '"e"', 'x-amz-version-id': 'v1' }).end();
    }
    const size = this.objects.get(pathname)?.length ?? this.made.get(pathname);
    if (method === 'HEAD' && size !== undefined)
      return void response.writeHead(200, { 'content-length': size, 'x-amz-version-id': 'v1' }).end();
    if (searchParams.has('list-type')) return void response.end('<ListBucketResult></ListBucketResult>');
    response.writeHead(404).end();
  }

  /** What Assemble archive answers. */
  private assemble(payload: Buffer): string {
    const { input } = JSON.parse(payload.toString()) as { input: { archive: string; patch: string } };
    const path = (uri: string) => uri.replace(/^s3:\//, '').replace(/\?.*$/, '');
    const patch = this.objects.get(path(input.patch)) ?? Buffer.alloc(0);
    const { bytes } = decodePatch(patch, { archiveBytes: Number.POSITIVE_INFINITY }).header;
    this.made.set(path(input.archive), bytes);
    return JSON.stringify({ versionId: 'v1', bytes });
  }
}

const STACK = `<DescribeStacksResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/"><DescribeStacksResult><Stacks><member>
<StackName>runctl</StackName><StackStatus>CREATE_COMPLETE</StackStatus><CreationTime>2026-11-27T00:00:00Z</CreationTime><Outputs>
${Object.values(OUTPUTS)
  .map((name) => `<member><OutputKey>${name}</OutputKey><OutputValue>bench</OutputValue></member>`)
  .join('')}
</Outputs></member></Stacks></DescribeStacksResult></DescribeStacksResponse>`;
