import { spawnSync } from 'node:child_process';
import { createHash, createHmac } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { CloudFormationClient, DescribeStacksCommand } from '@aws-sdk/client-cloudformation';
import { CloudWatchClient, PutMetricDataCommand } from '@aws-sdk/client-cloudwatch';
import { CloudWatchLogsClient, PutLogEventsCommand } from '@aws-sdk/client-cloudwatch-logs';
import { DescribeInstancesCommand, EC2Client } from '@aws-sdk/client-ec2';
import { GetFunctionCommand, LambdaClient } from '@aws-sdk/client-lambda';
import {
  CopyObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { ListSchedulesCommand, SchedulerClient } from '@aws-sdk/client-scheduler';
import { SFNClient, StartExecutionCommand } from '@aws-sdk/client-sfn';
import { PublishCommand, SNSClient } from '@aws-sdk/client-sns';
import { SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { SendCommandCommand, SSMClient } from '@aws-sdk/client-ssm';
import { GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts';
import { Upload } from '@aws-sdk/lib-storage';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newCredentials } from '../../local/cloud/credentials.ts';
import { projectRoot } from '../../local/cloud/paths.ts';
import { signedFetch } from '../../local/cloud/signed-fetch.ts';
import { GuardProcess, type WireRequest } from '../support/gateway/guard-process.ts';
import { WireRecorder } from '../support/gateway/wire-recorder.ts';

const credentials = newCredentials();
const session = { ...newCredentials(), sessionToken: 'token/+=' };
const KEYS = ['train.py', "a b+c/ü%20~(1)!*'&=?;.txt", 'x//y/./z/', 'latest/meta-data'];
const Bucket = 'bucket';
const WRONG = newCredentials().secretAccessKey;

let recorder: WireRecorder;
let guard: GuardProcess;
beforeAll(async () => {
  recorder = await WireRecorder.start();
  guard = new GuardProcess({
    [credentials.accessKeyId]: credentials.secretAccessKey,
    [session.accessKeyId + session.sessionToken]: session.secretAccessKey,
  });
});
afterAll(async () => {
  guard.close();
  await recorder.close();
});

const settings = (keys: object = credentials) => ({
  endpoint: recorder.endpoint,
  region: 'us-east-1',
  credentials: { ...credentials, ...keys },
  maxAttempts: 1,
});

/** Requests of the SDK to every service that is used here, as they go over the wire. */
async function sdkRequests(keys: object = credentials): Promise<Record<string, WireRequest>> {
  const s3 = new S3Client(settings(keys));
  const sends: Record<string, () => Promise<unknown>> = {
    'S3 PutObject of a stream': () =>
      s3.send(new PutObjectCommand({ Bucket, Key: 's', Body: Readable.from(['ab']), ContentLength: 2 })),
    'S3 ListObjectsV2': () => s3.send(new ListObjectsV2Command({ Bucket, Prefix: 'a b+/ü', Delimiter: '/' })),
    'S3 CopyObject': () => s3.send(new CopyObjectCommand({ Bucket, Key: 'c', CopySource: 'bucket/a%20b' })),
    'S3 DeleteObjects': () => s3.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects: [{ Key: 'c' }] } })),
    'S3 HeadObject': () => s3.send(new HeadObjectCommand({ Bucket, Key: 'c' })),
    StartExecution: () =>
      new SFNClient(settings(keys)).send(new StartExecutionCommand({ stateMachineArn: 'arn:x', input: '{"a": "ü"}' })),
    PutLogEvents: () =>
      new CloudWatchLogsClient(settings(keys)).send(
        new PutLogEventsCommand({ logGroupName: 'g', logStreamName: 's', logEvents: [{ timestamp: 1, message: 'm' }] }),
      ),
    SendCommand: () => new SSMClient(settings(keys)).send(new SendCommandCommand({ DocumentName: 'runctl' })),
    DescribeInstances: () => new EC2Client(settings(keys)).send(new DescribeInstancesCommand({})),
    DescribeStacks: () =>
      new CloudFormationClient(settings(keys)).send(new DescribeStacksCommand({ StackName: 'a b' })),
    GetFunction: () =>
      new LambdaClient(settings(keys)).send(new GetFunctionCommand({ FunctionName: 'arn:aws:lambda:a:1:function:f' })),
    PutMetricData: () =>
      new CloudWatchClient(settings(keys)).send(
        new PutMetricDataCommand({ Namespace: 'runctl', MetricData: [{ MetricName: 'm', Value: 1 }] }),
      ),
    ListSchedules: () => new SchedulerClient(settings(keys)).send(new ListSchedulesCommand({ NamePrefix: 'a b:c' })),
    SendMessage: () =>
      new SQSClient(settings(keys)).send(
        new SendMessageCommand({ QueueUrl: `${recorder.endpoint}/0/q`, MessageBody: 'x' }),
      ),
    Publish: () => new SNSClient(settings(keys)).send(new PublishCommand({ TopicArn: 'arn:x', Message: 'a + b&c' })),
    GetCallerIdentity: () => new STSClient(settings(keys)).send(new GetCallerIdentityCommand({})),
    'our own signed fetch': () =>
      signedFetch(
        `${recorder.endpoint}/_ministack/config`,
        { ...credentials, ...keys },
        { method: 'POST', body: '{}' },
      ),
  };
  for (const Key of KEYS) {
    const metadata = { runctl: '{"args":  ["--epochs", "3"]}' };
    sends[`S3 PutObject ${Key}`] = () => s3.send(new PutObjectCommand({ Bucket, Key, Body: 'x', Metadata: metadata }));
    sends[`S3 GetObject ${Key}`] = () => s3.send(new GetObjectCommand({ Bucket, Key, Range: 'bytes=0-1' }));
  }
  const requests: Record<string, WireRequest> = {};
  for (const [name, send] of Object.entries(sends)) requests[name] = await recorder.one(send);
  const body = Readable.from([Buffer.alloc(11_000_000, 1)]);
  const upload = new Upload({ client: s3, params: { Bucket, Key: 'm', Body: body } });
  const parts = await recorder.record(() => upload.done());
  parts.forEach((part, at) => {
    requests[`S3 multipart upload, request ${at}`] = part;
  });
  expect(parts.length).toBeGreaterThan(3);
  return requests;
}

/** A URL that is signed, as a client asks for it. */
async function presigned(method: 'GET' | 'PUT', expiresIn = 60, keys: object = credentials): Promise<WireRequest> {
  const s3 = new S3Client(settings(keys));
  const object = { Bucket, Key: 'a b+c/ü.txt' };
  const command = method === 'GET' ? new GetObjectCommand(object) : new PutObjectCommand(object);
  const url = new URL(await getSignedUrl(s3, command, { expiresIn }));
  const body = Buffer.from(method === 'PUT' ? 'anything' : '');
  return { method, path: url.pathname + url.search, headers: [['host', url.host]], body };
}

const HOST = () => `127.0.0.1:${recorder.port}`;
const withHeader = (request: WireRequest, name: string, value: string): WireRequest => ({
  ...request,
  headers: [...request.headers.filter(([key]) => key !== name), [name, value]],
});
const status = async (request: WireRequest) => (await guard.ask(request)).status;

interface ByHand {
  readonly host?: string;
  /** The value of x-amz-content-sha256; '' leaves it out, so that the body itself is signed. */
  readonly payload?: string;
  readonly date?: string;
  readonly signedHeaders?: readonly string[];
  /** The body, of the request's signature. */
  readonly body?: (signature: string, scope: string, now: string) => string;
}

/** A request to S3 that we sign by hand, in ways that no client does. */
function signed({ host = HOST(), payload = sha256('body'), body = () => 'body', ...more }: ByHand = {}): WireRequest {
  const now = compact(new Date());
  const scope = `${more.date ?? now.slice(0, 8)}/us-east-1/s3/aws4_request`;
  const headers: [string, string][] = [
    ['host', host],
    ['x-amz-date', now],
  ];
  if (payload !== '') headers.push(['x-amz-content-sha256', payload]);
  const covered = headers.filter(([name]) => more.signedHeaders?.includes(name) ?? true).sort();
  const names = covered.map(([name]) => name).join(';');
  const lines = covered.map(([name, value]) => `${name}:${value}\n`).join('');
  const canonical = ['PUT', '/bucket/key', '', lines, names, payload || sha256('body')].join('\n');
  const text = ['AWS4-HMAC-SHA256', now, scope, sha256(canonical)].join('\n');
  const signature = hmac(signingKey(credentials.secretAccessKey, scope), text).toString('hex');
  const credential = `AWS4-HMAC-SHA256 Credential=${credentials.accessKeyId}/${scope}`;
  headers.push(['authorization', `${credential}, SignedHeaders=${names}, Signature=${signature}`]);
  return { method: 'PUT', path: '/bucket/key', headers, body: Buffer.from(body(signature, scope, now)) };
}

/** A body of one chunk and the empty one at its end, each signed. */
function inChunks(content: string): NonNullable<ByHand['body']> {
  return (seed, scope, now) => {
    const key = signingKey(credentials.secretAccessKey, scope);
    let previous = seed;
    const chunk = (data: string) => {
      const text = ['AWS4-HMAC-SHA256-PAYLOAD', now, scope, previous, sha256(''), sha256(data)].join('\n');
      previous = hmac(key, text).toString('hex');
      return `${data.length.toString(16)};chunk-signature=${previous}\r\n${data}\r\n`;
    };
    return chunk(content) + chunk('');
  };
}

/** YYYYMMDDTHHMMSSZ */
function compact(at: Date): string {
  return at.toISOString().replace(/[-:]|\.\d+/g, '');
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

function signingKey(secret: string, scope: string): Buffer {
  return scope.split('/').reduce<Buffer>((key, part) => hmac(key, part), Buffer.from(`AWS4${secret}`));
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}

/** The request with one signed character replaced; undefined if it has none of that kind. */
function change(request: WireRequest, what: string, at: number): WireRequest | undefined {
  const other = (text: string) => {
    const place = at % text.length;
    return `${text.slice(0, place)}${text[place] === 'q' ? 'z' : 'q'}${text.slice(place + 1)}`;
  };
  if (what === 'method') return { ...request, method: request.method === 'GET' ? 'DELETE' : 'GET' };
  if (what === 'path') return { ...request, path: `/${other(request.path.slice(1) || 'x')}` };
  if (what === 'body') {
    // Of a presigned URL, and of a stream of unknown length, S3 does not sign the body.
    const payload = request.headers.find(([name]) => name === 'x-amz-content-sha256')?.[1] ?? '';
    if (/x-amz-signature/i.test(request.path) || payload.includes('UNSIGNED')) return undefined;
    if (request.body.length === 0) return { ...request, body: Buffer.from('x') };
    const body = Buffer.from(request.body);
    body.writeUInt8(body.readUInt8(at % body.length) ^ 1, at % body.length);
    return { ...request, body };
  }
  const authorization = request.headers.find(([name]) => name === 'authorization')?.[1] ?? '';
  const names = /SignedHeaders=([^,]*)/.exec(authorization)?.[1]?.split(';') ?? ['host'];
  const candidates = request.headers.filter(([name]) => names.includes(name) || name === 'authorization');
  const [name = '', value = ''] = candidates[at % candidates.length] ?? [];
  return withHeader(request, name, other(value));
}

describe('requests that are signed with the key of the cloud', () => {
  it('reach the emulator as they came, whatever the service', async () => {
    const requests = await sdkRequests();
    for (const [name, request] of Object.entries(requests)) {
      const answer = await guard.ask(request);
      expect(answer, name).toMatchObject({ status: 200, left: 0 });
      const seen = JSON.parse(answer.body) as { body: string; headers: string[] };
      expect(seen.body, name).toBe(request.body.toString('base64'));
      expect(seen.headers, name).toEqual(request.headers.map(([key]) => key).sort());
    }
  });

  it('may be signed with a session, and need its token then', async () => {
    for (const [name, request] of Object.entries(await sdkRequests(session)))
      expect(await status(request), name).toBe(200);
    expect(await status(await presigned('GET', 60, session))).toBe(200);
    const other = await sdkRequests({ ...session, sessionToken: 'another' });
    for (const [name, request] of Object.entries(other)) expect(await status(request), name).toBe(403);
  });

  it('may be URLs, for as long as they say', async () => {
    expect(await status(await presigned('GET'))).toBe(200);
    expect(await status(await presigned('PUT'))).toBe(200);
    const later = (s: number) => compact(new Date(Date.now() + s * 1_000));
    expect(await status({ ...(await presigned('GET', 100)), now: later(95) })).toBe(200);
    const late = await guard.ask({ ...(await presigned('GET', 100)), now: later(105) });
    expect(late).toMatchObject({ status: 403, body: expect.stringContaining('Request has expired') });
    expect(await status({ ...(await presigned('GET', 100)), now: later(-1_000) })).toBe(403);
  });

  it('get no CORS headers, and those of the emulator otherwise', async () => {
    const { headers } = await guard.ask(await presigned('GET'));
    expect(headers).toEqual({ 'x-kept': '1' });
  });

  it('are only checked for the SSM agent, which asks before it acts', async () => {
    const { SendCommand: request } = await sdkRequests();
    if (request === undefined) throw new Error('no request');
    expect(await guard.ask(withHeader(request, 'x-runctl-verify-only', '1'))).toMatchObject({ status: 204, body: '' });
    const unsigned = { ...request, headers: request.headers.filter(([name]) => name !== 'authorization') };
    expect(await status(withHeader(unsigned, 'x-runctl-verify-only', '1'))).toBe(403);
  });
});

describe('requests that are refused with 403', () => {
  it('are those without a signature, with another secret, and of an unknown key', async () => {
    const requests = await sdkRequests();
    for (const [name, request] of Object.entries(requests)) {
      const unsigned = { ...request, headers: request.headers.filter(([key]) => key !== 'authorization') };
      expect(await guard.ask(unsigned), name).toMatchObject({ status: 403, left: 0 });
    }
    for (const keys of [{ secretAccessKey: WRONG }, { accessKeyId: 'test', secretAccessKey: 'test' }]) {
      for (const [name, request] of Object.entries(await sdkRequests(keys)))
        expect(await guard.ask(request), name).toMatchObject({ status: 403, left: 0 });
      expect(await status(await presigned('GET', 60, keys))).toBe(403);
    }
  });

  it('are those of a web page: by Origin, whatever it is, and by a Host that is bound to loopback', async () => {
    const request = await presigned('GET');
    for (const origin of ['http://evil.example', 'null', `http://${HOST()}`, ''])
      expect(await status(withHeader(request, 'origin', origin)), origin).toBe(403);
    const preflight = await guard.ask({
      ...request,
      method: 'OPTIONS',
      headers: [
        ['host', HOST()],
        ['origin', 'null'],
      ],
    });
    expect(preflight.status).toBe(403);
    expect(Object.keys(preflight.headers).filter((name) => name.startsWith('access-control-'))).toEqual([]);
    const text = { method: 'POST', path: '/', body: Buffer.from('{}') };
    const simple = [
      ['host', HOST()],
      ['content-type', 'text/plain'],
    ] as const;
    expect(await status({ ...text, headers: simple })).toBe(403);
  });

  const foreign = [
    'evil.example',
    '127.0.0.1.evil.example',
    'localhost.evil',
    'xlocalhost',
    '127.0.0.2',
    '169.254.169.254',
  ];
  it.each([
    ...foreign,
    ...foreign.map((name) => `${name}:4566`),
    '',
    ':4566',
    '127.0.0.1:x',
    '127.0.0.1:1@evil',
    'a b.localhost',
  ])('are those with the Host %s, although they are signed for it', async (host) => {
    expect(await status(signed({ host }))).toBe(403);
  });

  it.each([
    '127.0.0.1:4566',
    '127.0.0.1:9000',
    '127.0.0.1',
    'localhost:4566',
    'LOCALHOST:1',
    'bucket.localhost:1',
    '[::1]:1',
  ])('are not those with the Host %s, as through a tunnel', async (host) => {
    expect(await status(signed({ host }))).toBe(200);
  });

  it('are those with a header of AWS that is not signed: it could lead to another service', async () => {
    for (const request of [await presigned('PUT'), signed()]) {
      expect(await status(withHeader(request, 'x-amz-target', 'AmazonSSM.SendCommand'))).toBe(403);
      expect(await status(withHeader(request, 'x-amz-copy-source', 'bucket/secret'))).toBe(403);
      expect(await status({ ...request, headers: [...request.headers, ['host', HOST()]] })).toBe(403);
    }
  });

  it('are those with a signature in ways that S3 refuses too', async () => {
    expect([await status(signed()), await status(signed({ payload: '' }))]).toEqual([200, 200]);
    const payload = 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD';
    expect(await status(signed({ payload, body: inChunks('content') }))).toBe(200);
    const request = signed();
    const authorization = request.headers.find(([name]) => name === 'authorization');
    for (const refused of [
      signed({ payload: '', body: () => 'other' }),
      signed({ body: () => 'other' }),
      signed({ payload, body: (...all) => inChunks('content')(...all).replace('content', 'cOntent') }),
      signed({ payload: 'UNKNOWN' }),
      signed({ signedHeaders: ['x-amz-date', 'x-amz-content-sha256'] }),
      signed({ signedHeaders: ['host', 'x-amz-date'] }),
      signed({ date: '20200101' }),
      { ...request, path: '/bucket/key?X-Amz-Signature=0' },
      { ...request, headers: [...request.headers, ...(authorization ? [authorization] : [])] },
    ])
      expect(await status(refused), JSON.stringify(refused)).toBe(403);
  });

  it('are those that were signed too long ago, or for a time to come', async () => {
    const at = (minutes: number) => compact(new Date(Date.now() + minutes * 60_000));
    for (const [minutes, expected] of [
      [14, 200],
      [16, 403],
      [-14, 200],
      [-16, 403],
    ] as const)
      expect(await status({ ...signed(), now: at(minutes) }), String(minutes)).toBe(expected);
  });

  it('are those of which anything that was signed has changed', async () => {
    const all = Object.values(await sdkRequests()).filter(({ body }) => body.length < 1_000);
    const requests = [...all, await presigned('GET'), await presigned('PUT'), signed()];
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...requests),
        fc.constantFrom('path', 'header', 'body', 'method'),
        fc.nat(),
        async (request, what, at) => {
          const changed = change(request, what, at);
          fc.pre(changed !== undefined);
          expect(await status(request)).toBe(200);
          expect(await status(changed as WireRequest)).toBe(403);
        },
      ),
      { numRuns: 400 },
    );
  });

  it('are those of other users and of pages to the metadata service, and all that leads on from there', async () => {
    const get: WireRequest = {
      method: 'GET',
      path: '/latest/meta-data/instance-id',
      headers: [
        ['host', HOST()],
        ['x-amz-target', 'AmazonSSM.SendCommand'],
        ['x-aws-ec2-metadata-token', 't'],
        ['cookie', 'c'],
      ],
      body: Buffer.alloc(0),
      peer: 1,
    };
    const answer = await guard.ask(get);
    expect(answer.status).toBe(200);
    expect(JSON.parse(answer.body)).toMatchObject({ headers: ['host', 'x-aws-ec2-metadata-token'] });
    const ofInstance = { ...get, path: `/instances/i-0123456789abcdef0${get.path}` };
    expect(JSON.parse((await guard.ask(withHeader(ofInstance, 'x-runctl-instance', 'i-1'))).body)).toMatchObject({
      path: get.path,
      headers: ['host', 'x-aws-ec2-metadata-token', 'x-runctl-instance'],
    });
    for (const refused of [
      { ...ofInstance, peer: 2 },
      { ...ofInstance, path: `/instances/../x${get.path}` },
      { ...get, peer: 2 },
      withHeader(get, 'origin', 'null'),
      withHeader(get, 'host', 'evil.example'),
      { ...get, method: 'POST' },
      { ...get, path: '/%6catest/meta-data/instance-id' },
      { ...get, path: '/latest/meta%2ddata/instance-id' },
      { ...get, path: '/latest' },
      { ...get, path: '/latest/meta-data/instance-id?x-amz-target=1' },
    ])
      expect(await status(refused), JSON.stringify(refused)).toBe(403);
  });

  it('say why, in the protocol of the service', async () => {
    const {
      SendCommand,
      DescribeInstances,
      DescribeStacks,
      GetFunction,
      'S3 HeadObject': head,
    } = await sdkRequests({ secretAccessKey: WRONG });
    const error = async (request: WireRequest | undefined) => await guard.ask(request as WireRequest);
    expect(JSON.parse((await error(SendCommand)).body)).toMatchObject({
      __type: 'SignatureDoesNotMatch',
      message: expect.stringContaining('runctl local env'),
    });
    expect((await error(DescribeInstances)).body).toContain('<Response><Errors><Error><Code>SignatureDoesNotMatch<');
    expect((await error(DescribeStacks)).body).toContain(
      '<ErrorResponse><Error><Type>Sender</Type><Code>SignatureDoes',
    );
    expect(JSON.parse((await error(GetFunction)).body)).toMatchObject({ __type: 'SignatureDoesNotMatch' });
    expect(await error(head)).toMatchObject({ body: '', headers: { 'x-amzn-errortype': 'SignatureDoesNotMatch' } });
    expect((await guard.ask(await presigned('GET', 60, { secretAccessKey: WRONG }))).body).toContain(
      '<Error><Code>SignatureDoesNotMatch<',
    );
  });
});

describe('uploads by a form', () => {
  const now = compact(new Date());
  const scope = `${now.slice(0, 8)}/us-east-1/s3/aws4_request`;
  const policy = Buffer.from('{"expiration":"2100-01-01T00:00:00Z","conditions":[]}').toString('base64');
  const fields = (secret = credentials.secretAccessKey): [string, string][] => [
    ['key', 'uploads/x.tar.gz'],
    ['policy', policy],
    ['x-amz-algorithm', 'AWS4-HMAC-SHA256'],
    ['x-amz-credential', `${credentials.accessKeyId}/${scope}`],
    ['x-amz-date', now],
    ['x-amz-signature', hmac(signingKey(secret, scope), policy).toString('hex')],
    ['file', 'content'],
  ];
  const form = (entries: [string, string][], more: Partial<WireRequest> = {}): WireRequest => ({
    method: 'POST',
    path: '/bucket',
    headers: [
      ['host', HOST()],
      ['content-type', 'multipart/form-data; boundary=xyz'],
    ],
    body: Buffer.from(
      `${entries.map(([name, value]) => `--xyz\r\ncontent-disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`).join('')}--xyz--\r\n`,
    ),
    ...more,
  });
  const changed = (name: string, value: string) =>
    form(fields().map(([key, old]): [string, string] => [key, key === name ? value : old]));

  it('are let through when their policy is signed', async () => {
    expect(await status(form(fields()))).toBe(200);
  });

  it('are refused otherwise, and when anything of them leads elsewhere', async () => {
    const other = Buffer.from('{"expiration":"2100-01-01T00:00:00Z","conditions":[{"bucket":"b"}]}').toString('base64');
    const target = ['x-amz-target', 'AmazonSSM.SendCommand'] as const;
    for (const refused of [
      form(fields(WRONG)),
      form(fields().filter(([name]) => name !== 'x-amz-signature')),
      form(fields().filter(([name]) => name !== 'policy')),
      form([
        ['key', 'x'],
        ['file', 'y'],
      ]),
      changed('policy', other),
      changed('x-amz-signature', '0'.repeat(64)),
      changed('x-amz-credential', `${session.accessKeyId}/${scope}`),
      form([...fields(), ['Policy', other]]),
      form([['Policy', other], ...fields()]),
      form(fields(), { path: '/_ministack/reset' }),
      form(fields(), { path: '/bucket?delete' }),
      form(fields(), { path: '/bucket/key' }),
      withHeader(form(fields()), ...target),
      withHeader(form(fields()), 'origin', 'null'),
      withHeader(form(fields()), 'host', `lambda.localhost:${recorder.port}`),
    ])
      expect(await status(refused), refused.body.toString()).toBe(403);
  });
});

describe('URLs by Signature Version 2', () => {
  const expires = () => Math.floor(Date.now() / 1_000) + 60;
  /** A URL as boto3 makes it; `text` is what was signed. */
  const url = (
    more: Partial<WireRequest> & { query?: string; text?: string; secret?: string; until?: number } = {},
  ) => {
    const { secret = credentials.secretAccessKey, until = expires(), query = '', method = 'GET' } = more;
    const text = more.text ?? [method, '', '', String(until), '/bucket/a%20b'].join('\n');
    const signature = encodeURIComponent(createHmac('sha1', secret).update(text).digest('base64'));
    const path = `/bucket/a%20b?AWSAccessKeyId=${credentials.accessKeyId}&Signature=${signature}&Expires=${until}${query}`;
    return { method, path, headers: [['host', HOST()] as const], body: Buffer.alloc(0), ...more };
  };

  it('are let through until they expire, with what their signature covers alone', async () => {
    expect(await status(url())).toBe(200);
    const until = expires();
    const covered = ['GET', '', 'text/x', String(until), 'x-amz-meta-a:b', '/bucket/a%20b?acl&versionId=1'].join('\n');
    const full = url({ until, text: covered, query: '&versionId=1&acl&x-amz-meta-a=b&content-type=text%2Fx' });
    expect(await status(full)).toBe(200);
    for (const refused of [
      url({ secret: WRONG }),
      url({ until: Math.floor(Date.now() / 1_000) - 2 }),
      url({ query: '&x=y' }),
      url({ query: '&versionId=2' }),
      url({ query: '&Expires=99999999999' }),
      url({
        until,
        text: ['GET', '', '', String(until), 'x-amz-meta-a:c', '/bucket/a%20b'].join('\n'),
        query: '&x-amz-meta-a=b&x-amz-meta-a=c',
      }),
      url({ text: ['PUT', '', '', String(expires()), '/bucket/a%20b'].join('\n') }),
      withHeader(url(), 'x-amz-target', 'AmazonSSM.SendCommand'),
      withHeader(url(), 'content-type', 'text/x'),
      withHeader(url(), 'host', `other.localhost:${recorder.port}`),
      withHeader(url(), 'authorization', 'AWS a:b'),
      withHeader(full, 'x-amz-meta-a', 'c'),
      { ...full, path: full.path.replace('&acl', '') },
      { ...url(), path: url().path.replace('a%20b', 'a%20c') },
    ])
      expect(await status(refused), JSON.stringify(refused)).toBe(403);
  });
});

describe('the user at the other end of a connection', () => {
  /** A line of /proc/net/tcp: 127.0.0.1:4660 to 127.0.0.1:22136. */
  const line = (fields: { state?: string; uid?: number; inode?: number }) => {
    const { state = '01', uid = 1_000, inode = 7 } = fields;
    return `   0: 0100007F:1234 0100007F:5678 ${state} 00000000:00000000 00:00000000 00000000 ${uid} 0 ${inode} 1 0`;
  };
  const userOf = (...lines: string[]) => {
    const table = join(mkdtempSync(join(tmpdir(), 'runctl-peer-')), 'tcp');
    writeFileSync(table, `  sl  local_address rem_address   st\n${lines.join('\n')}\n`);
    const script = `import sys; sys.path.insert(0, sys.argv[1]); from peer import peer_uid
print(peer_uid(0x1234, 0x5678, sys.argv[2]), peer_uid(0x5678, 0x1234, sys.argv[2]))`;
    const gateway = join(projectRoot, 'local', 'gateway');
    const done = spawnSync('python3', ['-B', '-c', script, gateway, table], { encoding: 'utf8' });
    rmSync(dirname(table), { recursive: true });
    return done.stdout.trim();
  };

  it("is the socket's, and nobody's when the process has closed it: the kernel lists that as root's", () => {
    expect(userOf(line({}))).toBe('1000 None');
    expect(userOf(line({ state: '06', uid: 0 }), line({ uid: 65_534 }))).toBe('65534 None');
    expect(userOf(line({ uid: 0, inode: 0 }))).toBe('None None');
    expect(userOf()).toBe('None None');
  });
});

describe("AWS's own example of a body in signed chunks", () => {
  // https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html, sigv4-streaming-trailers.html
  const secret = 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY';
  const now = '20130524T000000Z';
  const chunks = (signatures: readonly string[], tail = '\r\n') =>
    [65_536, 1_024, 0]
      .map(
        (size, at) =>
          `${size.toString(16)};chunk-signature=${signatures[at]}\r\n${'a'.repeat(size)}${size > 0 ? '\r\n' : tail}`,
      )
      .join('');
  const verifyChunks = async (payload: string, seed: string, body: string) =>
    (await guard.checkChunks({ payload, seed, secret, now }, Buffer.from(body))).status;
  const plain = {
    payload: 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD',
    seed: '4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9',
    signatures: [
      'ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648',
      '0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497',
      'b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9',
    ],
  };
  const trailing = {
    payload: 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER',
    seed: '106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e',
    signatures: [
      'b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2',
      '1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7',
      '2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992',
    ],
    tail: 'x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n',
  };
  it('is taken, and refused when a byte of it, a signature or its end is another', async () => {
    const body = chunks(plain.signatures);
    expect(await verifyChunks(plain.payload, plain.seed, body)).toBe(200);
    for (const refused of [
      body.replace('aaa', 'aab'),
      body.replace('288648', '288649'),
      body.slice(0, 60_000),
      body.slice(0, -90),
    ])
      expect(await verifyChunks(plain.payload, plain.seed, refused)).toBe(403);
  });

  it('is taken with a trailer, which is signed too', async () => {
    const body = chunks(trailing.signatures, trailing.tail);
    expect(await verifyChunks(trailing.payload, trailing.seed, body)).toBe(200);
    for (const refused of [body.replace('sOO8', 'sOO9'), body.replace('2e435', '2e436'), chunks(trailing.signatures)])
      expect(await verifyChunks(trailing.payload, trailing.seed, refused)).toBe(403);
  });
});
