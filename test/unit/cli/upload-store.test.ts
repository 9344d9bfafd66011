import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { S3Client } from '@aws-sdk/client-s3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { checksumOf, storeArchive } from '../../../cli/archive/upload.ts';
import { fakeClient } from '../../support/fakes/sdk-client.ts';

const sha256 = (data: Uint8Array) => createHash('sha256').update(data).digest();
const TO = { bucket: 'mine', project: 'demo' };
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
  return { file, folder: dirname(file), sha256: sha256(data).toString('hex'), bytes: data.length, members, keep };
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
