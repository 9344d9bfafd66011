import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface, type Interface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** A request as it is sent. */
export interface WireRequest {
  readonly method: string;
  /** The path, including the query. */
  readonly path: string;
  readonly headers: readonly (readonly [string, string])[];
  readonly body: Buffer;
  /** The guard's clock, YYYYMMDDTHHMMSSZ; default: now. */
  readonly now?: string;
  /** The source port. 1 stands for a process of the cloud's own user. */
  readonly peer?: number;
}

export interface WireAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** The number of chunks of the body that were not read. */
  readonly left: number;
}

export interface ChunksExample {
  /** The value of x-amz-content-sha256. */
  readonly payload: string;
  readonly seed: string;
  readonly secret: string;
  /** YYYYMMDDTHHMMSSZ. */
  readonly now: string;
}

/** The guard of the local cloud in a Python process, without a network and without the emulator. */
export class GuardProcess {
  readonly #child: ChildProcess;
  readonly #lines: Interface;
  readonly #waiting: ((line: string) => void)[] = [];

  /** `secrets`: by key id, followed by the session token if there is one. */
  constructor(secrets: Readonly<Record<string, string>>) {
    const script = fileURLToPath(new URL('guard.py', import.meta.url));
    const child = spawn('python3', [script], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { ...process.env, SECRETS: JSON.stringify(secrets), PYTHONDONTWRITEBYTECODE: '1' },
    });
    this.#child = child;
    this.#lines = createInterface({ input: child.stdout });
    this.#lines.on('line', (line) => this.#waiting.shift()?.(line));
    child.once('close', () => {
      for (const settle of this.#waiting) settle('{"status":0,"body":"the guard has ended","headers":{},"left":0}');
    });
  }

  async ask(request: WireRequest): Promise<WireAnswer> {
    return await this.#send({ ...request, body: request.body.toString('base64') });
  }

  /** Checks a body in signed chunks, whose request has the signature `seed`. */
  async checkChunks(example: ChunksExample, body: Buffer): Promise<WireAnswer> {
    return await this.#send({ ...example, body: body.toString('base64') });
  }

  async #send(message: object): Promise<WireAnswer> {
    const answer = await new Promise<string>((resolve) => {
      this.#waiting.push(resolve);
      this.#child.stdin?.write(`${JSON.stringify(message)}\n`);
    });
    return JSON.parse(answer) as WireAnswer;
  }

  close(): void {
    this.#child.stdin?.end();
  }
}
