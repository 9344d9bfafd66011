import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import type { Wheel } from './wheels.ts';

export interface IndexOptions {
  /** Bytes per second for each download. Default: unlimited. */
  readonly rate?: number;
  /** Accepts downloads of a file whose name contains this, and never sends its bytes. */
  readonly silentAt?: string;
  /** Basic credentials that the index requires. */
  readonly credentials?: { readonly user: string; readonly password: string };
}

export interface PackageIndex {
  /** The simple index, without credentials. */
  readonly url: string;
  /** The requested paths, in order. */
  readonly requests: string[];
  /** The names of the wheels and archives that were downloaded. */
  readonly downloads: () => string[];
  /** From now on, files whose name contains this differ from their hash on the page. */
  tamper(name: string): void;
  close(): Promise<void>;
}

const CHUNK = 16_384;
/** Real indexes also serve a wheel's metadata (PEP 658). Without it, uv downloads whole wheels to resolve. */
const METADATA = '.metadata';

/** A simple index (PEP 503) on loopback that serves the given wheels, optionally slowly. */
export async function servePackages(wheels: readonly Wheel[], options: IndexOptions = {}): Promise<PackageIndex> {
  const requests: string[] = [];
  const tampered = new Set<string>();
  const server = createServer((request, response) => {
    requests.push(request.url ?? '');
    answer(request, response, wheels, { ...options, tampered }).catch((error) => response.destroy(error));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const isDownload = (path: string) => path.startsWith('/files/') && !path.endsWith(METADATA);
  return {
    url: `http://127.0.0.1:${port}/simple/`,
    requests,
    downloads: () => requests.filter(isDownload).map((path) => path.slice('/files/'.length)),
    tamper: (name) => tampered.add(name),
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
  options: IndexOptions & { readonly tampered: ReadonlySet<string> },
): Promise<void> {
  if (!isAllowed(request, options)) {
    response.writeHead(401, { 'www-authenticate': 'Basic realm="index"' }).end();
    return;
  }
  const [, kind, name = ''] = new URL(request.url ?? '/', 'http://index').pathname.split('/');
  const wheel = wheels.find(({ file }) => file === name);
  const described = wheels.find(({ file }) => file + METADATA === name);
  const listed = wheels.filter(({ file }) => file.replace(/-\d.*/, '') === name.replaceAll('-', '_'));
  if (kind === 'files' && described?.metadata) {
    response.writeHead(200, { 'content-type': 'text/plain' }).end(described.metadata);
  } else if (kind === 'files' && wheel) {
    const isTampered = [...options.tampered].some((part) => name.includes(part));
    await sendFile(response, isTampered ? { ...wheel, bytes: new Uint8Array(10) } : wheel, options);
  } else if (kind === 'simple' && listed.length > 0) {
    response.writeHead(200, { 'content-type': 'text/html' }).end(page(listed));
  } else {
    response.writeHead(404).end();
  }
}

function isAllowed(request: IncomingMessage, { credentials }: IndexOptions): boolean {
  if (!credentials) return true;
  const pair = Buffer.from(`${credentials.user}:${credentials.password}`).toString('base64');
  return request.headers.authorization === `Basic ${pair}`;
}

function page(wheels: readonly Wheel[]): string {
  const links = wheels.map(({ file, bytes, metadata }) => {
    const digest = createHash('sha256').update(bytes).digest('hex');
    const described = metadata ? ' data-dist-info-metadata="true" data-core-metadata="true"' : '';
    return `<a href="/files/${file}#sha256=${digest}"${described}>${file}</a><br>`;
  });
  return `<!DOCTYPE html><html><body>${links.join('\n')}</body></html>`;
}

async function sendFile(response: ServerResponse, wheel: Wheel, options: IndexOptions): Promise<void> {
  response.writeHead(200, { 'content-length': wheel.bytes.length });
  if (options.silentAt && wheel.file.includes(options.silentAt)) {
    response.flushHeaders();
    return;
  }
  for (let at = 0; at < wheel.bytes.length && !response.destroyed; at += CHUNK) {
    response.write(wheel.bytes.subarray(at, at + CHUNK));
    if (options.rate) await pause((CHUNK / options.rate) * 1000);
  }
  response.end();
}
