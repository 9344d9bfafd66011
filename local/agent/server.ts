import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import * as z from 'zod';
import { messageOf } from '../cloud/errors.ts';
import type { Faults } from './faults.ts';
import type { Answer } from './service.ts';
import { ServiceError } from './service-error.ts';
import { Upstream } from './upstream.ts';

const contentType = 'application/x-amz-json-1.1';
const target = 'AmazonSSM.';

export interface ServerOptions {
  /** The emulator's address. It receives every call that is not in `operations`. */
  readonly upstream: string;
  readonly operations: ReadonlyMap<string, (input: unknown) => Promise<Answer>>;
  readonly faults: Faults;
  readonly onError: (error: unknown) => void;
}

/**
 * Serves SSM's JSON 1.1 protocol over HTTP, and `/_runctl/health` and `/_runctl/faults`. The guard in
 * front of the emulator checks every request, so that both services have the same check.
 */
export function agentServer(options: ServerOptions): Server {
  const upstream = new Upstream(options.upstream);
  return createServer((request, response) => {
    handle(request, response, upstream, options).catch((error: unknown) => {
      options.onError(error);
      response.destroy();
    });
  });
}

async function handle(
  request: IncomingMessage,
  response: ServerResponse,
  upstream: Upstream,
  options: ServerOptions,
): Promise<void> {
  const body = await readBody(request);
  if (!(await upstream.admits(request, body, response))) return;
  if (request.url?.startsWith('/_runctl/') === true) return send(response, ...administer(request, body, options));
  const name = headerOf(request, 'x-amz-target');
  const operation = name.startsWith(target) ? name.slice(target.length) : '';
  const refusal = options.faults.takeRefusal(operation, instancesIn(body));
  if (refusal !== undefined) {
    return sendError(response, new ServiceError(refusal.name, 'A fault that a test enabled.', refusal.httpStatus));
  }
  const operationHandler = options.operations.get(operation);
  if (operationHandler === undefined) return await upstream.forward(request, body, response);
  try {
    const { answer, answerLost } = await operationHandler(body.length === 0 ? {} : JSON.parse(body.toString()));
    if (answerLost === true) request.socket.destroy();
    else send(response, 200, answer);
  } catch (error) {
    sendError(response, asServiceError(error, options.onError));
  }
}

function asServiceError(error: unknown, onError: (error: unknown) => void): ServiceError {
  if (error instanceof ServiceError) return error;
  if (error instanceof z.ZodError) return new ServiceError('ValidationException', z.prettifyError(error));
  if (error instanceof SyntaxError) return new ServiceError('SerializationException', error.message);
  onError(error);
  return new ServiceError('InternalServerError', messageOf(error), 500);
}

/** Answers the requests of tests and of `runctl local`, which share the port with SSM's protocol. */
function administer(request: IncomingMessage, body: Buffer, { faults, upstream }: ServerOptions): [number, object] {
  if (request.url === '/_runctl/health') return [200, { pid: process.pid, upstream }];
  if (request.url !== '/_runctl/faults')
    return [404, { message: 'The paths are /_runctl/health and /_runctl/faults.' }];
  try {
    if (request.method === 'POST') faults.replace(JSON.parse(body.toString()));
    if (request.method === 'DELETE') faults.replace({ faults: [] });
    return [200, { faults: faults.list() }];
  } catch (error) {
    return [400, { message: error instanceof z.ZodError ? z.prettifyError(error) : messageOf(error) }];
  }
}

function send(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': contentType, 'x-amzn-requestid': randomUUID() });
  response.end(JSON.stringify(body));
}

function sendError(response: ServerResponse, error: ServiceError): void {
  response.setHeader('x-amzn-errortype', error.name);
  send(response, error.httpStatus, { __type: error.name, message: error.message });
}

/** The instances that a call names by id; targets by tag are not resolved. */
function instancesIn(body: Buffer): readonly string[] {
  return body.toString('latin1').match(/\bi-[0-9a-f]{8,17}\b/g) ?? [];
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

function headerOf(request: IncomingMessage, name: string): string {
  const value = request.headers[name];
  return typeof value === 'string' ? value : '';
}
