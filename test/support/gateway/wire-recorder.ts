import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import type { WireRequest } from './guard-process.ts';

/** A server that records every request as it was received. Its answers have no content. */
export class WireRecorder {
  readonly #server: Server;
  readonly #requests: WireRequest[] = [];

  private constructor() {
    this.#server = createServer(async (request, response) => {
      const { method = '', url = '', rawHeaders } = request;
      const headers = rawHeaders.flatMap((name, at) =>
        at % 2 === 0 ? [[name.toLowerCase(), rawHeaders[at + 1] ?? ''] as const] : [],
      );
      this.#requests.push({ method, path: url, headers, body: await buffer(request) });
      response.writeHead(200, { etag: '"1"' }).end(method === 'POST' && url.includes('uploads') ? UPLOAD : '');
    });
  }

  static async start(): Promise<WireRecorder> {
    const recorder = new WireRecorder();
    await new Promise<void>((resolve) => recorder.#server.listen(0, '127.0.0.1', resolve));
    return recorder;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** The request that `send` sends. An error of the client about the answer is ignored. */
  async record(send: () => Promise<unknown>): Promise<WireRequest[]> {
    this.#requests.length = 0;
    await send().catch(() => undefined);
    return [...this.#requests];
  }

  async one(send: () => Promise<unknown>): Promise<WireRequest> {
    const [first] = await this.record(send);
    if (first === undefined) throw new Error('nothing was sent');
    return first;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

const UPLOAD =
  '<InitiateMultipartUploadResult><UploadId>one two+3/=</UploadId><Bucket>b</Bucket><Key>k</Key></InitiateMultipartUploadResult>';
