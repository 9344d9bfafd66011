import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { createGzip } from 'node:zlib';
import { type Header, pack } from 'tar-stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { download } from '../../../cli/runs/download.ts';
import { filesBelow, placeFiles } from '../../../cli/runs/place-files.ts';
import type { RunStore } from '../../../cli/runs/store.ts';
import { unpackOutputs } from '../../../cli/runs/unpack-outputs.ts';

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

describe('unpacking outputs', () => {
  async function unpack(...entries: Entry[]) {
    const tar = pack();
    for (const entry of entries) tar.entry(entry, entry.type === undefined ? 'content' : '');
    tar.finalize();
    writeFileSync(join(base, 'outputs.tar.gz'), await buffer(tar.pipe(createGzip())));
    return await unpackOutputs(join(base, 'outputs.tar.gz'), folder);
  }

  it('writes files, and links that stay inside', async () => {
    const link = { name: 'outputs/last.pt', type: 'symlink', linkname: 'a/model.pt' } as const;
    expect(await unpack({ name: 'outputs/a/model.pt' }, link)).toEqual([]);
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
  ])('leaves out %s, and says so', async (_, entry) => {
    const leftOut = await unpack({ name: 'outputs/good' }, entry);
    expect(leftOut.length).toBe(1);
    expect(leftOut[0]).toContain(JSON.stringify(entry.name));
    expect(await filesBelow(folder)).toEqual(['outputs/good']);
    expect(existsSync(join(base, 'canary')) || existsSync('/tmp/runctl-canary')).toBe(false);
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
    expect(await placeFiles(stage('a', 'deep/b'), folder, { overwrite: false })).toEqual({
      same: ['a'],
      overwritten: [],
    });
    expect(text('deep/b')).toBe('new deep/b');
    put('a', 'mine');
    await expect(placeFiles(stage('c', 'a'), folder, { overwrite: false })).rejects.toMatchObject({
      exitCode: 2,
      message: expect.stringContaining('\n  a'),
    });
    expect(text('a')).toBe('mine');
    expect(existsSync(join(folder, 'c'))).toBe(false);
    expect((await placeFiles(stage('c', 'a'), folder, { overwrite: true })).overwritten).toEqual(['a']);
    expect(text('a')).toBe('new a');
  });

  it('does not follow a link out of the folder, nor replace a folder', async () => {
    mkdirSync(join(base, 'outside'));
    symlinkSync(join(base, 'outside'), join(folder, 'outputs'));
    await expect(placeFiles(stage('outputs/a'), folder, { overwrite: true })).rejects.toThrow(
      'is a link to a folder outside',
    );
    mkdirSync(join(folder, 'b'));
    await expect(placeFiles(stage('b'), folder, { overwrite: true })).rejects.toThrow('folder');
  });
});

describe('a download', () => {
  const content = Buffer.from('0123456789'.repeat(10));
  const wanted = {
    key: 'runs/r/outputs.tar.gz',
    bytes: 100,
    sha256: createHash('sha256').update(content).digest('hex'),
  };

  function store(object: Buffer | null) {
    const asked: number[] = [];
    const open: RunStore['open'] = async (_, from = 0) => {
      asked.push(from);
      return object && ({ Body: Readable.from([object.subarray(from)]), $metadata: {} } as never);
    };
    return { asked, open, bucket: 'bucket' };
  }
  const get = (from: ReturnType<typeof store>) => download(from, wanted, join(folder, 'file'), () => undefined, never);

  it('goes on where an earlier one stopped', async () => {
    put('file.part', content.subarray(0, 30).toString());
    const s3 = store(content);
    await get(s3);
    expect(s3.asked).toEqual([30]);
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
  });
});
