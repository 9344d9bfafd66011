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

/** S3 as the finisher sees it. */
export class Store {
  /** Bodies by name, of PUTs that were accepted. */
  readonly stored = new Map<string, Buffer>();
  /** Names in the order they were tried. */
  readonly tried: string[] = [];
  /** Which names are answered 403. */
  refuses: (name: string) => boolean = () => false;
  /** What is done with a request before its body is read: a promise that never comes true makes S3 hang. */
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

/** An instance, and S3 beside it. */
export class CollectSetup {
  readonly here: TestInstance;
  readonly store: Store;

  constructor(here: TestInstance, store: Store) {
    this.here = here;
    this.store = store;
  }

  /** A run that holds the instance and has trained with this script; without one, it has only the lease. */
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

  /** A file of the finisher's. */
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
