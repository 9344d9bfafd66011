import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { afterEach } from 'vitest';
import { compiledProgram } from './compiled-program.ts';

export const PROJECT = 'digits';
/** A part of every URL, to check that no log contains it. */
export const SECRET = 'c0ffee5ec2e7';

export interface SyncResult {
  readonly files: number;
  readonly bytes: number;
  readonly added: number;
  readonly changed: number;
  readonly removed: number;
  readonly kept: readonly string[];
  readonly pythonFiles: number;
  readonly cached: boolean;
  /** Bytes. */
  readonly fetched: number;
  readonly sha256: string;
  readonly error?: { readonly name: string; readonly message: string };
}

export interface SyncRun {
  readonly code: number | null;
  readonly log: string;
  /** The names of the phases, in order, without repetitions. */
  readonly phases: readonly string[];
  readonly result: SyncResult;
}

type Child = ChildProcessByStdio<Writable, Readable, null>;

export interface SyncOptions {
  readonly fields?: Readonly<Record<string, unknown>>;
  /** Arguments before `python3 -I -B <runner> child sync`, such as `setpriv …`. */
  readonly before?: readonly string[];
  /** Replaces `-I -B <runner> child sync`. */
  readonly words?: readonly string[];
  readonly url?: string;
}

/** A home, an archive store on loopback, and the sync as the supervisor starts it. Removed after the test. */
export class SyncSetup {
  readonly base = mkdtempSync(join(tmpdir(), 'runctl sync-'));
  readonly home: string;
  readonly runner = join(this.base, 'runner.zip');
  /** The number of requests that the store has answered. */
  requests = 0;
  private readonly stores: Server[] = [];
  private readonly children = new Set<Child>();

  constructor(home?: string) {
    this.home = home ?? join(this.base, 'home');
    mkdirSync(this.home, { recursive: true });
    writeFileSync(this.runner, compiledProgram().bytes);
  }

  get project(): string {
    return join(this.home, PROJECT);
  }

  /** The private folder of the sync. */
  get own(): string {
    return join(this.home, '.runctl', PROJECT, 'sync');
  }

  write(name: string, content: string): void {
    mkdirSync(dirname(join(this.project, name)), { recursive: true });
    writeFileSync(join(this.project, name), content);
  }

  read(name: string): string {
    return readFileSync(join(this.project, name), 'utf8');
  }

  /** The project's entries: names to contents. A folder is `<folder>`, a link `-> target`. */
  tree(): Record<string, string> {
    return treeOf(this.project);
  }

  /** A URL with this answer. */
  async serve(answer: RequestListener): Promise<string> {
    const store = createServer((request, response) => {
      this.requests += 1;
      answer(request, response);
    });
    this.stores.push(store);
    await new Promise<void>((resolve) => store.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(store.address() as AddressInfo).port}/code.tar.gz?X-Amz-Signature=${SECRET}`;
  }

  request(bytes: Uint8Array, url: string, fields: Readonly<Record<string, unknown>> = {}): object {
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    const plain = { script: 'train.py', requirements: null, strip: null, versionId: null };
    return this.asking({ url, sha256, bytes: bytes.length, ...plain, ...fields });
  }

  /** Syncs an archive to its end. */
  async sync(bytes: Uint8Array, options: SyncOptions = {}): Promise<SyncRun> {
    const url = options.url ?? (await this.serve((_, response) => void response.end(bytes)));
    return this.ended(this.start(this.request(bytes, url, options.fields), options));
  }

  /** Only completes an interrupted sync. */
  recover(): Promise<SyncRun> {
    return this.ended(this.start(this.asking(null)));
  }

  start(request: object, options: SyncOptions = {}): Child {
    const words = [
      ...(options.before ?? []),
      'python3',
      ...(options.words ?? ['-I', '-B', this.runner, 'child', 'sync']),
    ];
    const child = spawn(words[0] as string, words.slice(1), {
      cwd: this.base,
      env: { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin', LANG: 'C.UTF-8', RUNCTL_PROGRESS_FD: '3' },
      stdio: ['pipe', 'pipe', 'inherit', 'pipe'],
    }) as unknown as Child;
    child.stdin.on('error', () => undefined); // it may be killed before it has read
    child.stdin.end(JSON.stringify(request));
    this.children.add(child);
    child.on('close', () => this.children.delete(child));
    return child;
  }

  async ended(child: Child): Promise<SyncRun> {
    const code = new Promise<number | null>((resolve, reject) => child.on('close', resolve).on('error', reject));
    const [log, output] = await Promise.all([text(child.stdout), text(child.stdio[3] as unknown as Readable)]);
    const lines = output.split('\n').filter((line) => line !== '');
    const messages = lines.map((line) => JSON.parse(line) as { progress?: { phase: string }; result?: SyncResult });
    const phases = messages.flatMap(({ progress }) => (progress ? [progress.phase] : []));
    const result = messages.at(-1)?.result ?? ({} as SyncResult);
    if (`${log}${output}`.includes(SECRET)) throw new Error('the URL is in the log or in the progress');
    return { code: await code, log, phases: phases.filter((phase, at) => phase !== phases[at - 1]), result };
  }

  async remove(): Promise<void> {
    for (const child of this.children) child.kill('SIGKILL');
    for (const store of this.stores) {
      store.closeAllConnections();
      await new Promise((resolve) => store.close(resolve));
    }
    rmSync(this.base, { recursive: true, force: true });
  }

  private asking(sync: object | null): object {
    return {
      run: { id: 'run-1', key: 'run-1-0', arn: 'arn' },
      project: PROJECT,
      home: this.home,
      root: '/nowhere',
      sync,
    };
  }
}

/** Creates setups for the tests of a file. */
export function useSyncSetup(): (home?: string) => SyncSetup {
  const made: SyncSetup[] = [];
  afterEach(async () => {
    for (const setup of made.splice(0)) await setup.remove();
  });
  return (home) => {
    const setup = new SyncSetup(home);
    made.push(setup);
    return setup;
  };
}

/** The entries of a folder and its subfolders: names to contents. Links are not followed. */
export function treeOf(folder: string, prefix = ''): Record<string, string> {
  const found: Record<string, string> = {};
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const name = prefix + entry.name;
    const path = join(folder, entry.name);
    if (entry.isDirectory()) Object.assign(found, { [name]: '<folder>' }, treeOf(path, `${name}/`));
    else found[name] = entry.isSymbolicLink() ? `-> ${readlinkSync(path)}` : readFileSync(path, 'utf8');
  }
  return found;
}
