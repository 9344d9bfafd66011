import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import type { Wheel } from './wheels.ts';

export interface IndexOptions {
  /** Bytes a second for each download; unlimited when absent. */
  readonly rate?: number;
  /** Basic credentials that the index asks for. */
  readonly credentials?: { readonly user: string; readonly password: string };
}

export interface PackageIndex {
  /** The simple index, without credentials. */
  readonly url: string;
  /** Paths asked for, in order. */
  readonly requests: string[];
  close(): Promise<void>;
}

const CHUNK = 16_384;

/** A simple index (PEP 503) on loopback that serves the given wheels, as slowly as wanted. */
export async function servePackages(wheels: readonly Wheel[], options: IndexOptions = {}): Promise<PackageIndex> {
  const requests: string[] = [];
  const server = createServer((request, response) => {
    requests.push(request.url ?? '');
    answer(request, response, wheels, options).catch((error) => response.destroy(error));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/simple/`,
    requests,
    close: async () => {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  wheels: readonly Wheel[],
  options: IndexOptions,
): Promise<void> {
  if (options.credentials) {
    const { user, password } = options.credentials;
    const expected = `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
    if (request.headers.authorization !== expected) {
      response.writeHead(401, { 'www-authenticate': 'Basic realm="index"' }).end();
      return;
    }
  }
  const [, kind, name = ''] = new URL(request.url ?? '/', 'http://index').pathname.split('/');
  if (kind === 'files')
    return sendFile(
      response,
      wheels.find((wheel) => wheel.file === name),
      options.rate,
    );
  const found = wheels.filter((wheel) => wheel.file.split('-')[0] === name.replaceAll('-', '_'));
  if (kind !== 'simple' || found.length === 0) {
    response.writeHead(404).end();
    return;
  }
  const links = found.map(({ file, bytes }) => {
    const digest = createHash('sha256').update(bytes).digest('hex');
    return `<a href="/files/${file}#sha256=${digest}">${file}</a><br>`;
  });
  response
    .writeHead(200, { 'content-type': 'text/html' })
    .end(`<!DOCTYPE html><html><body>${links.join('\n')}</body></html>`);
}

async function sendFile(response: ServerResponse, wheel: Wheel | undefined, rate: number | undefined): Promise<void> {
  if (!wheel) {
    response.writeHead(404).end();
    return;
  }
  response.writeHead(200, { 'content-length': wheel.bytes.length });
  for (let at = 0; at < wheel.bytes.length && !response.destroyed; at += CHUNK) {
    response.write(wheel.bytes.subarray(at, at + CHUNK));
    if (rate) await pause((CHUNK / rate) * 1000);
  }
  response.end();
}
