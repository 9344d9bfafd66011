import { createHash } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { VERBS_FOR_PEOPLE } from '../../core/names.ts';
import { documentOf } from '../../lib/instance/document.ts';
import { buildProgram } from '../../lib/instance/program.ts';
import { run } from '../support/fakes/samples.ts';
import { runDocument } from '../support/instance/document.ts';
import { isRoot, NOBODY } from '../support/instance/test-instance.ts';

const program = buildProgram();
const document = documentOf(program.sha256, null);
const lookDocument = documentOf(program.sha256, VERBS_FOR_PEOPLE);
const SECRET = 'X-Amz-Signature=c0ffee5ec2e7';

let base = '';
let root = '';
let file = '';
beforeEach(() => {
  // In /tmp: a folder that everybody can write, with the sticky bit.
  base = mkdtempSync(join(tmpdir(), 'runctl document '));
  chmodSync(base, 0o755);
  root = join(base, 'root');
  file = join(root, 'programs', program.sha256);
});
afterEach(() => rmSync(base, { recursive: true, force: true }));

const poll = (changes: object = {}) => ({
  protocol: 1,
  verb: 'poll',
  job: 'train',
  offset: 0,
  maxBytes: 0,
  root,
  home: base,
  user: null,
  users: null,
  projects: null,
  run: { id: run.id, key: run.key, arn: run.arn },
  project: 'demo',
  ...changes,
});
const release = (changes: object = {}) => ({ ...poll(changes), verb: 'release' });
const execute = (request: object | string) => runDocument(document, request, base);
const refusal = (name: string, message: string | RegExp = '') => ({
  protocol: 1,
  ok: false,
  error: { name, message: expect.stringMatching(message) as string },
});

/** Puts the program where the document looks for it. */
function place(bytes: Uint8Array = program.bytes): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, bytes);
}

describe('an instance that has the program', () => {
  beforeEach(() => place());

  it('runs the request, and prints one answer', async () => {
    const { status, stderr, answer } = await execute(release());
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(answer).toMatchObject({ protocol: 1, ok: true, released: true });
  });

  it('exits 1 for a request that the program does not understand', async () => {
    const { status, answer } = await execute(poll({ verb: 'explode' }));
    expect(status).toBe(1);
    expect(answer).toMatchObject(refusal('BadRequest'));
  });

  it('takes text of the request for text', async () => {
    const canary = join(base, 'canary');
    const project = `'; touch '${canary}'; $(touch ${canary}) \n"DATA\nDATA`;
    expect((await execute(poll({ project }))).answer).toMatchObject(refusal('BadRequest'));
    expect(existsSync(canary)).toBe(false);
  });

  it('says PythonMissing where there is no python3 on PATH', async () => {
    const { status, stderr, answer } = await runDocument(document, poll(), base, { path: join(base, 'nothing') });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(answer).toMatchObject(refusal('PythonMissing'));
  });

  it('answers people by a document that changes nothing', async () => {
    expect((await runDocument(lookDocument, poll(), base)).answer).toMatchObject({ ok: true, state: 'absent' });
    const { answer } = await runDocument(lookDocument, release(), base);
    expect(answer).toMatchObject(refusal('BadRequest', /accepts only poll probe/));
    expect(readdirSync(root)).toEqual(['programs']);
  });
});

describe('a program that is not to be trusted is refused:', () => {
  beforeEach(() => place());

  it('with other bytes than its digest says', async () => {
    writeFileSync(file, 'print("owned")');
    expect((await execute(poll())).answer).toMatchObject(refusal('ProgramBroken', /another SHA-256/));
  });

  it('cut off', async () => {
    writeFileSync(file, program.bytes.subarray(0, -1));
    expect((await execute(poll())).answer).toMatchObject(refusal('ProgramBroken'));
  });

  const open: [what: string, path: () => string, mode: number][] = [
    ['a file that all can write', () => file, 0o646],
    ['a folder that all can write', () => dirname(file), 0o757],
    ['a folder above that all can write', () => base, 0o757],
  ];
  const openToTheGroup: typeof open = [
    ['a file that its group can write', () => file, 0o664],
    ['a folder that its group can write', () => dirname(file), 0o775],
    ['a root that its group can write', () => root, 0o775],
    ['a folder above that its group can write', () => base, 0o775],
  ];
  it.each(isRoot ? [...open, ...openToTheGroup] : open)('in %s', async (_, path, mode) => {
    chmodSync(path(), mode);
    expect((await execute(poll())).answer).toMatchObject(refusal('ProgramUntrusted', /can be written by others/));
  });

  it.runIf(isRoot).each([
    ['the file', () => file],
    ['the folder', () => dirname(file)],
    ['the root', () => root],
    ['a folder above', () => base],
  ])('where %s belongs to another user', async (_, path) => {
    chownSync(path(), NOBODY.uid, NOBODY.gid);
    expect((await execute(poll())).answer).toMatchObject(refusal('ProgramUntrusted', /belongs to uid 65534/));
  });

  it('under a link', async () => {
    renameSync(file, join(base, 'elsewhere'));
    symlinkSync(join(base, 'elsewhere'), file);
    expect((await execute(poll())).answer).toMatchObject({ ok: false, error: { name: 'RunnerBroken' } });
  });

  it.runIf(isRoot)('behind a link that another user made', async () => {
    symlinkSync(root, join(base, 'link'));
    expect((await execute(poll({ root: join(base, 'link') }))).answer).toMatchObject({ ok: true });
    const { lchownSync } = await import('node:fs');
    lchownSync(join(base, 'link'), NOBODY.uid, NOBODY.gid);
    expect((await execute(poll({ root: join(base, 'link') }))).answer).toMatchObject(refusal('ProgramUntrusted'));
  });

  it.runIf(isRoot)('but not where it is the user’s own, for a runner of that user', async () => {
    for (const path of [base, root, dirname(file), file]) chownSync(path, NOBODY.uid, NOBODY.gid);
    expect((await runDocument(document, poll(), base, { uid: NOBODY.uid })).answer).toMatchObject({ ok: true });
  });
});

describe('an instance without the program', () => {
  let server: Server;
  let answers: RequestListener[] = [];
  let url = '';
  let asked = 0;
  beforeEach(async () => {
    asked = 0;
    server = createServer((request, response) => {
      const answer = answers[Math.min(asked, answers.length - 1)] as RequestListener;
      asked += 1;
      answer(request, response);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/program.zip?${SECRET}`;
  });
  afterEach(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  const bring = () => execute(release({ program: { url } }));

  const whole: RequestListener = (_, response) => void response.end(program.bytes);
  const reset: RequestListener = (request) => void request.socket.resetAndDestroy();
  const cut: RequestListener = (_, response) => {
    response.writeHead(200, { 'content-length': program.bytes.length });
    response.write(program.bytes.subarray(0, 100), () => response.destroy());
  };
  const other: RequestListener = (_, response) => void response.end('print("owned")');
  const denied: RequestListener = (_, response) => void response.writeHead(403).end(`<Error>${SECRET}</Error>`);

  it('says so, and changes nothing', async () => {
    const { status, answer } = await execute(release());
    expect(status).toBe(0);
    expect(answer).toMatchObject(refusal('ProgramMissing'));
    expect(existsSync(root)).toBe(false);
  });

  it('fetches it once, for root alone to write', async () => {
    answers = [whole];
    const { stderr, answer } = await bring();
    expect(stderr).toBe('');
    expect(answer).toMatchObject({ ok: true, released: true });
    expect(createHash('sha256').update(readFileSync(file)).digest('hex')).toBe(program.sha256);
    expect(statSync(file).mode & 0o777).toBe(0o644);
    expect(statSync(dirname(file)).mode & 0o777).toBe(0o755);
    expect(readdirSync(dirname(file))).toEqual([program.sha256]);
    expect((await execute(release())).answer).toMatchObject({ ok: true });
    await bring();
    expect(asked).toBe(1);
  });

  it.each([
    ['a reset connection', reset],
    ['a connection that breaks', cut],
    ['a refusal', denied],
  ])('tries again after %s', async (_, listener) => {
    answers = [listener, listener, whole];
    expect((await bring()).answer).toMatchObject({ ok: true });
    expect(asked).toBe(3);
  });

  it.each([
    ['connections are reset', reset, 'ProgramFetchFailed'],
    ['connections break', cut, 'ProgramFetchFailed'],
    ['S3 refuses', denied, 'ProgramFetchFailed'],
    ['other bytes come', other, 'ProgramBroken'],
  ])('keeps nothing when %s, and says nothing of the URL', async (_, listener, name) => {
    answers = [listener];
    const { status, stderr, stdout, answer } = await bring();
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(answer).toMatchObject(refusal(name));
    expect(stdout).not.toMatch(/X-Amz|127\.0\.0\.1|http/);
    expect(existsSync(dirname(file)) ? readdirSync(dirname(file)) : []).toEqual([]);
  });

  it('does not show the URL to other users while it fetches', async () => {
    const seen: string[] = [];
    answers = [
      (_, response) => {
        for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
          try {
            seen.push(readFileSync(`/proc/${pid}/cmdline`, 'utf8'), readFileSync(`/proc/${pid}/environ`, 'utf8'));
          } catch {
            // gone, or another user's
          }
        }
        response.end(program.bytes);
      },
    ];
    expect((await bring()).answer).toMatchObject({ ok: true });
    expect(seen.length).toBeGreaterThan(10);
    expect(seen.filter((text) => text.includes(SECRET))).toEqual([]);
  });

  it.runIf(isRoot)('fetches nothing into a folder that another user can write', async () => {
    mkdirSync(root);
    chownSync(root, NOBODY.uid, NOBODY.gid);
    answers = [whole];
    expect((await bring()).answer).toMatchObject(refusal('ProgramUntrusted'));
    expect(asked).toBe(0);
    expect(readdirSync(root)).toEqual([]);
  });
});
