import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { afterEach } from 'vitest';
import type { RestoreList } from '../../../core/protocol/messages.ts';
import { PROJECT, SyncSetup } from './sync-setup.ts';

export const md5 = (bytes: Uint8Array) => createHash('md5').update(bytes).digest('hex');

export interface RestoreResult {
  readonly restored?: string;
  readonly files?: number;
  readonly bytes?: number;
  readonly kept?: number;
  readonly error?: { readonly name: string; readonly message: string };
}

export interface RestoreRun {
  readonly code: number | null;
  readonly log: string;
  readonly phases: readonly string[];
  readonly result: RestoreResult;
}

/** A fake S3 for GETs of ranges, a home, and the restore as the supervisor starts it. */
export class RestoreSetup extends SyncSetup {
  /** By key. */
  readonly objects = new Map<string, Buffer>();
  /** Of all requests: the key, and the first and last byte of the range. */
  readonly asked: (readonly [key: string, first: number, last: number])[] = [];
  /** Answers in place of the store when it returns true. */
  meddle: (key: string, request: IncomingMessage, response: ServerResponse) => boolean = () => false;

  private endpoint = '';

  async open(): Promise<this> {
    this.endpoint = await this.serve((request, response) => this.answer(request, response));
    return this;
  }

  url(key: string): string {
    return this.endpoint.replace('code.tar.gz', key);
  }

  /** Stores a checkpoint; returns its list. A file of more than `partBytes` has several parts. */
  checkpoint(name: string, files: Readonly<Record<string, string | Buffer>>, partBytes = 1_000): RestoreList {
    const listed = Object.entries(files).map(([path, content]) => {
      const bytes = Buffer.from(content);
      const parts = [];
      for (let at = 0; at === 0 || at < bytes.length; at += partBytes) {
        const part = bytes.subarray(at, at + partBytes);
        const key = `${md5(Buffer.from(path))}-${at}-${md5(part)}`;
        this.objects.set(key, part);
        parts.push({ url: this.url(key), bytes: part.length, md5: md5(part) });
      }
      return { path, bytes: bytes.length, parts };
    });
    return { version: 1, name, files: listed };
  }

  /** The request of a list, which is stored. */
  restoreRequest(list: unknown, name?: string): { list: { url: string; sha256: string; bytes: number }; name: string } {
    const text = Buffer.from(JSON.stringify(list));
    const sha256 = createHash('sha256').update(text).digest('hex');
    this.objects.set(`list-${sha256}`, text);
    const url = this.url(`list-${sha256}`);
    return { list: { url, sha256, bytes: text.length }, name: name ?? (list as RestoreList).name };
  }

  /** Restores to the end. words: replaces the arguments of the interpreter. name: of the request; left out: that of the list. */
  async restore(list: unknown, words?: readonly string[], name?: string): Promise<RestoreRun> {
    const run = { id: 'run-1', key: 'run-1-0', arn: 'arn' };
    const restore = this.restoreRequest(list, name);
    const request = { run, project: PROJECT, home: this.home, root: '/nowhere', restore };
    const all = words ?? ['-I', '-B', this.runner, 'child', 'restore'];
    return (await this.ended(this.start(request, { words: all }))) as unknown as RestoreRun;
  }

  private answer(request: IncomingMessage, response: ServerResponse): void {
    const key = (request.url ?? '').slice(1).split('?')[0] as string;
    const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
    const body = this.objects.get(key);
    const [first, last] = [Number(range?.[1]), Number(range?.[2])];
    this.asked.push([key, first, last]);
    if (this.meddle(key, request, response)) return;
    if (body === undefined) {
      response.writeHead(404).end('<Error><Code>NoSuchKey</Code></Error>');
    } else if (!(range && first <= last && last < body.length)) {
      response.writeHead(416).end('<Error><Code>InvalidRange</Code></Error>');
    } else {
      const headers = { 'Content-Range': `bytes ${first}-${last}/${body.length}`, 'Content-Length': last - first + 1 };
      response.writeHead(206, headers).end(body.subarray(first, last + 1));
    }
  }
}

/** Creates setups for the tests of a file. */
export function useRestoreSetup(): (home?: string) => Promise<RestoreSetup> {
  const made: RestoreSetup[] = [];
  afterEach(async () => {
    for (const setup of made.splice(0)) await setup.remove();
  });
  return (home) => {
    const setup = new RestoreSetup(home);
    made.push(setup);
    return setup.open();
  };
}
