import { request as httpRequest, type IncomingMessage, type OutgoingHttpHeaders, type ServerResponse } from 'node:http';

/** With this header the guard only checks a request: it answers 204, or 403 with the reason. */
const verifyOnly = { 'x-runctl-verify-only': '1' };
/** Headers of one connection, which are not forwarded. */
const hopByHop = ['connection', 'keep-alive', 'transfer-encoding', 'expect'];

/** The emulator, behind the guard, which checks signature, Host and Origin of every request. */
export class Upstream {
  readonly #address: URL;

  constructor(address: string) {
    this.#address = new URL(address);
  }

  /**
   * Asks the guard whether a request is allowed. If it is not, the client gets the guard's answer.
   * @returns whether it is allowed
   */
  async admits(request: IncomingMessage, body: Buffer, response: ServerResponse): Promise<boolean> {
    const answer = await this.#send(request, body, verifyOnly);
    if (answer.statusCode === 204) {
      answer.resume();
      return true;
    }
    await relay(answer, response);
    return false;
  }

  /** Forwards a request unchanged: its signature covers the Host header. */
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
