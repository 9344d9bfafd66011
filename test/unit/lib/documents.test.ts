import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type DocumentContent, jobDocument, LIMITS, prepareDocument } from '../../../lib/instance/document.ts';
import { buildInstaller, buildRunner } from '../../../lib/instance/program.ts';
import { run } from '../../support/fakes/samples.ts';

const runner = buildRunner();
const documents = {
  prepare: prepareDocument(runner),
  'prepare-install': prepareDocument(buildInstaller()),
  job: jobDocument(),
};

function linesOf(document: DocumentContent): string[] {
  const { mainSteps } = document as { mainSteps: { inputs: { runCommand: string[] } }[] };
  return mainSteps[0]?.inputs.runCommand ?? [];
}

describe.each(Object.entries(documents))('%s', (name, document) => {
  it('fits', () => {
    const limit = name === 'job' ? LIMITS.job : LIMITS.prepare;
    expect(JSON.stringify(document).length).toBeLessThanOrEqual(limit);
  });

  it('is the same each time it is made', () => {
    const again =
      name === 'job' ? jobDocument() : prepareDocument(name === 'prepare' ? buildRunner() : buildInstaller());
    expect(again).toEqual(document);
  });

  it('has nothing that the agent would change, but the one parameter', () => {
    const text = linesOf(document).join('\n');
    expect(text.match(/\{\{.*?\}\}/g)).toEqual(['{{ Request }}']);
    expect(text).not.toContain('$$');
  });

  it('takes base64 only, and ends by itself', () => {
    expect(document).toMatchObject({
      schemaVersion: '2.2',
      parameters: { Request: { type: 'String', allowedPattern: '^[A-Za-z0-9+/=]*$' } },
      mainSteps: [{ action: 'aws:runShellScript', inputs: { timeoutSeconds: '60' } }],
    });
  });
});

describe('the script of a document', () => {
  let root = '';
  beforeAll(() => {
    root = mkdtempSync(join(tmpdir(), 'runctl document '));
  });
  afterAll(() => rmSync(root, { recursive: true, force: true }));

  const release = (changes: object = {}) => ({
    protocol: 1,
    verb: 'release',
    runner: runner.sha256,
    root: join(root, 'root'),
    home: root,
    user: null,
    run: { id: run.id, key: run.key, arn: run.arn },
    project: 'demo',
    ...changes,
  });

  /** Runs it as the agent does: sh, no HOME, standard input empty. */
  function execute(document: DocumentContent, request: object | string, PATH = process.env.PATH ?? '') {
    const encoded = Buffer.from(typeof request === 'string' ? request : JSON.stringify(request)).toString('base64');
    const script = join(root, '_script.sh');
    const text = linesOf(document).join('\n');
    writeFileSync(
      script,
      text.replace('{{ Request }}', () => encoded),
      { mode: 0o700 },
    );
    const { status, stdout, stderr } = spawnSync('/bin/sh', ['-c', script.replaceAll(' ', '\\ ')], {
      env: { PATH },
      stdio: ['ignore', 'pipe', 'pipe'],
      encoding: 'utf8',
    });
    return { status, stderr, answer: JSON.parse(stdout) as unknown };
  }
  it('prepare installs the runner under its SHA-256, and the runner answers', () => {
    const { status, stderr, answer } = execute(documents.prepare, release());
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(answer).toMatchObject({ protocol: 1, ok: true, jobs: {} });
    const file = join(root, 'root', 'runners', runner.sha256);
    expect(createHash('sha256').update(readFileSync(file)).digest('hex')).toBe(runner.sha256);
    expect(statSync(file).mode & 0o777).toBe(0o644);
    expect(readdirSync(join(root, 'root', 'runners'))).toEqual([runner.sha256]);
  });

  it('job runs the request with the runner that is there; twice is once', () => {
    execute(documents.prepare, release());
    expect(execute(documents.job, release()).answer).toMatchObject({ ok: true });
    expect(execute(documents.prepare, release()).answer).toMatchObject({ ok: true });
  });

  it('exits 1 for a request that the runner does not understand, and only then', () => {
    execute(documents.prepare, release());
    const { status, answer } = execute(documents.job, release({ verb: 'explode' }));
    expect(status).toBe(1);
    expect(answer).toMatchObject({ ok: false, error: { name: 'BadRequest' } });
  });

  it('says PythonMissing where there is no python3 on PATH', () => {
    const empty = join(root, 'no python');
    mkdirSync(empty, { recursive: true });
    const { status, stderr, answer } = execute(documents.prepare, release(), empty);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(answer).toMatchObject({ protocol: 1, ok: false, error: { name: 'PythonMissing' } });
  });

  it('runs no runner whose bytes are not those of its name', () => {
    const other = join(root, 'other');
    mkdirSync(join(other, 'runners'), { recursive: true });
    writeFileSync(join(other, 'runners', runner.sha256), 'print("owned")');
    const { status, answer } = execute(documents.job, release({ root: other }));
    expect(status).toBe(0);
    expect(answer).toMatchObject({
      ok: false,
      error: { name: 'RunnerBroken', message: expect.stringContaining('another SHA-256') },
    });
  });

  it.each([
    ['0'.repeat(64), 'RunnerMissing'],
    ['../../bin/sh', 'RunnerBroken'],
    ['', 'RunnerBroken'],
  ])('refuses the runner %s: %s', (sha256, name) => {
    const { status, answer } = execute(documents.job, release({ runner: sha256 }));
    expect(status).toBe(0);
    expect(answer).toMatchObject({ ok: false, error: { name } });
  });

  it('takes text of the request for text', () => {
    execute(documents.prepare, release());
    const canary = join(root, 'canary');
    const project = `'; touch '${canary}'; $(touch ${canary}) \n"DATA\nDATA`;
    expect(execute(documents.job, release({ project })).answer).toMatchObject({ error: { name: 'BadRequest' } });
    expect(readdirSync(root)).not.toContain('canary');
  });
});
