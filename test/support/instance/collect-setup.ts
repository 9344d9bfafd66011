import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { gunzipSync } from 'node:zlib';
import { afterEach, beforeEach } from 'vitest';
import type { AnswerTo } from '../../../core/protocol/answers.ts';
import {
  type Answer,
  type Fields,
  type InstanceOptions,
  type TestInstance,
  type TestRun,
  useInstances,
} from './test-instance.ts';

export const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

/** A fake S3 for uploads. */
export class Store {
  /** The bodies of accepted PUTs, by name. */
  readonly stored = new Map<string, Buffer>();
  /** The names of all PUTs, in order. */
  readonly tried: string[] = [];
  /** The names that are refused with 403. */
  refuses: (name: string) => boolean = () => false;
  /** Called before a request's body is read. A promise that never resolves makes S3 hang. */
  hold: (request: IncomingMessage) => Promise<void> = async () => undefined;

  private readonly server: Server = createServer((request, response) => {
    const name = (request.url ?? '').slice(1).split('?')[0] as string;
    this.tried.push(name);
    void this.hold(request)
      .then(() => buffer(request))
      .then((body) => {
        if (!this.refuses(name)) this.stored.set(name, body);
        response.writeHead(this.refuses(name) ? 403 : 200).end();
      })
      .catch(() => response.destroy()); // the sender was killed
  });

  async open(): Promise<void> {
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve));
  }

  url(name: string): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}/${name}?X-Amz-Signature=secret`;
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  /** A stored body unpacked, as text. */
  text(name: string): string {
    const body = this.stored.get(name) ?? Buffer.alloc(0);
    return (name.endsWith('.gz') ? gunzipSync(body) : body).toString();
  }
}

/** An instance and a fake S3. */
export class CollectSetup {
  readonly here: TestInstance;
  readonly store: Store;

  constructor(here: TestInstance, store: Store) {
    this.here = here;
    this.store = store;
  }

  /** A run that holds the lease and, if a script is given, has trained with it. */
  async trained(script?: string): Promise<TestRun> {
    const run = this.here.giveLease(this.here.run());
    if (script === undefined) return run;
    this.here.write('train.py', script);
    await this.here.start(run, { train: {} });
    await this.here.ended(run, 'train');
    return run;
  }

  async ask<T>(request: Fields): Promise<Answer<T>> {
    return (await this.here.send<T>(request)).answer;
  }

  collectRequest(run: TestRun, fields: object = {}): Fields {
    return {
      ...this.here.common('collect', run),
      grace: 5,
      wait: 15,
      outputs: ['outputs/**'],
      maxBytes: 1_000_000,
      ...fields,
    };
  }

  collect(run: TestRun, fields: object = {}): Promise<Answer<AnswerTo<'collect'>>> {
    return this.ask(this.collectRequest(run, fields));
  }

  upload(run: TestRun, names: readonly string[], fields: object = {}): Promise<Answer<AnswerTo<'upload'>>> {
    return this.ask({
      ...this.here.common('upload', run),
      wait: 15,
      puts: Object.fromEntries(names.map((name) => [name, this.store.url(name)])),
      ...fields,
    });
  }

  /** A file in the run's folder for collected results. */
  path(run: TestRun, name: string): string {
    return join(this.here.root, 'runs', run.key, 'finish', name);
  }

  finisherPid(run: TestRun): number {
    return (JSON.parse(readFileSync(this.path(run, 'identity.json'), 'utf8')) as { pid: number }).pid;
  }
}

export function useCollectSetup(): (options?: InstanceOptions) => CollectSetup {
  const instance = useInstances();
  let store: Store;
  beforeEach(async () => {
    store = new Store();
    await store.open();
  });
  afterEach(() => store.close());
  return (options) => new CollectSetup(instance(options), store);
}
