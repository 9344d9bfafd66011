import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach } from 'vitest';
import type { EnvironmentList } from '../../../core/protocol/messages.ts';
import { type InstallRun, type InstallSetup, isRoot, PROJECT } from './install-setup.ts';
import { usePostStore } from './post-store.ts';

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
const NOBODY = { name: 'nobody', uid: 65_534, gid: 65_534 };

/** What the process that stores an environment has reported. */
export interface StoreReport {
  readonly state: 'sent' | 'failed';
  readonly message?: string;
  readonly key: string;
  readonly sha256: string;
  readonly bytes: number;
  readonly packages: number;
  readonly etags: readonly string[];
}

/** The archive of an environment, as it is stored. */
export interface StoredEnvironment {
  readonly key: string;
  readonly sha256: string;
  readonly parts: readonly Buffer[];
  /** Parts that the list has in place of these, and nobody can fetch. */
  readonly claims?: { readonly parts: number; readonly bytes: number };
}

/** Environments in a fake S3, which takes forms and answers GETs. */
export class EnvironmentStore {
  /** Names of the parts that were asked for, in order. */
  readonly asked: string[] = [];
  /** Answers in place of the store when it returns true. */
  meddle: (name: string, response: ServerResponse) => boolean = () => false;
  readonly #objects = new Map<string, Buffer>();
  readonly #server = createServer((request, response) => this.#answer(request, response));
  readonly #posts: ReturnType<typeof usePostStore>;

  constructor(posts: ReturnType<typeof usePostStore>) {
    this.#posts = posts;
  }

  get posts() {
    return this.#posts();
  }

  async open(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  /** Packs and sends the environment of an install, as after its poll. */
  async store(
    setup: InstallSetup,
    run: InstallRun,
    options: { partBytes?: number; unprivileged?: boolean } = {},
  ): Promise<StoreReport> {
    const folder = join(setup.base, 'runs', 'run-1-0', 'install');
    const at = (name: string) => join(folder, 'keeper', name);
    mkdirSync(join(folder, 'keeper'), { recursive: true, mode: 0o700 });
    const { uid, gid, username } = userInfo();
    const user = options.unprivileged && isRoot ? NOBODY : { name: username, uid, gid };
    const input = {
      account: { ...user, home: setup.home, shell: '/bin/sh' },
      folder: join(setup.home, '.runctl', PROJECT, 'environment'),
      key: run.result.environment?.key,
      listing: run.result.environment?.listing,
      installer: run.result.installer,
    };
    const grant = this.posts.grant({ partBytes: options.partBytes ?? 1_000_000 });
    rmSync(at('report.json'), { force: true });
    writeFileSync(at('input.json'), JSON.stringify(input));
    writeFileSync(at('grant.json'), JSON.stringify({ ...grant, receivedAt: Date.now() / 1_000 }));
    const words = ['-I', '-B', join(setup.base, 'installer'), 'store', folder];
    const child = spawn('python3', words, { stdio: 'inherit' });
    await new Promise((resolve) => child.on('close', resolve));
    return JSON.parse(readFileSync(at('report.json'), 'utf8')) as StoreReport;
  }

  /** What `store` has sent. */
  stored({ key, sha256: digest, etags }: StoreReport): StoredEnvironment {
    const parts = etags.map((_, at) => this.posts.bytes(String(at).padStart(5, '0')));
    return { key, sha256: digest, parts };
  }

  /** The request's list of these environments. */
  list(...environments: readonly StoredEnvironment[]): { url: string; sha256: string; bytes: number } {
    const list: EnvironmentList = {
      version: 1,
      environments: environments.map(({ key, sha256: digest, parts, claims = { parts: 0, bytes: 0 } }) => {
        const found = parts.map((part) => {
          const name = sha256(part);
          this.#objects.set(name, part);
          return { url: this.#url(name), bytes: part.length };
        });
        const claimed = Array.from({ length: claims.parts }, () => ({ url: this.#url('none'), bytes: claims.bytes }));
        const all = [...found, ...claimed];
        return { key, sha256: digest, bytes: all.reduce((sum, { bytes }) => sum + bytes, 0), parts: all };
      }),
    };
    const text = Buffer.from(JSON.stringify(list));
    this.#objects.set('list', text);
    return { url: this.#url('list'), sha256: sha256(text), bytes: text.length };
  }

  #url(name: string): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/${name}?signature=c0ffee`;
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const name = (request.url ?? '').slice(1).split('?')[0] as string;
    this.asked.push(name);
    if (this.meddle(name, response)) return;
    const body = this.#objects.get(name);
    const [, first = NaN, last = NaN] = (/^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? []).map(Number);
    if (body === undefined || !(last < body.length)) {
      response.writeHead(404).end('<Error><Code>NoSuchKey</Code></Error>');
      return;
    }
    const headers = { 'Content-Range': `bytes ${first}-${last}/${body.length}`, 'Content-Length': last - first + 1 };
    response.writeHead(206, headers).end(body.subarray(first, last + 1));
  }
}

/**
 * SHA-256 of the files of the packages, by path below the environment.
 * @param options.records RECORD has the digests of scripts, which name their environment: two installs differ in it
 */
export function digestsOf(setup: InstallSetup, { records = true } = {}): Record<string, string> {
  const folder = join(setup.home, '.runctl', PROJECT, 'environment');
  const found = execFileSync('find', ['lib', '-type', 'f', '-not', '-name', '*.pyc', '-not', '-name', '_virtualenv*'], {
    cwd: folder,
    encoding: 'utf8',
  });
  const names = found
    .split('\n')
    .filter((name) => name !== '' && !name.endsWith('/runctl-image.pth'))
    .filter((name) => records || !name.endsWith('/RECORD'));
  return Object.fromEntries(names.sort().map((name) => [name, sha256(readFileSync(join(folder, name)))]));
}

/** A store for the tests of a file. */
export function useEnvironmentStore(): () => EnvironmentStore {
  const posts = usePostStore();
  let store: EnvironmentStore;
  beforeEach(async () => {
    store = new EnvironmentStore(posts);
    await store.open();
  });
  afterEach(() => store.close());
  return () => store;
}
