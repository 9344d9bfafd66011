import { describe, expect, it } from 'vitest';
import { resultFilesOver } from '../../../aws/result-files.ts';
import { spiedS3 } from '../../support/fakes/memory-aws.ts';
import { awsError } from '../../support/fakes/sdk-client.ts';

const PART = 1_000;

async function* chunksOf(bytes: Buffer, size: number) {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function write(length: number, chunk: number) {
  const bytes = Buffer.from(Array.from({ length }, (_, index) => index % 251));
  const objects = new Map<string, Uint8Array>();
  const { client, sent } = spiedS3(objects);
  await resultFilesOver(client, 'bucket', PART)('a').write('report.html', chunksOf(bytes, chunk), 'text/html');
  return { bytes, stored: objects.get('runs/a/report.html'), sent };
}

describe('the files of results', () => {
  it.each([0, 1, PART - 1, PART, PART + 1, 2 * PART, 2 * PART + 1, 10 * PART + 7])(
    'with %i bytes are stored as they are, in whatever chunks they come',
    async (length) => {
      for (const chunk of [1, 7, PART, 3 * PART + 1]) {
        const { bytes, stored } = await write(length, chunk);
        expect(Buffer.from(stored ?? 'missing').equals(bytes), `${length} in chunks of ${chunk}`).toBe(true);
      }
    },
  );

  it('go in one request, or in parts of equal size', async () => {
    const small = await write(PART, 10);
    expect(small.sent.map(({ name }) => name)).toEqual(['PutObjectCommand']);
    const { sent } = await write(2 * PART + 5, 600);
    const parts = sent.filter(({ name }) => name === 'UploadPartCommand');
    expect(parts.map(({ input }) => (input.Body as Buffer).length)).toEqual([PART, PART, 5]);
    for (const { input } of sent.filter(({ name }) => /Put|Create/.test(name)))
      expect(input.ContentType).toBe('text/html');
  });

  it('leave no unfinished upload when a part is refused, or when what is written breaks off', async () => {
    const { client, sent } = spiedS3(new Map());
    const failing = {
      send: (command: { constructor: { name: string } }) =>
        command.constructor.name === 'UploadPartCommand'
          ? Promise.reject(awsError('SlowDown'))
          : (client.send as (command: object) => Promise<object>)(command),
    } as typeof client;
    const files = resultFilesOver(failing, 'bucket', PART)('a');
    await expect(files.write('x', chunksOf(Buffer.alloc(5 * PART), 100), 'a/b')).rejects.toThrow('SlowDown');
    expect(sent.map(({ name }) => name)).toEqual(['CreateMultipartUploadCommand', 'AbortMultipartUploadCommand']);

    const breaking = spiedS3(new Map());
    async function* broken() {
      yield Buffer.alloc(3 * PART);
      throw new Error('broken');
    }
    await expect(resultFilesOver(breaking.client, 'bucket', PART)('a').write('x', broken(), 'a/b')).rejects.toThrow(
      'broken',
    );
    expect(breaking.sent.at(-1)?.name).toBe('AbortMultipartUploadCommand');
  });
});
