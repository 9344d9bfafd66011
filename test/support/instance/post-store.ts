import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { afterEach, beforeEach } from 'vitest';
import type { CheckpointGrant } from '../../../core/protocol/messages.ts';

const PREFIX = 'checkpoint-data/digits/run/';
const POLICY = 'the signed policy';

/** A fake S3 that takes forms, as strict as S3: the policy, the key's prefix, the size and the MD5 must be right. */
export class PostStore {
  readonly stored = new Map<string, Buffer>();
  /** The keys of all requests that had a right policy, in order. */
  readonly tried: string[] = [];
  /** Answered instead of taking it; null: it is taken. */
  refuses: (key: string) => number | null = () => null;
  /** Awaited before the answer. */
  hold: (key: string) => Promise<void> = async () => undefined;

  private readonly server: Server = createServer((request, response) => {
    void this.take(request)
      .then(({ status, etag }) => response.writeHead(status, etag === null ? {} : { ETag: `"${etag}"` }).end())
      .catch(() => response.destroy()); // the sender was killed
  });

  async open(): Promise<void> {
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve));
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  grant(fields: Partial<CheckpointGrant> = {}): CheckpointGrant {
    return {
      url: `http://127.0.0.1:${(this.server.address() as AddressInfo).port}/bucket`,
      fields: { policy: POLICY, 'x-amz-signature': 'secret' },
      prefix: PREFIX,
      committed: 0,
      wholeBytes: 5_000_000_000,
      partBytes: 256 * 2 ** 20,
      ...fields,
    };
  }

  /** The keys that are stored, without the prefix. */
  keys(): string[] {
    return [...this.stored.keys()].map((key) => key.slice(PREFIX.length)).sort();
  }

  json(key: string): Record<string, unknown> {
    return JSON.parse((this.stored.get(PREFIX + key) ?? Buffer.alloc(0)).toString()) as Record<string, unknown>;
  }

  bytes(key: string): Buffer {
    return this.stored.get(PREFIX + key) ?? Buffer.alloc(0);
  }

  private async take(request: IncomingMessage): Promise<{ status: number; etag: string | null }> {
    const body = await buffer(request);
    const fields = readForm(request.headers['content-type'] ?? '', body);
    const text = (name: string) => fields.get(name)?.toString() ?? '';
    const key = text('key');
    if (text('policy') !== POLICY || text('x-amz-signature') !== 'secret') return { status: 403, etag: null };
    if (!key.startsWith(PREFIX) || key.length > 1_024) return { status: 403, etag: null };
    if (Number(request.headers['content-length']) !== body.length) return { status: 400, etag: null };
    const file = fields.get('file');
    if (file === undefined) return { status: 400, etag: null };
    const md5 = createHash('md5').update(file);
    if (md5.copy().digest('base64') !== text('Content-MD5')) return { status: 400, etag: null };
    this.tried.push(key.slice(PREFIX.length));
    await this.hold(key);
    const status = this.refuses(key);
    if (status !== null) return { status, etag: null };
    this.stored.set(key, file);
    return { status: 204, etag: md5.digest('hex') };
  }
}

function readForm(type: string, body: Buffer): Map<string, Buffer> {
  const boundary = Buffer.from(`--${/boundary=(\S+)/.exec(type)?.[1]}`);
  const fields = new Map<string, Buffer>();
  let at = body.indexOf(boundary);
  for (;;) {
    const begin = at + boundary.length + 2;
    const next = body.indexOf(boundary, begin);
    if (next < 0) return fields;
    const head = body.indexOf('\r\n\r\n', begin);
    const name = /name="([^"]+)"/.exec(body.subarray(begin, head).toString())?.[1] ?? '';
    fields.set(name, body.subarray(head + 4, next - 2));
    at = next;
  }
}

/** A fake S3 for the tests of a file. */
export function usePostStore(): () => PostStore {
  let store = new PostStore();
  beforeEach(async () => {
    store = new PostStore();
    await store.open();
  });
  afterEach(() => store.close());
  return () => store;
}
