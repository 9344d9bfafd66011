import { createHash } from 'node:crypto';
import { beforeEach, describe, expect, it } from 'vitest';
import { outputPartsOver } from '../../../aws/output-parts.ts';
import { partKey } from '../../../core/outcome/output-parts.ts';
import { MultipartS3 } from '../../support/fakes/multipart-s3.ts';

const PREFIX = 'pieces/run/parts/outputs.tar.gz/';
const TARGET = 'runs/run/outputs.tar.gz';
const PART_BYTES = 5 * 2 ** 20;
/** So many are copied between two looks at the clock. */
const BATCH = 64;
const md5 = (bytes: Uint8Array) => createHash('md5').update(bytes).digest('hex');

let s3: MultipartS3;
let now = 0;
beforeEach(() => {
  s3 = new MultipartS3();
  now = 0;
});

/** Puts the parts where an instance does. Many parts share their bytes. */
function sent(count: number, { lastBytes = 7, partBytes = PART_BYTES } = {}) {
  const body = Buffer.alloc(partBytes, 'a');
  const bodies = Array.from({ length: count }, (_, index) =>
    index === count - 1 ? Buffer.alloc(lastBytes, 'z') : body,
  );
  for (const [index, part] of bodies.entries()) s3.objects.set(partKey(PREFIX, index + 1), part);
  const bytes = (count - 1) * partBytes + lastBytes;
  const etag = md5(body);
  const etags = bodies.map((_, index) => (index === count - 1 ? md5(bodies[index] as Buffer) : etag));
  const list = Buffer.from(JSON.stringify({ bytes, partBytes, etags }));
  s3.objects.set(`${PREFIX}parts.json`, list);
  return { bytes, parts: { prefix: PREFIX, bytes, listEtag: md5(list) } };
}

const store = () => {
  const sizes = { wholeBytes: 1, partBytes: PART_BYTES, now: () => now };
  return outputPartsOver(s3.client, () => Promise.reject(new Error('nobody asked')), 'bucket', sizes);
};

describe('the parts of a file', () => {
  it('are one object in the end, in order', async () => {
    const { bytes, parts } = sent(3);
    expect(await store().join(parts, TARGET, null, 1)).toBeNull();
    const joined = s3.objects.get(TARGET);
    expect(joined?.length).toBe(bytes);
    expect(joined?.subarray(-8).toString()).toBe('azzzzzzz');
  });

  it('that are many are joined in several calls, each part once, also over pages of parts', async () => {
    s3.pageParts = 10;
    s3.minPartBytes = 10;
    const { bytes, parts } = sent(2 * BATCH + 3, { partBytes: 10 });
    now = 5;
    const first = await store().join(parts, TARGET, null, 1);
    expect(first).toBe('u1');
    expect(await store().join(parts, TARGET, first, 1)).toBe('u1');
    expect(await store().join(parts, TARGET, first, 1)).toBeNull();
    expect(s3.objects.get(TARGET)?.length).toBe(bytes);
    expect(s3.sent.filter(({ name }) => name === 'UploadPartCopyCommand')).toHaveLength(2 * BATCH + 3);
  });

  it('that were joined by a call whose answer was lost are not joined again', async () => {
    const { parts } = sent(2);
    s3.after = (command) => {
      if (command === 'CompleteMultipartUploadCommand')
        throw Object.assign(new Error('lost'), { name: 'TimeoutError' });
    };
    await expect(store().join(parts, TARGET, null, 1)).rejects.toThrow();
    s3.after = () => undefined;
    expect(await store().join(parts, TARGET, 'u1', 1)).toBeNull();
    expect(s3.uploads.size).toBe(0);
  });

  it.each<[string, (etag: string) => void, RegExp]>([
    ['one is missing', () => void s3.objects.delete(partKey(PREFIX, 2)), /part 2 is missing/],
    ['one is another one', () => void s3.objects.set(partKey(PREFIX, 1), Buffer.alloc(PART_BYTES, 'b')), /part 1/],
    ['the list is missing', () => void s3.objects.delete(`${PREFIX}parts.json`), /list of parts is missing/],
    [
      'the list is another one',
      () => void s3.objects.set(`${PREFIX}parts.json`, Buffer.from('{}')),
      /another one than/,
    ],
    ['the upload was removed', () => s3.uploads.clear(), /was removed/],
  ])('are not joined when %s', async (_, change, message) => {
    const { parts } = sent(3);
    const upload = s3.uploads.set('u9', { key: TARGET, parts: new Map() });
    expect(upload.size).toBe(1);
    change('');
    await expect(store().join(parts, TARGET, 'u9', 1)).rejects.toThrow(message);
    expect(s3.objects.has(TARGET)).toBe(false);
  });

  it.each([
    ['of another size than the file', { bytes: 8 }],
    ['of fewer parts', { etags: [] }],
    ['that is none', null],
  ])('are not joined by a list %s', async (_, change) => {
    const { parts } = sent(2);
    const before = JSON.parse(String(s3.objects.get(`${PREFIX}parts.json`))) as object;
    const list = Buffer.from(change === null ? 'x' : JSON.stringify({ ...before, ...change }));
    s3.objects.set(`${PREFIX}parts.json`, list);
    await expect(store().join({ ...parts, listEtag: md5(list) }, TARGET, null, 1)).rejects.toThrow(/parts/);
    expect(s3.objects.has(TARGET)).toBe(false);
  });
});
