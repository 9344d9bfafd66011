import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { createGzip, gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { type Header, pack } from 'tar-stream';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Context } from '../../../cli/context.ts';
import { CliError } from '../../../cli/errors.ts';
import { download } from '../../../cli/runs/download.ts';
import type { Runs } from '../../../cli/runs/find.ts';
import { filesBelow, placeFiles } from '../../../cli/runs/place-files.ts';
import { pullRun } from '../../../cli/runs/pull.ts';
import type { RunStore } from '../../../cli/runs/store.ts';
import { unpackOutputs } from '../../../cli/runs/unpack-outputs.ts';
import { Terminal } from '../../../cli/terminal/terminal.ts';
import { runFolder } from '../../../core/names.ts';
import { readManifest } from '../../../core/outcome/manifest-schema.ts';

type Entry = Pick<Header, 'name'> & Partial<Pick<Header, 'type' | 'linkname'>>;

const never = new AbortController().signal;
let base: string;
let folder: string;
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'runctl-pull-'));
  folder = join(base, 'folder');
  mkdirSync(folder);
});
afterEach(() => rmSync(base, { recursive: true }));
const put = (name: string, text: string) => writeFileSync(join(folder, name), text);
const text = (name: string) => readFileSync(join(folder, name), 'utf8');

/** An outputs.tar.gz whose files have the content `content`. */
async function outputsOf(entries: readonly Entry[]): Promise<Buffer> {
  const tar = pack();
  for (const entry of entries) tar.entry(entry, entry.type === undefined ? 'content' : '');
  tar.finalize();
  return await buffer(tar.pipe(createGzip()));
}

describe('unpacking outputs', () => {
  async function unpack(...entries: Entry[]) {
    writeFileSync(join(base, 'outputs.tar.gz'), await outputsOf(entries));
    return await unpackOutputs(join(base, 'outputs.tar.gz'), folder, 1_000);
  }
  const link = (name: string, linkname: string): Entry => ({ name, type: 'symlink', linkname });

  it('writes files, and links that stay inside', async () => {
    expect(await unpack(link('outputs/last.pt', 'a/model.pt'), { name: 'outputs/a/model.pt' })).toEqual([]);
    expect(text('outputs/a/model.pt')).toBe('content');
    expect(readlinkSync(join(folder, 'outputs/last.pt'))).toBe('a/model.pt');
  });

  it.each<[string, Entry]>([
    ['a name that leads out', { name: '../canary' }],
    ['a name that leads out further in', { name: 'outputs/../../canary' }],
    ['an absolute name', { name: '/tmp/runctl-canary' }],
    ['a link to the outside', { name: 'outputs/link', type: 'symlink', linkname: '../../canary' }],
    ['an absolute link', { name: 'outputs/link', type: 'symlink', linkname: '/etc/passwd' }],
    ['a hard link', { name: 'outputs/link', type: 'link', linkname: '/etc/passwd' }],
    ['a pipe', { name: 'outputs/pipe', type: 'fifo' }],
    ['a link that comes back in from outside', link('outputs/link', '../../folder/outputs/good')],
    ['a link that leads nowhere', link('outputs/link', 'missing')],
    ['a link to itself', link('outputs/link', 'link')],
    ['a link in the place of a file', link('outputs/good', 'other')],
  ])('leaves out %s, and says so', async (_, entry) => {
    const leftOut = await unpack({ name: 'outputs/good' }, entry);
    expect(leftOut.length).toBe(1);
    expect(leftOut[0]).toContain(JSON.stringify(entry.name));
    expect(await filesBelow(folder)).toEqual(['outputs/good']);
    expect(existsSync(join(base, 'canary')) || existsSync('/tmp/runctl-canary')).toBe(false);
  });
});

describe('a chain of links in outputs', () => {
  const link = (name: string, linkname: string): Entry => ({ name, type: 'symlink', linkname });
  /** Reads through every link, as whoever opens the outputs would. */
  async function unpack(...entries: Entry[]): Promise<string[]> {
    writeFileSync(join(base, 'secret'), 'secret');
    writeFileSync(join(base, 'outputs.tar.gz'), await outputsOf(entries));
    await unpackOutputs(join(base, 'outputs.tar.gz'), folder, 1_000);
    const left = await filesBelow(folder);
    for (const path of left) expect(realpathSync(join(folder, path)).startsWith(realpathSync(folder))).toBe(true);
    expect(readFileSync(join(base, 'secret'), 'utf8')).toBe('secret');
    return left;
  }

  it.each<[string, Entry[]]>([
    ['step by step', [link('a/up', '..'), link('a/x', 'up/../secret')]],
    ['in the other order', [link('a/x', 'up/../secret'), link('a/up', '..')]],
    ['through a folder that is a link', [link('a/up', '..'), { name: 'a/up/../secret' }]],
    ['over many links', [link('d/1', '..'), link('d/2', '1/d/1'), link('d/3', '2/d/2/..'), link('d/x', '3/secret')]],
    ['to a file that is still to be written', [link('a/up', '..'), link('a/new', 'up/../new')]],
  ])('leads out of the folder %s: it is not unpacked', async (_, entries) => {
    expect(
      (await unpack({ name: 'a/good' }, ...entries)).filter((path) => !['a/good', 'a/up', 'd/1', 'd/2'].includes(path)),
    ).toEqual([]);
  });

  it('makes no folder through a link that leads out', async () => {
    await unpack({ name: 'good' }, link('a', '..'), link('a/made/b', 'x'), link('c', '.'), link('c/a/made/d', 'x'));
    expect(readdirSync(base).sort()).toEqual(['folder', 'outputs.tar.gz', 'secret']);
  });

  it('that stays inside is unpacked, and what leads to a removed link is not', async () => {
    const chain = [link('last', 'now'), link('now', 'run/3'), link('run/up', '..'), link('run/self', 'up/run/3')];
    expect(await unpack({ name: 'run/3' }, ...chain)).toEqual(['last', 'now', 'run/3', 'run/self', 'run/up']);
    rmSync(folder, { recursive: true });
    mkdirSync(folder);
    expect(await unpack({ name: 'good' }, link('a', 'b'), link('b', 'c'), link('c', '../secret'))).toEqual(['good']);
  });

  it('of any shape leaves nothing that leads out', async () => {
    const part = fc.constantFrom('a', 'b', 'c', '..', '.');
    const path = fc.array(part, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/'));
    const entry = fc.oneof(
      path.map((name): Entry => ({ name })),
      fc.tuple(path, path).map(([name, target]) => link(name, target)),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(entry, { maxLength: 8 }), async (entries) => {
        // A folder of its own: after an error tar still ends what it has begun.
        folder = mkdtempSync(join(base, 'folder-'));
        // A file where another one needs a folder: the archive is refused.
        await unpack({ name: 'good' }, ...entries).catch((error) => expect(error).toBeInstanceOf(CliError));
        const strangers = readdirSync(base).filter((name) => !name.startsWith('folder'));
        expect(strangers.sort()).toEqual(['outputs.tar.gz', 'secret']);
      }),
      { numRuns: 200 },
    );
  });
});

it('outputs with more bytes than the disk has are not unpacked', async () => {
  writeFileSync(join(base, 'outputs.tar.gz'), await outputsOf([{ name: 'a' }, { name: 'b' }]));
  await expect(unpackOutputs(join(base, 'outputs.tar.gz'), folder, 10)).rejects.toThrow('more bytes than the disk');
  expect(await filesBelow(folder)).not.toContain('b');
});

describe('a pull', () => {
  const digest = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
  const stored = (key: string, bytes: Buffer) => ({ key, bytes: bytes.length, sha256: digest(bytes) });

  /** Pulls a run of any name whose outputs are these, into the folder `folder`. */
  async function pull(id: string, entries: readonly Entry[], changes: object = {}, interruption?: Error) {
    const prefix = `runs/${runFolder(id)}`;
    const objects = new Map([
      [`${prefix}/outputs.tar.gz`, await outputsOf(entries)],
      [`${prefix}/train.log.gz`, gzipSync('a line\n')],
    ]);
    const [archive, log] = [...objects].map(([key, bytes]) => stored(key, bytes));
    const manifest = readManifest(
      JSON.stringify({
        version: 1,
        run: { id, arn: 'arn', startedAt: '2026-01-01T00:00:00Z', endedAt: '2026-01-01T00:01:00Z' },
        outcome: 'succeeded',
        outputs: { archive, count: 1, files: [{ path: 'a', bytes: 7, sha256: digest(Buffer.from('content')) }] },
        logs: [{ job: 'train', ...log }],
        ...changes,
      }),
    );
    if (manifest === null) throw new Error('the manifest cannot be read');
    const opened: string[] = [];
    const store = {
      bucket: 'bucket',
      open: async (key: string) => {
        opened.push(key);
        const body = (async function* () {
          yield objects.get(key);
          if (!interruption) return;
          // What has come is on the disk when the connection breaks.
          const part = join(folder, 'runctl-runs', id, '.pulling', `${basename(key)}.part`);
          await vi.waitFor(() => expect(statSync(part).size).toBeGreaterThan(0), 10_000);
          throw interruption;
        })();
        return { Body: Readable.from(body), $metadata: {} };
      },
    };
    const io = new PassThrough() as unknown as NodeJS.WriteStream;
    const terminal = new Terminal({ out: io, err: io, in: process.stdin, env: {} });
    const context = { terminal, signal: never, folder } as unknown as Context;
    const run = { id, arn: 'arn', execution: null, manifest };
    const pulled = await pullRun(context, { store } as unknown as Runs, run, { unpack: true });
    return { pulled, opened };
  }

  it('brings outputs, log and manifest', async () => {
    expect((await pull('digits-1', [{ name: 'a' }])).pulled).toMatchObject({
      outcome: 'succeeded',
      outputs: 1,
      logs: 1,
    });
    expect(await filesBelow(folder)).toEqual(
      ['a', 'manifest.json', 'train.log'].map((name) => join('runctl-runs/digits-1', name)),
    );
  });

  it.each(['..', '.', '../../x', 'a/b', '.git', '-rf'])(
    'of a run named %s writes below its own folder alone',
    async (id) => {
      await pull(id, [{ name: '.git/hooks/post-checkout' }]);
      expect(readdirSync(base)).toEqual(['folder']);
      expect(readdirSync(folder)).toEqual(['runctl-runs']);
      const [own, ...others] = readdirSync(join(folder, 'runctl-runs'));
      expect(own).toMatch(/^[A-Za-z0-9][\w.-]*-[0-9a-f]{16}$/);
      expect(others).toEqual([]);
    },
  );

  it.each(['runs/digits-1/..', 'runs/digits-1/../x', 'runs/other/outputs.tar.gz', 'runs/digits-1/evil'])(
    'does not download the object %s',
    async (key) => {
      const outputs = { archive: { key, bytes: 1, sha256: '0'.repeat(64) }, count: 1, files: [] };
      await expect(pull('digits-1', [], { outputs })).rejects.toThrow('is not one of that run');
    },
  );

  it('that is refused leaves nothing, and what was there stays', async () => {
    await expect(
      pull('digits-1', [], { logs: [{ job: 'train', key: 'x', bytes: 1, sha256: '0'.repeat(64) }] }),
    ).rejects.toThrow();
    expect(readdirSync(folder)).toEqual([]);
    mkdirSync(join(folder, 'runctl-runs/digits-1'), { recursive: true });
    put('runctl-runs/digits-1/a', 'mine');
    await expect(pull('digits-1', [{ name: 'a' }])).rejects.toThrow('different content');
    expect(readdirSync(join(folder, 'runctl-runs/digits-1'))).toEqual(['a']);
  });

  it('that was interrupted keeps what it has downloaded', async () => {
    const manifest = {
      logs: [{ job: 'train', key: 'runs/digits-1/train.log.gz', bytes: 1e6, sha256: '0'.repeat(64) }],
    };
    await expect(pull('digits-1', [{ name: 'a' }], manifest, new Error('socket hang up'))).rejects.toThrow(
      'socket hang up',
    );
    expect(readdirSync(join(folder, 'runctl-runs/digits-1/.pulling'))).toEqual(['train.log.gz.part']);
  });

  it('checks the sizes of the manifest before it downloads anything', async () => {
    const files = [{ path: 'a', bytes: 2 ** 52, sha256: '0'.repeat(64) }];
    const archive = { key: 'runs/digits-1/outputs.tar.gz', bytes: 1, sha256: '0'.repeat(64) };
    const pulling = pull('digits-1', [], { outputs: { archive, count: 1, files } });
    await expect(pulling).rejects.toMatchObject({ exitCode: 3, message: expect.stringContaining('free') });
    expect(await filesBelow(folder)).toEqual([]);
  });
});

describe('placing files', () => {
  const stage = (...names: string[]) => {
    const at = mkdtempSync(join(base, 'stage-'));
    return new Map(
      names.map((name, index) => {
        writeFileSync(join(at, String(index)), `new ${name}`);
        return [name, join(at, String(index))] as const;
      }),
    );
  };

  it('leaves what is there with the same content, and overwrites nothing unasked', async () => {
    put('a', 'new a');
    expect(await placeFiles(stage('a', 'deep/b'), folder, () => false)).toEqual({
      same: ['a'],
      overwritten: [],
    });
    expect(text('deep/b')).toBe('new deep/b');
    put('a', 'mine');
    await expect(placeFiles(stage('c', 'a'), folder, () => false)).rejects.toMatchObject({
      exitCode: 2,
      message: expect.stringContaining('\n  a'),
    });
    expect(text('a')).toBe('mine');
    expect(existsSync(join(folder, 'c'))).toBe(false);
    expect((await placeFiles(stage('c', 'a'), folder, () => true)).overwritten).toEqual(['a']);
    expect(text('a')).toBe('new a');
  });

  it('does not follow a link out of the folder, nor replace a folder', async () => {
    mkdirSync(join(base, 'outside'));
    symlinkSync(join(base, 'outside'), join(folder, 'outputs'));
    await expect(placeFiles(stage('outputs/a'), folder, () => true)).rejects.toThrow('is a link to a folder outside');
    mkdirSync(join(folder, 'b'));
    await expect(placeFiles(stage('b'), folder, () => true)).rejects.toThrow('folder');
  });
});

describe('a download', () => {
  const content = Buffer.from('0123456789'.repeat(10));
  const object = {
    key: 'runs/r/outputs.tar.gz',
    bytes: 100,
    sha256: createHash('sha256').update(content).digest('hex'),
  };

  function store(stored: Buffer | null) {
    const offsets: number[] = [];
    const open: RunStore['open'] = async (_, from = 0) => {
      offsets.push(from);
      return stored && ({ Body: Readable.from([stored.subarray(from)]), $metadata: {} } as never);
    };
    return { offsets, open, bucket: 'bucket' };
  }
  const get = (from: ReturnType<typeof store>) => download(from, object, join(folder, 'file'), () => undefined, never);

  it('goes on where an earlier one stopped', async () => {
    put('file.part', content.subarray(0, 30).toString());
    const s3 = store(content);
    await get(s3);
    expect(s3.offsets).toEqual([30]);
    expect(text('file')).toBe(content.toString());
    expect(await filesBelow(folder)).toEqual(['file']);
  });

  it('is refused when it is not what the manifest speaks of, and begins anew then', async () => {
    put('file.part', 'something else');
    await expect(get(store(content))).rejects.toMatchObject({
      exitCode: 3,
      message: expect.stringContaining('SHA-256'),
    });
    expect(await filesBelow(folder)).toEqual([]);
    await get(store(content));
    expect(text('file')).toBe(content.toString());
    await expect(get(store(null))).rejects.toThrow('no longer exists');
    await expect(get(store(Buffer.concat([content, content])))).rejects.toThrow('SHA-256');
  });
});
