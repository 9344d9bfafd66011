import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync, gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { type MemberArchive, memberArchive } from '../support/instance/members.ts';
import { type SyncRun, type SyncSetup, useSyncSetup } from '../support/instance/sync-setup.ts';

const FAULT = fileURLToPath(new URL('./sync-fault.py', import.meta.url));
const syncSetup = useSyncSetup();

/** Text that does not compress. */
function noise(seed: string, bytes: number): string {
  const parts: string[] = [];
  for (let at = 0; at * 44 < bytes; at += 1) parts.push(createHash('sha256').update(`${seed} ${at}`).digest('base64'));
  return parts.join('').slice(0, bytes);
}

const OLD_FILES = {
  'a.txt': noise('a', 200_000),
  'train.py': 'print("old")\n',
  'b.txt': noise('b', 200_000),
  'c.txt': noise('c', 50_000),
};
const NEW_FILES = { ...OLD_FILES, 'train.py': 'print("new")\n', 'd.txt': noise('d', 1_000) };
const OLD = memberArchive(OLD_FILES);
const NEW = memberArchive(NEW_FILES);

/** As S3 answers a GET, with or without a range. */
function s3(bytes: Buffer): RequestListener {
  return (request, response) => {
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
    if (first === undefined) return void response.end(bytes);
    const part = bytes.subarray(Number(first), Number(last) + 1);
    response.writeHead(206, {
      'content-range': `bytes ${first}-${last}/${bytes.length}`,
      'content-length': part.length,
    });
    response.end(part);
  };
}

interface Served {
  readonly archive?: RequestListener;
  readonly index?: RequestListener | null;
}

/** Syncs an archive that has an index. */
async function sync(instance: SyncSetup, archive: MemberArchive, served: Served = {}): Promise<SyncRun> {
  const url = await instance.serve(served.archive ?? s3(archive.bytes));
  const index = served.index === null ? null : await instance.serve(served.index ?? s3(archive.index));
  return instance.sync(archive.bytes, { url, fields: { index } });
}

async function withOldCode(): Promise<SyncSetup> {
  const instance = syncSetup();
  const run = await sync(instance, OLD);
  expect(run).toMatchObject({ code: 0, result: { fetched: OLD.bytes.length + OLD.index.length } });
  expect(readdirSync(instance.own).sort()).toEqual(['lock', 'manifest.json', 'previous.json', 'previous.tar.gz']);
  instance.requests = 0;
  return instance;
}

function expectNew(instance: SyncSetup, run: SyncRun): void {
  expect(run, run.log).toMatchObject({ code: 0, result: { cached: false } });
  expect(instance.tree()).toEqual(NEW_FILES);
  expect(readFileSync(join(instance.own, 'previous.tar.gz')).equals(NEW.bytes)).toBe(true);
  expect(readdirSync(instance.own).sort()).toEqual(['lock', 'manifest.json', 'previous.json', 'previous.tar.gz']);
}

describe('a sync after another', () => {
  it('fetches the members that the last archive lacks, and nothing twice', async () => {
    const instance = await withOldCode();
    const ranges: (string | undefined)[] = [];
    const archive: RequestListener = (request, response) => {
      ranges.push(request.headers.range);
      s3(NEW.bytes)(request, response);
    };

    const run = await sync(instance, NEW, { archive });

    expectNew(instance, run);
    const [before = 0, script = 0] = NEW.members;
    // The two ends: train.py, and d.txt with the end of the archive and c.txt, which is too short for a request.
    expect(ranges[0]).toBe(`bytes=${before}-${before + script - 1}`);
    expect(ranges.length).toBe(2);
    expect(run.log).toMatch(
      /^Fetching [\d.]+ (bytes|kB) of it in 2 ranges; the rest is in the archive of the last sync$/m,
    );
    expect(run.log).toContain(`SHA-256 verified: ${run.result.sha256}`);
    expect(run.result.fetched).toBeLessThan(60_000 + NEW.index.length);

    const again = await sync(instance, NEW);
    expect(again.result).toMatchObject({ cached: true, fetched: 0 });
    const back = await sync(instance, OLD);
    expect(back).toMatchObject({ code: 0, result: { fetched: expect.toSatisfy((bytes: number) => bytes < 10_000) } });
    expect(instance.tree()).toEqual(OLD_FILES);
  });

  it('fetches an archive without an index whole, and keeps none of it', async () => {
    const instance = await withOldCode();
    const run = await sync(instance, NEW, { index: null });
    expect(run).toMatchObject({ code: 0, result: { fetched: NEW.bytes.length } });
    expect(instance.tree()).toEqual(NEW_FILES);
    expect(readdirSync(instance.own).sort()).toEqual(['lock', 'manifest.json']);
  });

  const changed = (change: (index: { sha256: string; bytes: number; members: [number, number, string][] }) => void) => {
    const index = JSON.parse(gunzipSync(NEW.index).toString()) as Parameters<typeof change>[0];
    change(index);
    return s3(gzipSync(JSON.stringify(index)));
  };
  const onRange =
    (answer: (response: ServerResponse, request: IncomingMessage) => void): RequestListener =>
    (request, response) => {
      if (request.headers.range === undefined) response.end(NEW.bytes);
      else answer(response, request);
    };

  it.each<[string, Served]>([
    ['an index that is gone', { index: (_, response) => void response.writeHead(404).end() }],
    ['an index that is refused', { index: (_, response) => void response.writeHead(403).end() }],
    ['an index that is not gzip', { index: (_, response) => void response.end('{}') }],
    ['an index that is cut off', { index: s3(NEW.index.subarray(0, 40)) }],
    ['an index of another archive', { index: s3(OLD.index) }],
    ['an index that expands without end', { index: s3(gzipSync(Buffer.alloc(40 << 20))) }],
    ['an index of other sizes', { index: changed(({ members }) => void members.splice(0, 1, [1, 1, 'a'.repeat(32)])) }],
    ['an index with a negative size', { index: changed(({ members }) => members.push([-1, 0, 'a'.repeat(32)])) }],
    [
      'an index that exchanges members',
      {
        index: changed(({ members }) => {
          const [a, b] = [members[0] as [number, number, string], members[2] as [number, number, string]];
          [a[2], b[2]] = [b[2], a[2]];
        }),
      },
    ],
    ['a server without ranges', { archive: (_, response) => void response.end(NEW.bytes) }],
    ['a range that is refused', { archive: onRange((response) => void response.writeHead(416).end()) }],
    ['a range that fails', { archive: onRange((response) => void response.writeHead(503).end()) }],
    [
      'another range',
      {
        archive: onRange((response, request) => {
          const length = Number(/-(\d+)/.exec(request.headers.range ?? '')?.[1]) + 1;
          response.writeHead(206, { 'content-range': `bytes 0-9/${NEW.bytes.length}` });
          response.end(NEW.bytes.subarray(0, length));
        }),
      },
    ],
    [
      'a range of another length',
      {
        archive: onRange((response, request) => {
          const range = (request.headers.range ?? '').replace('=', ' ');
          response.writeHead(206, { 'content-range': `${range}/${NEW.bytes.length}`, 'content-length': 3 });
          response.end('abc');
        }),
      },
    ],
    [
      'a range with other bytes',
      {
        archive: onRange((response, request) => {
          const [, first = '', last = ''] = /=(\d+)-(\d+)/.exec(request.headers.range ?? '') ?? [];
          const length = Number(last) - Number(first) + 1;
          const where = `bytes ${first}-${last}/${NEW.bytes.length}`;
          response.writeHead(206, { 'content-range': where, 'content-length': length });
          response.end('x'.repeat(length));
        }),
      },
    ],
    [
      'a connection that ends in a range',
      {
        archive: onRange((response, request) => {
          const [, first = '', last = ''] = /=(\d+)-(\d+)/.exec(request.headers.range ?? '') ?? [];
          const length = Number(last) - Number(first) + 1;
          const where = `bytes ${first}-${last}/${NEW.bytes.length}`;
          response.writeHead(206, { 'content-range': where, 'content-length': length });
          response.write('x', () => response.destroy());
        }),
      },
    ],
  ])('%s: the archive is fetched whole', async (_, served) => {
    const instance = await withOldCode();

    const run = await sync(instance, NEW, served);

    expect(run.log).toMatch(/^Fetching all of the archive: /m);
    expect(run, run.log).toMatchObject({ code: 0, result: { files: 5 } });
    expect(run.result.fetched).toBeGreaterThanOrEqual(NEW.bytes.length);
    expect(instance.tree()).toEqual(NEW_FILES);
  });

  it.each<[string, (own: string) => void]>([
    ['is cut off', (own) => truncateSync(join(own, 'previous.tar.gz'), 1_000)],
    [
      'has other bytes',
      (own) =>
        writeFileSync(
          join(own, 'previous.tar.gz'),
          OLD.bytes.map((byte, at) => (at === 99 ? byte ^ 1 : byte)),
        ),
    ],
    ['is gone', (own) => rmSync(join(own, 'previous.tar.gz'))],
    [
      'is a pipe',
      (own) => {
        rmSync(join(own, 'previous.tar.gz'));
        execFileSync('mkfifo', [join(own, 'previous.tar.gz')]);
      },
    ],
    [
      'is a link',
      (own) => {
        rmSync(join(own, 'previous.tar.gz'));
        execFileSync('ln', ['-s', '/etc/passwd', join(own, 'previous.tar.gz')]);
      },
    ],
    [
      'is a folder',
      (own) => {
        rmSync(join(own, 'previous.tar.gz'));
        mkdirSync(join(own, 'previous.tar.gz', 'x'), { recursive: true });
      },
    ],
    ['has no members', (own) => rmSync(join(own, 'previous.json'))],
    ['has members that are not JSON', (own) => writeFileSync(join(own, 'previous.json'), '[[')],
    ['has members that are numbers', (own) => writeFileSync(join(own, 'previous.json'), '[1, 2]')],
    [
      'has members of its size, and a negative one',
      (own) => {
        const members = [
          [OLD.bytes.length + 5, 'x'],
          [-5, 'y'],
        ];
        writeFileSync(join(own, 'previous.json'), JSON.stringify(members));
      },
    ],
    [
      'has members of another archive',
      (own) => {
        const index = JSON.parse(gunzipSync(NEW.index).toString()) as { members: [number, number, string][] };
        const members = index.members.map(([bytes, , digest]) => [bytes, digest]);
        const rest = OLD.bytes.length - NEW.bytes.length;
        writeFileSync(join(own, 'previous.json'), JSON.stringify([...members, [rest, 'z']]));
      },
    ],
  ])('the last archive %s: the archive is fetched whole', async (_, damage) => {
    const instance = await withOldCode();
    damage(instance.own);

    const run = await sync(instance, NEW);

    expect(run.log).toMatch(/^Fetching all of the archive: /m);
    expectNew(instance, run);
    expect(await sync(instance, OLD)).toMatchObject({ code: 0 });
    expect(instance.tree()).toEqual(OLD_FILES);
  });

  it('in which little is the same fetches all', async () => {
    const instance = await withOldCode();
    const other = memberArchive({ ...OLD_FILES, 'a.txt': noise('x', 600_000), 'b.txt': noise('y', 600_000) });
    const run = await sync(instance, other);
    expect(run.log).toContain('Fetching all of the archive: too little of it is in the archive of the last sync');
    expect(run).toMatchObject({ code: 0, result: { fetched: other.bytes.length + other.index.length } });
  });

  it('asks for no more than 32 ranges', async () => {
    const instance = syncSetup();
    const files = (changed: string) =>
      Object.fromEntries(
        Array.from({ length: 120 }, (_, at) => [
          `${at}.txt`,
          at % 2 === 0 ? noise(`${at}`, 100_000 + at) : `${changed} ${at}\n`,
        ]),
      );
    const first = memberArchive({ 'train.py': '', ...files('old') });
    await sync(instance, first);
    instance.requests = 0;
    const second = memberArchive({ 'train.py': '', ...files('new') });

    const run = await sync(instance, second);

    expect(run.code, run.log).toBe(0);
    expect(instance.requests).toBeLessThanOrEqual(33);
    expect(instance.read('119.txt')).toBe('new 119\n');
  });

  it('removes old archives of other projects', async () => {
    const instance = await withOldCode();
    const other = join(instance.home, '.runctl', 'other', 'sync');
    mkdirSync(other, { recursive: true });
    for (const name of ['previous.tar.gz', 'previous.json', 'manifest.json']) writeFileSync(join(other, name), '[]');
    await sync(instance, NEW);
    expect(readdirSync(other).sort()).toEqual(['manifest.json', 'previous.json', 'previous.tar.gz']);
    execFileSync('touch', ['-d', '31 days ago', join(other, 'previous.tar.gz')]);
    await sync(instance, OLD);
    expect(readdirSync(other)).toEqual(['manifest.json']);
    expect(existsSync(join(instance.own, 'previous.tar.gz'))).toBe(true);
  });
});

describe('a sync by ranges', () => {
  async function under(fault: string, every: number): Promise<number> {
    const instance = await withOldCode();
    const template = join(instance.base, 'template');
    cpSync(instance.home, template, { recursive: true, preserveTimestamps: true });
    const url = await instance.serve(s3(NEW.bytes));
    const index = await instance.serve(s3(NEW.index));
    for (let at = 1; ; at += every) {
      rmSync(instance.home, { recursive: true });
      cpSync(template, instance.home, { recursive: true, preserveTimestamps: true });
      const words = ['-I', '-B', FAULT, fault, String(at), instance.runner];
      const request = instance.request(NEW.bytes, url, { index });
      const { code } = await instance.ended(instance.start(request, { words }));
      if (code === 0 && fault === 'kill') return at;
      expect(await instance.recover(), `${fault} at ${at}`).toMatchObject({ code: 0 });
      const tree = instance.tree();
      expect([OLD_FILES, NEW_FILES], `${fault} at ${at}`).toContainEqual(tree);

      const run = await instance.sync(NEW.bytes, { url, fields: { index } });
      expect(run, `${fault} at ${at}`).toMatchObject({ code: 0 });
      expect(instance.tree(), `${fault} at ${at}`).toEqual(NEW_FILES);
      if (code === 0) return at;
    }
  }

  it('that is killed leaves the old code or the new, and the next one succeeds', async () => {
    expect(await under('kill', 6)).toBeGreaterThan(20);
  });

  it('on a disk that fills up leaves the old code or the new, and the next one succeeds', async () => {
    expect(await under('full-once', 4)).toBeGreaterThan(8);
  });
});
