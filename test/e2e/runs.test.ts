import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { Cloud } from '../support/cloud/cloud.ts';
import { placesOf, tracesOf } from '../support/cloud/leftovers.ts';
import { tarGz } from './archives.ts';

const DIGITS = join(import.meta.dirname, '../../examples/digits');
const JOBS = ['sync', 'install', 'train'] as const;

let cloud: Cloud;
beforeAll(async () => {
  cloud = await Cloud.connect();
});

/** Uploads, waits for the run that the upload starts, and for its end. */
async function upload(key: string, body: Uint8Array, spec?: object) {
  await cloud.put(key, body, spec);
  return cloud.finished(await cloud.runAppears(key));
}

const onInstance = (spec: object) => ({ instance: cloud.instanceId, ...spec });

describe('the digits run, by upload', () => {
  it('goes through every state, installs, trains, and ends with the true outcome', async () => {
    const read = (name: string) => readFileSync(join(DIGITS, name), 'utf8');
    const names = ['train.py', 'requirements.txt', 'runctl.yaml'];
    const body = await tarGz(Object.fromEntries(names.map((name) => [`digits/${name}`, read(name)])));
    const run = await upload('uploads/runs/first try.tar.gz', body, {
      instance: `tag:Project=${cloud.project}`,
      args: ['--epochs', '6', '--pace', '0.5'],
    });

    expect(run).toMatchObject({ status: 'SUCCEEDED', output: { outcome: 'succeeded', warnings: [] } });
    const shown = run.states.filter((state, at) => !state.endsWith('?') && state !== run.states[at - 1]);
    const expected = [
      'Begin run',
      'Verify archive',
      'Find instance',
      'Sync code',
      'Install requirements',
      'Watch install',
    ];
    expect(shown).toEqual([
      ...(shown.includes('Watch install') ? expected : expected.slice(0, -1)),
      'Start training',
      'Confirm PID',
      'Watch training',
      'Finish run',
      'Succeeded',
    ]);
    for (const job of JOBS) expect(await cloud.log(run.id, job)).toBe(cloud.jobFile(run.id, job, 'log'));
    expect(await cloud.log(run.id, 'train')).toMatch(/epoch 6\/6 loss=\d\.\d+ accuracy=0\.\d+\n/);
    expect(await cloud.log(run.id, 'install')).toMatch(/installed by uv: \d+ packages/);
    expect(await cloud.log(run.id, 'sync')).toMatch(/Python files \(1\):\n {2}train\.py/);
    expect(run.output?.pid).toBe(JSON.parse(cloud.jobFile(run.id, 'train', 'identity.json')).pid);
    expect(existsSync(join(cloud.home, 'digits/outputs/history.json'))).toBe(true);
    const traces = await tracesOf(cloud, run);
    expect(placesOf('epoch 6/6', traces)).not.toEqual([]); // the log in CloudWatch and in S3, on the instance, and the last lines
    for (const secret of ['X-Amz-Signature', 'X-Amz-Credential']) expect(placesOf(secret, traces)).toEqual([]);
  });

  it('is one run however often the same event comes', async () => {
    const script = await tarGz({ 'train.py': 'print("once")\n' });
    const run = await upload('uploads/runs/once.tar.gz', script);
    const again = await cloud.invokeStartRun('uploads/runs/once.tar.gz');
    expect(again).toEqual({ execution: run.id, started: false });
    expect(await cloud.runsOf('uploads/runs/once.tar.gz')).toEqual([run.arn]);
  });

  it('works with a key of spaces, quotes, unicode and +', async () => {
    const script = await tarGz({ 'main.py': 'print("hello")\n' });
    const run = await upload(`uploads/runs/it's a "tést" +1 ü.tar.gz`, script);
    expect(run).toMatchObject({ status: 'SUCCEEDED' });
    expect(await cloud.log(run.id, 'train')).toBe('hello\n');
  });

  it('is not started outside the prefix', async () => {
    const script = await tarGz({ 'train.py': 'print("no")\n' });
    const others = ['archives/uploads/no.tar.gz', 'uploads/runs/'];
    for (const key of others) await cloud.put(key, script);
    // An upload that does start a run comes after them: when it is there, theirs would be too.
    await upload('uploads/runs/after.tar.gz', script);
    for (const key of others) expect(await cloud.runsOf(key)).toEqual([]);
  });
});

describe('a run by StartExecution', () => {
  it('takes args and env literally, from an archive under any key', async () => {
    const args = [
      '$(id)',
      '; rm -rf /',
      '`id`',
      '"quoted" \'twice\'',
      'two\nlines',
      '{{commands}}',
      '{{ssm:/x}}',
      '$$',
      '',
    ];
    const env = { LITERAL: '$(id) {{ Request }} $$ "x"' };
    const script = 'import json, os, sys\nprint(json.dumps([sys.argv[1:], os.environ["LITERAL"]]))\n';
    const archive = await cloud.put('archives/literal.tar.gz', await tarGz({ 'deep/run.py': script }));
    const run = await cloud.finished(
      await cloud.start(onInstance({ archive, project: 'literal', script: 'run.py', args, env })),
    );
    expect(run).toMatchObject({ status: 'SUCCEEDED' });
    expect(JSON.parse(await cloud.log(run.id, 'train'))).toEqual([args, env.LITERAL]);
  });

  it('fails with the exit code and the last twenty lines when the script exits 3', async () => {
    const script =
      'import sys, time\nfor i in range(30): print("line", i)\nsys.stdout.flush()\ntime.sleep(4)\nsys.exit(3)\n';
    const archive = await cloud.put('archives/exit3.tar.gz', await tarGz({ 'train.py': script }));
    const env = { API_TOKEN: 'a-value-that-nobody-may-see' };
    const run = await cloud.finished(await cloud.start(onInstance({ archive, project: 'exits', env })));
    expect(run).toMatchObject({ status: 'FAILED', error: 'TrainingFailed' });
    expect(run.cause).toMatchObject({ outcome: 'failed', exitCode: 3, message: 'Training ended with exit code 3.' });
    expect(run.cause?.lastLines).toEqual(Array.from({ length: 20 }, (_, i) => `line ${i + 10}`));
    expect(run.states.slice(-3)).toEqual(['Finish run', 'Run succeeded?', 'Failed']);
    // The README says it: the history shows the input, and so env. Nothing else does.
    const places = placesOf(env.API_TOKEN, await tracesOf(cloud, run));
    expect(places).toContain(`history ${run.id}`);
    expect(places.filter((place) => !place.startsWith('history '))).toEqual([]);
    expect((await cloud.manifest(run.arn)).spec).toMatchObject({ env: { API_TOKEN: '***' } });
  });

  it('says so when the training dies before Confirm PID', async () => {
    const archive = await cloud.put('archives/dies.tar.gz', await tarGz({ 'train.py': 'import nothing_like_it\n' }));
    const run = await cloud.finished(await cloud.start(onInstance({ archive, project: 'dies' })));
    expect(run).toMatchObject({ status: 'FAILED', error: 'TrainingFailed', cause: { exitCode: 1 } });
    expect(run.cause?.message).toMatch(/^The script ended after \d+(\.\d)? s with exit code /);
    expect(run.cause?.lastLines.at(-1)).toContain('ModuleNotFoundError');
  });

  it('rejects a wrong spec by the name of its key, before anything is touched', async () => {
    const touched = cloud.runFolders();
    const archive = `s3://${cloud.bucket}/archives/exit3.tar.gz`;
    const run = await cloud.finished(await cloud.start({ archive, scirpt: 'train.py' }));
    expect(run).toMatchObject({ status: 'FAILED', error: 'InvalidSpec', cause: { outcome: 'rejected' } });
    expect(run.cause?.message).toContain('"scirpt"; did you mean script?');
    expect(run.states).not.toContain('Find instance');
    expect(cloud.runFolders()).toEqual(touched);
  });
});

describe('an archive that is refused', () => {
  const rejected = async (name: string, body: Uint8Array, spec: object = {}) => {
    const touched = cloud.runFolders();
    const archive = await cloud.put(`archives/${name}.tar.gz`, body);
    const run = await cloud.finished(await cloud.start(onInstance({ archive, project: 'refused', ...spec })));
    expect(run).toMatchObject({ status: 'FAILED', cause: { outcome: 'rejected' } });
    expect(run.states).not.toContain('Find instance');
    expect(cloud.runFolders()).toEqual(touched);
    return run;
  };

  it('has no entry script: the candidates are listed', async () => {
    const run = await rejected('no-script', await tarGz({ 'src/fit.py': '', 'readme.md': 'x' }));
    expect(run.error).toBe('ScriptNotFound');
    expect(run.cause?.message).toContain('src/fit.py');
  });

  it('names a file outside itself', async () => {
    const canary = join(cloud.home, 'canary');
    const run = await rejected('traversal', await tarGz({ 'train.py': '', '../canary': 'dead' }));
    expect(run.error).toBe('ArchiveUnsafeName');
    expect(run.cause?.message).toContain('../canary');
    expect(existsSync(canary)).toBe(false);
  });

  it('holds a link', async () => {
    const link = { name: 'passwd', type: 'symlink', linkname: '/etc/passwd' } as const;
    expect((await rejected('link', await tarGz({ 'train.py': '' }, [link]))).error).toBe('ArchiveUnsafeEntry');
  });

  it('is no .tar.gz, or empty, or not there', async () => {
    expect((await rejected('zip', Buffer.from('PK\x03\x04 and so on'))).error).toBe('ArchiveNotGzip');
    expect((await rejected('zero', new Uint8Array())).error).toBe('ArchiveEmpty');
    expect((await rejected('empty', await tarGz({}))).error).toBe('ArchiveEmpty');
    const archive = `s3://${cloud.bucket}/archives/gone.tar.gz`;
    const run = await cloud.finished(await cloud.start(onInstance({ archive })));
    expect(run).toMatchObject({ error: 'ArchiveNotFound', cause: { outcome: 'rejected' } });
  });
});
