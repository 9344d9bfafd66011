import { request as httpRequest, type IncomingMessage, type OutgoingHttpHeaders, type ServerResponse } from 'node:http';

/** Makes the guard before the emulator answer 204 to a request that it lets through, and do nothing else. */
const verifyOnly = { 'x-runctl-verify-only': '1' };
/** They are about one connection, not about the request. */
const hopByHop = ['connection', 'keep-alive', 'transfer-encoding', 'expect'];

/** The emulator, behind the guard that checks signatures, Host and Origin of every request. */
export class Upstream {
  readonly #address: URL;

  constructor(address: string) {
    this.#address = new URL(address);
  }

  /** Asks the guard whether it lets a request through; if not, gives its answer to the client. @returns whether it does. */
  async admits(request: IncomingMessage, body: Buffer, response: ServerResponse): Promise<boolean> {
    const answer = await this.#send(request, body, verifyOnly);
    if (answer.statusCode === 204) {
      answer.resume();
      return true;
    }
    await relay(answer, response);
    return false;
  }

  /** Hands a request on as it came: its signature covers the Host that the client meant. */
  async forward(request: IncomingMessage, body: Buffer, response: ServerResponse): Promise<void> {
    await relay(await this.#send(request, body, {}), response);
  }

  async #send(request: IncomingMessage, body: Buffer, more: Record<string, string>): Promise<IncomingMessage> {
    const headers: OutgoingHttpHeaders = { ...request.headers, ...more, 'content-length': String(body.length) };
    for (const name of hopByHop) delete headers[name];
    const { hostname, port } = this.#address;
    return await new Promise((resolve, reject) => {
      const options = { hostname, port, method: request.method ?? 'POST', path: request.url ?? '/', headers };
      httpRequest(options, resolve).once('error', reject).end(body);
    });
  }
}

async function relay(answer: IncomingMessage, response: ServerResponse): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    response.writeHead(answer.statusCode ?? 502, answer.headers);
    answer.once('error', reject).pipe(response).once('finish', resolve).once('error', reject);
  });
}
