import { readdirSync } from 'node:fs';
import type { RequestListener } from 'node:http';
import { expect, it } from 'vitest';
import {
  SECRET,
  type SyncOptions,
  type SyncRun,
  type SyncSetup,
  useSyncSetup,
} from '../support/instance/sync-setup.ts';
import { archive } from '../support/instance/tarball.ts';

const syncSetup = useSyncSetup();
const BYTES = archive({ 'train.py': 'new', 'data.bin': 'x'.repeat(100_000) });

/** The runner with its waits shortened: one second of silence, hundredths between tries. */
const HASTY = (instance: SyncSetup): SyncOptions => ({
  words: [
    '-I',
    '-B',
    '-c',
    'import sys; sys.path.insert(0, sys.argv[1]); from common import presigned_get; presigned_get.SILENCE_S = 1; from sync import fetch, main; fetch.FIRST_WAIT_S = 0.01; sys.exit(main.main())',
    instance.runner,
  ],
});

/** Answers in these ways, one after the other; the last one again and again. */
function inTurn(...answers: RequestListener[]): RequestListener {
  let turn = 0;
  return (request, response) => {
    const answer = answers[Math.min(turn, answers.length - 1)] as RequestListener;
    turn += 1;
    answer(request, response);
  };
}

const whole: RequestListener = (_, response) => void response.end(BYTES);
const status = (code: number, error = ''): RequestListener => {
  return (_, response) =>
    void response.writeHead(code).end(`<Error><Code>${error}</Code><Message>${SECRET}</Message></Error>`);
};
const cut: RequestListener = (_, response) => {
  response.writeHead(200, { 'content-length': BYTES.length });
  response.write(BYTES.subarray(0, 100), () => response.destroy());
};
const silent: RequestListener = (_, response) => {
  response.writeHead(200, { 'content-length': BYTES.length });
  response.write(BYTES.subarray(0, 100));
};

async function fetched(instance: SyncSetup, answer: RequestListener, fields = {}): Promise<SyncRun> {
  const url = await instance.serve(answer);
  return instance.sync(BYTES, { ...HASTY(instance), url, fields });
}

/** That an earlier sync's code is what it was, and nothing lies about. */
function expectUntouched(instance: SyncSetup): void {
  expect(instance.tree()).toEqual({ 'train.py': 'old' });
  expect(readdirSync(instance.own).sort()).toEqual(['lock', 'manifest.json']);
}

async function withOldCode(): Promise<SyncSetup> {
  const instance = syncSetup();
  await instance.sync(archive({ 'train.py': 'old' }));
  instance.requests = 0;
  return instance;
}

it('tries again after errors of the store, cut connections and silence', async () => {
  const instance = syncSetup();

  const run = await fetched(instance, inTurn(status(503, 'SlowDown'), cut, silent, status(500), whole));

  expect(run).toMatchObject({ code: 0, result: { files: 2 } });
  expect(instance.requests).toBe(5);
  expect(run.log).toMatch(/^Fetching failed: S3 answered 503 SlowDown; again in \d/m);
  expect(run.log).toMatch(/^Fetching failed: the connection ended after 100 bytes of \d+ bytes; again/m);
  expect(run.log).toMatch(/^Fetching failed: the connection was reset after 100 bytes \(no data for 1 s\)/m);
  expect(instance.read('train.py')).toBe('new');
});

it('gives up after six tries', async () => {
  const instance = await withOldCode();

  const run = await fetched(instance, status(503));

  expect(run.result.error).toEqual({
    name: 'FetchFailed',
    message: 'The archive could not be fetched in 6 tries: S3 answered 503.',
  });
  expect(instance.requests).toBe(6);
  expectUntouched(instance);
});

it.each([
  [403, 'AccessDenied'],
  [404, 'NoSuchVersion'],
  [400, 'ExpiredToken'],
])('does not try again after a %i %s', async (code, error) => {
  const instance = await withOldCode();

  const run = await fetched(instance, status(code, error));

  expect(run).toMatchObject({ code: 1, result: { error: { name: 'FetchFailed' } } });
  expect(run.result.error?.message).toContain(`S3 answered ${code} ${error}.`);
  expect(instance.requests).toBe(1);
  expectUntouched(instance);
});

it('names a store that nobody can reach', async () => {
  const instance = await withOldCode();
  const run = await instance.sync(BYTES, { ...HASTY(instance), url: `http://127.0.0.1:1/?${SECRET}` });
  expect(run.result.error?.message).toBe('The archive could not be fetched in 6 tries: Connection refused.');
  expectUntouched(instance);
});

it.each(['file:///etc/passwd', 'ftp://127.0.0.1/x', 'no url'])('opens no other kind of address: %s', async (url) => {
  const instance = await withOldCode();

  const run = await instance.sync(BYTES, { url });
  expect(run.result.error).toMatchObject({ name: 'FetchFailed', message: expect.stringContaining('not an http') });
  expectUntouched(instance);
});

it.each(['file:///etc/passwd', 'ftp://127.0.0.1/x'])('is not sent on to %s', async (location) => {
  const instance = await withOldCode();

  const run = await fetched(instance, (_, response) => void response.writeHead(302, { location }).end());

  expect(run.result.error?.name).toBe('FetchFailed');
  expectUntouched(instance);
});

it('follows the store to another place', async () => {
  const instance = syncSetup();
  const location = await instance.serve(whole);
  const run = await fetched(instance, (_, response) => void response.writeHead(307, { location }).end());
  expect(run.code).toBe(0);
});

it('refuses other bytes of the same length', async () => {
  const instance = await withOldCode();
  const other = Buffer.from(BYTES);
  other[50] = (other[50] as number) ^ 1;

  const run = await fetched(instance, (_, response) => void response.end(other));

  expect(run.result.error).toMatchObject({
    name: 'DigestMismatch',
    message: expect.stringContaining("archive's SHA-256 is"),
  });
  expect(instance.requests).toBe(1);
  expectUntouched(instance);
});

it.each([1, -1])('refuses an archive that is longer or shorter than it was (%i)', async (more) => {
  const instance = await withOldCode();
  const run = await fetched(instance, whole, { bytes: BYTES.length - more });
  expect(run.result.error).toMatchObject({
    name: 'DigestMismatch',
    message: expect.stringMatching(/^The archive has .* bytes/),
  });
  expectUntouched(instance);
});
