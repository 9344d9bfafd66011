import { randomBytes } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach } from 'vitest';

/** An instance metadata service of a spot instance, as strict as EC2's: IMDSv2 only, and 404 without a notice. */
export class MetadataService {
  /** Of `spot/instance-action`: a text as it is, anything else as JSON; null: 404. */
  notice: unknown = null;
  rebalance: object | null = null;
  /** It closes every connection. */
  isDown = false;
  /** When each request came, in milliseconds, and for which path. */
  readonly requests: { readonly at: number; readonly path: string }[] = [];

  private readonly tokens = new Set<string>();
  private readonly server: Server = createServer((request, response) => {
    const path = (request.url ?? '').replace('/latest/', '');
    this.requests.push({ at: performance.now(), path });
    if (this.isDown) return void response.destroy();
    if (path === 'api/token') {
      const seconds = Number(request.headers['x-aws-ec2-metadata-token-ttl-seconds']);
      if (request.method !== 'PUT' || !(seconds >= 1 && seconds <= 21_600)) return void response.writeHead(400).end();
      const token = randomBytes(8).toString('hex');
      this.tokens.add(token);
      return void response.end(token);
    }
    if (!this.tokens.has(String(request.headers['x-aws-ec2-metadata-token'])))
      return void response.writeHead(401).end();
    const known = {
      'meta-data/spot/instance-action': this.notice,
      'meta-data/events/recommendations/rebalance': this.rebalance,
    };
    const found = known[path as keyof typeof known] ?? null;
    if (found === null) return void response.writeHead(404).end();
    response.end(typeof found === 'string' ? found : JSON.stringify(found));
  });

  async open(): Promise<void> {
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve));
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  /** The variable that a local cloud sets for the runner. */
  get environment(): Record<string, string> {
    return { AWS_EC2_METADATA_SERVICE_ENDPOINT: `http://127.0.0.1:${(this.server.address() as AddressInfo).port}` };
  }

  /** No token is valid any more, as after a restart. */
  restart(): void {
    this.tokens.clear();
  }

  /** Announces the end of the instance. Returns its time in epoch seconds. */
  interrupt(action: string, seconds = 120): number {
    const time = Math.floor(Date.now() / 1000) + seconds;
    this.notice = { action, time: new Date(time * 1000).toISOString().replace('.000Z', 'Z') };
    return time;
  }
}

/** A metadata service for the tests of a file. */
export function useMetadataService(): () => MetadataService {
  let service = new MetadataService();
  beforeEach(async () => {
    service = new MetadataService();
    await service.open();
  });
  afterEach(() => service.close());
  return () => service;
}
