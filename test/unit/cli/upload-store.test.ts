import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LambdaClient } from '@aws-sdk/client-lambda';
import type { S3Client } from '@aws-sdk/client-s3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AssembleNow } from '../../../cli/archive/assemble-now.ts';
import { checksumOf } from '../../../cli/archive/find-archive.ts';
import { DamagedArchive, type PackCache } from '../../../cli/archive/pack-cache.ts';
import { startUpload, storeArchive } from '../../../cli/archive/send-archive.ts';
import { executionNameForUpload, INDEX_METADATA } from '../../../core/names.ts';
import { fakeClient } from '../../support/fakes/sdk-client.ts';

const sha256 = (data: Uint8Array) => createHash('sha256').update(data).digest();
const TO = { bucket: 'mine', project: 'demo', patch: 'none', expires: true, assemble: null } as const;
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'runctl-upload-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function archive(data: Uint8Array) {
  const file = join(folder, 'code.tar.gz');
  writeFileSync(file, data);
  const members = [{ bytes: data.length, content: data.length, digest: '' }];
  const keep = () => Promise.resolve();
  return {
    file: async () => file,
    previous: null,
    sha256: sha256(data).toString('hex'),
    bytes: data.length,
    members,
    keep,
  };
}

describe('an archive that is there already', () => {
  it('is reused when S3 itself has computed its checksum', async () => {
    const local = archive(Buffer.from('code'));
    const { client } = fakeClient<S3Client>({
      HeadObjectCommand: () => ({
        ContentLength: 4,
        ChecksumSHA256: sha256(Buffer.from('code')).toString('base64'),
        VersionId: 'v1',
      }),
    });
    expect(await storeArchive(client as S3Client, local, TO)).toMatchObject({ reused: true, versionId: 'v1' });
  });

  it('is not read when a function has verified it', async () => {
    const local = { ...archive(Buffer.alloc(9 * 1024 * 1024)), file: () => Promise.reject(new Error('it was made')) };
    const { client } = fakeClient<S3Client>({
      HeadObjectCommand: ({ Key }) =>
        String(Key).startsWith('indexes/')
          ? { Metadata: { [INDEX_METADATA.key]: 'archives/demo/a.tar.gz', [INDEX_METADATA.versionId]: 'v7' } }
          : { ContentLength: local.bytes, ChecksumSHA256: 'x-2', VersionId: 'v1' },
    });
    const found = await storeArchive(client as S3Client, local, TO);
    expect(found).toMatchObject({ reused: true, key: 'archives/demo/a.tar.gz', versionId: 'v7' });
  });

  it.each([
    [
      'other bytes of the same length, with metadata that claims the digest',
      { ChecksumSHA256: sha256(Buffer.from('evil')).toString('base64') },
    ],
    ['no checksum of S3 at all', {}],
  ])('is not reused: %s', async (_, head) => {
    const local = archive(Buffer.from('code'));
    const { client } = fakeClient<S3Client>({
      HeadObjectCommand: () => ({ ContentLength: 4, VersionId: 'v1', Metadata: { sha256: local.sha256 }, ...head }),
    });
    // The next call is the upload, which this fake does not know.
    await expect(storeArchive(client as S3Client, local, TO)).rejects.toThrow();
  });
});

describe('checksumOf', () => {
  it('is that of the whole object in one part', async () => {
    const data = Buffer.alloc(1_000, 'x');
    expect(await checksumOf(archive(data))).toBe(sha256(data).toString('base64'));
  });

  it('is that of the parts’ digests in several, with their number', async () => {
    const part = 8 * 1024 * 1024;
    const data = Buffer.alloc(part + 10, 'y');
    const parts = [data.subarray(0, part), data.subarray(part)].map(sha256);
    expect(await checksumOf(archive(data))).toBe(`${sha256(Buffer.concat(parts)).toString('base64')}-2`);
  });
});

const NOT_FOUND = Object.assign(new Error('no'), { $metadata: { httpStatusCode: 404 } });
/** What lib-storage asks the client for. */
const CONFIG = {
  config: {
    requestHandler: {},
    endpoint: () => Promise.resolve({ protocol: 'https:', hostname: 's3.example', path: '/' }),
  },
};

describe('an archive for a run alone', () => {
  const bytes = Buffer.from('code');
  const stored = (days: number, metadata = { expires: 'yes' }) => ({
    ContentLength: 4,
    ChecksumSHA256: sha256(bytes).toString('base64'),
    VersionId: 'v1',
    LastModified: new Date(Date.now() - days * 86_400_000),
    Metadata: metadata,
  });

  it('expires, unless the person may not tag it', async () => {
    const puts: Record<string, unknown>[] = [];
    const { client } = fakeClient<S3Client>({
      HeadObjectCommand: () => NOT_FOUND,
      PutObjectCommand: (input, call) => {
        puts.push(input);
        return call === 0
          ? Object.assign(new Error('no'), { $metadata: { httpStatusCode: 403 } })
          : { VersionId: 'v1' };
      },
    });
    Object.assign(client, CONFIG);
    expect(await storeArchive(client as S3Client, archive(bytes), TO)).toMatchObject({ versionId: 'v1', sentBytes: 4 });
    expect(puts.map(({ Tagging, Metadata }) => [Tagging, Metadata])).toEqual([
      ['runctl-expires=yes', { expires: 'yes' }],
      [undefined, undefined],
    ]);
    const kept = { ...TO, expires: false };
    await storeArchive(client as S3Client, archive(bytes), kept);
    expect(puts[2]).not.toHaveProperty('Tagging');
  });

  it.each([
    [59, []],
    [61, [{ Tagging: 'runctl-expires=yes', Metadata: { expires: 'yes' } }]],
  ])('that was stored %i days ago is used again, an old one as a copy', async (days, copies) => {
    const { client, sent } = fakeClient<S3Client>({
      HeadObjectCommand: ({ Key }) => (String(Key).startsWith('indexes/') ? NOT_FOUND : stored(days)),
      CopyObjectCommand: () => ({ VersionId: 'v2' }),
    });
    const result = await storeArchive(client as S3Client, archive(bytes), TO);
    expect(result).toMatchObject({ reused: true, sentBytes: 0, versionId: copies.length === 0 ? 'v1' : 'v2' });
    const copied = sent.filter(({ name }) => name === 'CopyObjectCommand').map(({ input }) => input);
    expect(copied).toMatchObject(copies);
  });

  it('is copied without the mark by a person who may not tag', async () => {
    const { client } = fakeClient<S3Client>({
      HeadObjectCommand: ({ Key }) => (String(Key).startsWith('indexes/') ? NOT_FOUND : stored(61)),
      CopyObjectCommand: ({ Tagging }) =>
        Tagging === undefined
          ? { VersionId: 'v3' }
          : Object.assign(new Error('no'), { $metadata: { httpStatusCode: 403 } }),
    });
    expect(await storeArchive(client as S3Client, archive(bytes), TO)).toMatchObject({ versionId: 'v3' });
  });

  it('is copied for a push or a schedule, which others name', async () => {
    const { client, sent } = fakeClient<S3Client>({
      HeadObjectCommand: ({ Key }) =>
        String(Key).startsWith('indexes/') ? NOT_FOUND : { ...stored(3), Metadata: { expires: 'yes', runctl: '{}' } },
      CopyObjectCommand: () => ({ VersionId: 'v2' }),
    });
    const kept = await storeArchive(client as S3Client, archive(bytes), { ...TO, expires: false });
    expect(kept).toMatchObject({ reused: true, versionId: 'v2', sentBytes: 0 });
    expect(sent.at(-1)?.input).toMatchObject({
      Key: kept.key,
      CopySource: expect.stringMatching(/^mine\/archives\/demo\/[0-9a-f]{16}\.tar\.gz\?versionId=v1$/),
      TaggingDirective: 'REPLACE',
      MetadataDirective: 'REPLACE',
      Metadata: { runctl: '{}' },
    });
    expect(sent.at(-1)?.input.Tagging).toBeUndefined();
  });
});

describe('an upload that starts a run', () => {
  const bytes = Buffer.from('code');
  const START = { ...TO, patch: 'at-once', start: { spec: { name: 'a' }, changedFiles: 2 } } as const;

  function start(heads: number, archived: object | Error = { VersionId: 'v1' }) {
    const puts: Record<string, unknown>[] = [];
    const missing = Object.assign(new Error('no'), { $metadata: { httpStatusCode: heads } });
    const { client, sent } = fakeClient<S3Client>({
      HeadObjectCommand: () => missing,
      ListObjectsV2Command: () => missing,
      PutObjectCommand(input) {
        puts.push(input);
        return archived;
      },
      CopyObjectCommand: () => ({ VersionId: 'v2' }),
    });
    Object.assign(client, CONFIG);
    const local = archive(bytes);
    return { local, puts, sent, started: startUpload(client as S3Client, local, START) };
  }
  const specOf = (metadata: unknown) => JSON.parse((metadata as { runctl: string }).runctl) as object;

  it('is stored as an archive first, and copied: later ones take from it what has not changed', async () => {
    const { local, puts, sent, started } = start(404);
    const result = await started;
    expect(puts.map(({ Key, Tagging }) => [Key, Tagging])).toEqual([
      [`archives/demo/${local.sha256.slice(0, 16)}.tar.gz`, 'runctl-expires=yes'],
    ]);
    const copy = sent.at(-1)?.input ?? {};
    expect(copy).toMatchObject({
      Key: `uploads/demo/${local.sha256.slice(0, 16)}.tar.gz`,
      CopySource: `mine/${puts[0]?.Key}?versionId=v1`,
      MetadataDirective: 'REPLACE',
    });
    expect(copy.Tagging).toBeUndefined();
    expect(specOf(copy.Metadata)).toEqual({
      name: 'a',
      sha256: local.sha256,
      sent: { bytes: 4, changedFiles: 2 },
    });
    expect(result).toMatchObject({ key: copy.Key, versionId: 'v2', stored: { key: puts[0]?.Key, versionId: 'v1' } });
    expect(result.runId).toBe(executionNameForUpload({ bucket: 'mine', key: String(copy.Key), version: 'v2' }));
  });

  it('is uploaded once, and whole, by a person who may only upload', async () => {
    const { local, puts, started } = start(403);
    expect(await started).toMatchObject({ sentBytes: 4, stored: null, runId: expect.any(String) });
    expect(puts.map(({ Key }) => Key)).toEqual([`uploads/demo/${local.sha256.slice(0, 16)}.tar.gz`]);
    expect(specOf(puts[0]?.Metadata)).toMatchObject({ sha256: local.sha256, sent: { bytes: 4, changedFiles: 2 } });
  });
});

describe('an archive that no run follows', () => {
  const content = Buffer.alloc(200_000, 'x');
  const member = { content: 3, digest: '0123456789abcdef0123456789abcdef' };
  const base = { bucket: 'mine', key: 'archives/demo/base.tar.gz', versionId: 'v1' };

  /** An archive of which an earlier one has all but the last bytes. */
  function edited() {
    const local = archive(Buffer.concat([content, Buffer.from('new')]));
    const members = [
      { ...member, bytes: content.length },
      { ...member, bytes: 3, digest: 'f'.repeat(32) },
    ];
    const previous = {
      archive: { sha256: 'a'.repeat(64), bytes: content.length, members: [members[0]] },
      storedIn: () => base,
      read: async () => content,
    };
    return { ...local, members, previous } as unknown as Parameters<typeof storeArchive>[1];
  }

  function store(answer: object | Error) {
    const puts: string[] = [];
    const { client } = fakeClient<S3Client>({
      HeadObjectCommand: ({ Key }) =>
        Key === base.key
          ? { ContentLength: content.length }
          : Object.assign(new Error('no'), { $metadata: { httpStatusCode: 404 } }),
      PutObjectCommand: ({ Key }) => {
        puts.push(String(Key).split('/')[0] as string);
        return { VersionId: 'v2' };
      },
    });
    Object.assign(client, CONFIG);
    const { client: lambda, sent } = fakeClient<LambdaClient>({ InvokeCommand: () => answer });
    const to = {
      bucket: 'mine',
      project: 'demo',
      patch: 'at-once',
      expires: false,
      assemble: new AssembleNow(lambda),
    } as const;
    return {
      puts,
      sent,
      stored: (local: Parameters<typeof storeArchive>[1]) => storeArchive(client as S3Client, local, to),
    };
  }
  const made = (value: object) => ({ Payload: Buffer.from(JSON.stringify(value)) });

  it('is assembled at once', async () => {
    const local = edited();
    const { puts, sent, stored } = store(made({ versionId: 'v9', bytes: local.bytes }));
    const result = await stored(local);
    expect(result).toMatchObject({
      versionId: 'v9',
      patch: null,
      reused: false,
      key: expect.stringMatching(/^archives\/demo\//),
    });
    expect(result.sentBytes).toBeLessThan(1_000);
    expect(puts).toEqual(['patches']);
    const { input } = JSON.parse(String(sent[0]?.input.Payload)) as { input: object };
    expect(input).toEqual({
      archive: `s3://mine/${result.key}`,
      patch: `s3://mine/patches/demo/${local.sha256}`,
      sha256: local.sha256,
    });
  });

  it('is sent whole when there is no base any more, which is asked once', async () => {
    const lists: unknown[] = [];
    const missing = Object.assign(new Error('no'), { $metadata: { httpStatusCode: 404 } });
    const { client } = fakeClient<S3Client>({
      HeadObjectCommand: () => missing,
      ListObjectsV2Command: (input) => {
        lists.push(input);
        return {};
      },
      PutObjectCommand: () => ({ VersionId: 'v2' }),
    });
    Object.assign(client, CONFIG);
    const { client: lambda } = fakeClient<LambdaClient>({});
    const to = { ...TO, patch: 'at-once', assemble: new AssembleNow(lambda) } as const;
    expect(await storeArchive(client as S3Client, edited(), to)).toMatchObject({ versionId: 'v2', patch: null });
    expect(lists).toHaveLength(1);
  });

  it('is assembled also when the copy of what was replaced is damaged', async () => {
    const { previous, ...local } = edited();
    const replaced = { bytes: 10, content: 3, digest: 'e'.repeat(32) };
    const members = [...(previous?.archive.members ?? []), replaced];
    let reads = 0;
    const damaged = {
      storedIn: () => base,
      archive: { ...previous?.archive, members },
      read: () => {
        reads += 1;
        return Promise.reject(new DamagedArchive());
      },
    } as unknown as PackCache;
    const { puts, stored } = store(made({ versionId: 'v9', bytes: local.bytes }));
    expect(await stored({ ...local, previous: damaged })).toMatchObject({ versionId: 'v9' });
    expect([reads, puts]).toEqual([1, ['patches']]);
  });

  it.each<[string, object | Error]>([
    ['the permission is missing', Object.assign(new Error('no'), { name: 'AccessDeniedException' })],
    ['the function refuses the patch', { FunctionError: 'Unhandled', ...made({ errorType: 'PatchUnusable' }) }],
    ['the archive has another size', made({ versionId: 'v9', bytes: 5 })],
    ['it has no version', made({ versionId: null, bytes: content.length + 3 })],
    ['the answer is not JSON', { Payload: Buffer.from('x') }],
  ])('is sent whole when %s', async (_, answer) => {
    const { puts, stored } = store(answer);
    const local = edited();
    const result = await stored(local);
    expect(result).toMatchObject({ versionId: 'v2', patch: null });
    expect(result.sentBytes).toBeGreaterThan(local.bytes);
    expect(puts).toEqual(['patches', 'archives']);
  });
});
