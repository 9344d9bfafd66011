import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { S3Client } from '@aws-sdk/client-s3';
import { SFNClient } from '@aws-sdk/client-sfn';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { archiveStoreOver, createArchiveStore } from '../../../aws/archive-store.ts';
import { AwsError, classify, isTransient, withAwsErrors } from '../../../aws/errors.ts';
import { executionsOver } from '../../../aws/executions.ts';
import { headObject } from '../../../aws/objects.ts';
import { CLI_SETTINGS, CLIENT_SETTINGS, IMPATIENT, timeouts } from '../../../aws/settings.ts';
import { RunError } from '../../../core/errors.ts';
import { awsError } from '../../support/fakes/sdk-client.ts';

describe('an error of AWS', () => {
  it.each([
    ['AccessDeniedException', 'denied', 'AccessDenied', false],
    ['UnauthorizedOperation', 'denied', 'AccessDenied', false],
    ['ExpiredTokenException', 'expired-credentials', 'AccessDenied', false],
    ['CredentialsProviderError', 'no-credentials', 'AccessDenied', false],
    ['SignatureDoesNotMatch', 'wrong-credentials', 'AccessDenied', false],
    ['ThrottlingException', 'throttled', 'ServiceUnavailable', true],
    ['TimeoutError', 'unreachable', 'ServiceUnavailable', true],
    ['ValidationException', 'other', 'ServiceUnavailable', false],
  ])('%s is %s, for Step Functions %s, and transient: %s', async (thrown, kind, name, transient) => {
    const error = await withAwsErrors('s3:PutObject of k', Promise.reject(awsError(thrown, 'why'))).catch((e) => e);
    expect(error).toBeInstanceOf(RunError);
    expect(error).toMatchObject({ kind, name, message: `s3:PutObject of k: ${thrown}: why` });
    expect(classify(error)).toBe(kind);
    expect(isTransient(error)).toBe(transient);
  });

  it.each([
    [403, 'denied'],
    [429, 'throttled'],
    [500, 'service'],
    [503, 'service'],
    [400, 'other'],
  ])('without a name that is known is judged by the HTTP status: %i is %s', (httpStatusCode, kind) => {
    expect(classify(Object.assign(new Error('UnknownError'), { $metadata: { httpStatusCode } }))).toBe(kind);
  });

  it('that is a RunError already, or an abort, stays', async () => {
    const ours = new RunError('ArchiveNotFound', 'gone');
    await expect(withAwsErrors('x', Promise.reject(ours))).rejects.toBe(ours);
    const abort = awsError('AbortError');
    await expect(withAwsErrors('x', Promise.reject(abort))).rejects.toBe(abort);
  });
});

let server: Server | null = null;
afterEach(() => {
  server?.closeAllConnections();
  server?.close();
});

async function listen(answer: RequestListener): Promise<string> {
  server = createServer(answer);
  await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const PERSON = { region: 'eu-central-1', credentials: { accessKeyId: 'a', secretAccessKey: 'b' }, maxAttempts: 1 };

describe('a service that does not answer', () => {
  it('is given up after the request timeout, and not only warned of', async () => {
    const endpoint = await listen(() => undefined);
    const requestHandler = { ...CLIENT_SETTINGS.requestHandler, requestTimeout: 200 };
    const sfn = new SFNClient({ ...CLIENT_SETTINGS, ...PERSON, endpoint, requestHandler });
    const began = performance.now();
    const error = await executionsOver(sfn)
      .describe('arn:aws:states:eu-central-1:1:execution:m:n')
      .catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ name: 'ServiceUnavailable', kind: 'unreachable' });
    expect(performance.now() - began).toBeLessThan(3_000);
  });

  it('is given up by the command line too, after silence', async () => {
    const endpoint = await listen(() => undefined);
    const requestHandler = { ...CLI_SETTINGS.requestHandler, socketTimeout: 200 };
    const sfn = new SFNClient({ ...CLI_SETTINGS, ...PERSON, endpoint, requestHandler });
    const began = performance.now();
    const error = await executionsOver(sfn)
      .describe('arn:aws:states:eu-central-1:1:execution:m:n')
      .catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ name: 'ServiceUnavailable', kind: 'unreachable' });
    expect(performance.now() - began).toBeLessThan(3_000);
  });

  it('is given up by every client of the functions', () => {
    for (const { requestHandler } of [
      CLIENT_SETTINGS,
      IMPATIENT,
      { requestHandler: timeouts({ connection: 1, request: 1 }) },
    ])
      expect(requestHandler).toMatchObject({ throwOnRequestTimeout: true, requestTimeout: expect.any(Number) });
  });
});

describe('S3', () => {
  const s3 = (endpoint: string) => new S3Client({ ...PERSON, endpoint, forcePathStyle: true });
  const location = { bucket: 'bucket', key: 'uploads/x.tar.gz', versionId: null };

  it.each([403, 404])('answers HEAD without a name: %i', async (status) => {
    const endpoint = await listen((_, response) => response.writeHead(status).end());
    const head = headObject(s3(endpoint), location);
    if (status === 404) expect(await head).toBeNull();
    else await expect(head).rejects.toMatchObject({ name: 'AccessDenied', kind: 'denied' });
  });

  it('breaks off in the middle of an archive: the read fails as the service, so that the step is retried', async () => {
    const endpoint = await listen((_, response) => {
      response.writeHead(200, { 'content-length': '100' });
      response.write('0123456789', () => response.destroy());
    });
    const { body } = await archiveStoreOver(s3(endpoint), () => Promise.resolve('')).open(location);
    const read = async () => {
      for await (const chunk of body) expect(chunk.length).toBeLessThanOrEqual(10);
    };
    const error = await read().catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(AwsError);
    expect(error).toMatchObject({ name: 'ServiceUnavailable', message: expect.stringContaining('uploads/x.tar.gz') });
  });

  it('shows a checksum of a kind that the SDK cannot compute: the archive is read all the same', async () => {
    const endpoint = await listen((_, response) => {
      response.writeHead(200, { 'content-length': '3', 'x-amz-checksum-crc64nvme': 'AAAAAAAAAAA=' });
      response.end('abc');
    });
    const env = {
      AWS_ENDPOINT_URL_S3: endpoint,
      AWS_REGION: 'eu-central-1',
      AWS_ACCESS_KEY_ID: 'a',
      AWS_SECRET_ACCESS_KEY: 'b',
    };
    for (const [key, value] of Object.entries(env)) vi.stubEnv(key, value);
    try {
      const { body } = await createArchiveStore().open({ ...location, bucket: '127.0.0.1' });
      const read: Uint8Array[] = [];
      for await (const chunk of body) read.push(chunk);
      expect(Buffer.concat(read).toString()).toBe('abc');
    } finally {
      vi.unstubAllEnvs();
    }
  });
});
