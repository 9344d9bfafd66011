import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { parseArchiveUri } from '../../core/names.ts';
import { Cloud } from '../support/cloud/cloud.ts';
import { COMMAND, projectFolder, runctl, shellEnvironment } from '../support/cloud/runctl.ts';
import { waitFor } from '../support/instance/processes.ts';
import { outputOf } from '../support/outputs.ts';

let cloud: Cloud;
let folder: string;
let env: Record<string, string>;
beforeAll(async () => {
  cloud = await Cloud.connect();
  env = await shellEnvironment();
  folder = projectFolder(cloud.project, {
    'tsconfig.json': 'of the person, and { broken',
    'package.json': '{ "type": "commonjs" }',
    '.env': 'TOKEN=hush\n',
    'train.py':
      'import sys, time\nfor i in range(int(sys.argv[1])):\n    print("line", i, flush=True)\n    time.sleep(0.5)\n',
    'bad.py': 'print("loading")\nraise SystemExit("no data")\n',
  });
});

/** The lines that the script printed, as `run` shows them. */
const printed = (text: string) => [...text.matchAll(/train {3}\| line (\d+)$/gm)].map(([, line]) => Number(line));

/** The network between the person and AWS: a relay in front of the cloud that can be taken away. */
class Network {
  readonly #to: number;
  readonly #sockets = new Set<Socket>();
  #server: Server | null = null;
  port = 0;

  constructor(endpoint: string) {
    this.#to = Number(new URL(endpoint).port);
  }

  async up(): Promise<void> {
    const server = createServer((near) => {
      const far = connect(this.#to, '127.0.0.1');
      near.pipe(far).pipe(near);
      for (const socket of [near, far]) {
        this.#sockets.add(socket);
        socket.on('error', () => undefined).on('close', () => near.destroy() && far.destroy());
      }
    });
    await new Promise<void>((resolve) => server.listen(this.port, '127.0.0.1', resolve));
    this.port = (server.address() as { port: number }).port;
    this.#server = server;
  }

  down(): void {
    this.#server?.close();
    for (const socket of this.#sockets) socket.destroy();
    this.#sockets.clear();
  }
}

/** The command while it runs, with what it has written so far. */
function begin(args: readonly string[], environment: Record<string, string>) {
  const child = spawn(process.execPath, [COMMAND, ...args], {
    cwd: folder,
    env: environment,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const seen = { stdout: '', stderr: '' };
  child.stdout.on('data', (data) => {
    seen.stdout += data;
  });
  child.stderr.on('data', (data) => {
    seen.stderr += data;
  });
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  return { child, seen, ended };
}

describe('runctl push', () => {
  it('uploads what starts nothing, once, without secrets, and prints it with the command that starts it', async () => {
    const first = await runctl(folder, ['push'], env);
    expect(first.stderr).toContain('.env was not packed: it is likely a secret');
    expect(first.code).toBe(0);
    const uri = first.stdout.trim();
    expect(first.stderr).toContain(`runctl run --project ${cloud.project} --archive '${uri}'`);
    const again = outputOf('push', (await runctl(folder, ['push', '--json'], env)).stdout);
    expect(again).toMatchObject({ archive: uri, reused: true, secretsLeftOut: ['.env'], runId: null });
    expect(await cloud.runsOf(parseArchiveUri(uri)?.key ?? '')).toEqual([]);
  });
});

describe('runctl run', () => {
  it('starts nothing where nobody can answer, and shows its plan on its own', async () => {
    const list = async () => outputOf('list', (await runctl(folder, ['list', '--json'], env)).stdout).length;
    const before = await list();
    const refused = await runctl(folder, ['run', '--json', '--', '1'], env);
    expect(refused).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('To start the run without a question: --yes'),
    });
    expect(outputOf('error', refused.stdout).error).toMatchObject({ kind: 'usage', exitCode: 2 });
    const planned = await runctl(folder, ['run', '--dry-run', '--json', '--env', 'API_KEY=x', '--', '1'], env);
    expect(planned.code).toBe(0);
    expect(planned.stderr).toContain('warning: env API_KEY looks like a secret');
    expect(outputOf('run --dry-run', planned.stdout)).toMatchObject({ args: ['1'], instance: cloud.instanceId });
    expect(await list()).toBe(before);
  });

  it('shows its plan, starts one run, and follows it over a network that goes and comes', async () => {
    const network = new Network(cloud.endpoint);
    await network.up();
    const through = { ...env, AWS_ENDPOINT_URL: `http://127.0.0.1:${network.port}` };
    const { seen, ended } = begin(['run', '--yes', '--', '12'], through);
    try {
      await waitFor(() => (printed(seen.stdout).length > 2 ? true : null), 120);
      network.down();
      await waitFor(() => (seen.stderr.includes('AWS does not answer') ? true : null), 60);
      await network.up();
      expect(await ended).toBe(0);
    } finally {
      network.down();
    }
    expect(printed(seen.stdout)).toEqual([...Array(12).keys()]);
    expect(seen.stderr).toContain('AWS answers again');
    expect(seen.stderr).toMatch(new RegExp(`project +${cloud.project} +\\(runctl.yaml\\)`));
    expect(seen.stderr).toMatch(new RegExp(`instance +${cloud.instanceId}, .*tag:Project=${cloud.project}`));
    expect(seen.stdout).toMatch(/^Succeeded after /m);
    const lines = seen.stdout.split('\n');
    expect(lines.filter((line) => / sync {4}\| /.test(line))).toEqual([
      expect.stringMatching(/\d+ files?: \d+ added, \d+ changed, \d+ removed$|in place already/),
    ]);
    expect(lines.filter((line) => / s training /.test(line))).toHaveLength(1);
    expect(seen.stdout + seen.stderr, 'colour is for terminals').not.toContain('\x1b[');
  });

  it('exits with 1 when the run failed, and says why; --json is one document', async () => {
    const { code, stdout, stderr } = await runctl(folder, ['run', '--yes', '--json', '--script', 'bad.py'], env);
    const said = outputOf('run', stdout);
    expect(said).toMatchObject({ outcome: 'failed', exitCode: 1, error: 'TrainingFailed' });
    expect(said.lastLines).toEqual(['loading', 'no data']);
    expect(stderr).toContain('train   | no data');
    expect(code).toBe(1);
    expect(await cloud.runsOf(parseArchiveUri(said.archive)?.key ?? '')).toHaveLength(2);
  });

  it('leaves the run alone on Ctrl-C, and says how to come back and how to stop it', async () => {
    const { child, seen, ended } = begin(['run', '--yes', '--', '600'], env);
    await waitFor(() => (printed(seen.stdout).length > 0 ? true : null), 120);
    const skipped = await runctl(folder, ['run', '--yes', '--if-busy', 'skip', '--json', '--', '1'], env);
    expect(skipped).toMatchObject({ code: 4, stderr: expect.stringMatching(/^Skipped after /m) });
    expect(skipped.stderr).not.toContain('runctl pull');
    expect(outputOf('run', skipped.stdout)).toMatchObject({
      state: 'skipped',
      outcome: 'skipped',
      error: 'RunSkipped',
    });
    child.kill('SIGINT');
    expect(await ended).toBe(130);
    const [, id = ''] = /runctl logs -f (\S+)\n/.exec(seen.stderr) ?? [];
    expect(seen.stderr).toContain(`runctl stop ${id}`);
    const arn = (await cloud.executions()).find((one) => one.endsWith(`:${id}`)) ?? '';
    await cloud.stop(arn); // it is there, and runs: what has ended cannot be stopped
    expect(await cloud.finished(arn)).toMatchObject({ status: 'ABORTED' });
  });

  it('prints the id alone when it is to leave at once', async () => {
    const { code, stdout } = await runctl(folder, ['run', '--yes', '--detach', '--', '1'], env);
    expect(stdout).toMatch(/^\S+\n$/);
    expect(code).toBe(0);
    const arn = (await cloud.executions()).find((one) => one.endsWith(`:${stdout.trim()}`)) ?? '';
    expect(await cloud.finished(arn)).toMatchObject({ status: 'SUCCEEDED' });
  });

  it('trains a folder of a repository from a shell script, with a package beside it, at its commit', async () => {
    const top = projectFolder(cloud.project);
    const git = (...args: string[]) =>
      execFileSync('git', ['-c', 'user.name=a', '-c', 'user.email=a@b', ...args], {
        cwd: top,
        encoding: 'utf8',
      }).trim();
    const nets = join(top, 'nets');
    for (const [name, text] of Object.entries({
      'common/__init__.py': 'WORD = "of the package beside it"\n',
      'nets/.gitignore': '*.cfg\n',
      'nets/forced.cfg': '',
      'nets/runctl.yaml': `project: ${cloud.project}\nscript: run.sh\ninclude: [../common]\n`,
      'nets/run.sh': '#!/bin/bash\nset -o pipefail\nexec python3 train.py "$@"\n',
      'nets/train.py': [
        'import os, sys, common',
        'os.makedirs("outputs", exist_ok=True)',
        'open("outputs/new.txt", "w").write(" ".join([common.WORD, *sys.argv[1:], *sorted(os.listdir("outputs"))]))',
        'assert os.path.exists("forced.cfg") and not os.path.exists("local.cfg")\n',
      ].join('\n'),
      'nets/outputs/old.txt': 'of an earlier run',
      'nets/local.cfg': '',
    })) {
      mkdirSync(join(top, name, '..'), { recursive: true });
      writeFileSync(join(top, name), text);
    }
    git('init', '-q');
    git(
      'add',
      '--force',
      'common',
      'nets/.gitignore',
      'nets/forced.cfg',
      'nets/runctl.yaml',
      'nets/run.sh',
      'nets/train.py',
    );
    git('commit', '-qm', 'nets');
    const commit = git('rev-parse', 'HEAD');
    const { code, stdout, stderr } = await runctl(nets, ['run', '--yes', '--json', '--take-over', '--', 'a b'], env);
    expect(stderr).toContain('Not packed, as results of a run (key outputs): outputs/old.txt.');
    expect(stderr).toMatch(new RegExp(`commit ${commit.slice(0, 10)}$`, 'm'));
    expect(code, stderr).toBe(0);
    const pulled = await runctl(nets, ['pull', JSON.parse(stdout).id, '--to', 'mine'], env);
    expect(pulled.code).toBe(0);
    expect(readFileSync(join(nets, 'mine/outputs/new.txt'), 'utf8')).toBe('of the package beside it a b new.txt');
    const { archive } = JSON.parse(readFileSync(join(nets, 'mine/manifest.json'), 'utf8'));
    expect(archive).toMatchObject({ files: 6, gitCommit: commit, gitDirty: false });
    const again = await runctl(nets, ['push', '--json'], env);
    expect(JSON.parse(again.stdout), 'what was pulled is not packed').toMatchObject({ files: 6, gitDirty: false });
  });

  it.each([
    ['a script that is not there', ['--script', 'none.py'], {}, 2, /with --script <path>/],
    ['another region', [], { AWS_REGION: 'eu-west-3' }, 3, /runctl deploy/],
    ['no credentials', [], { AWS_ACCESS_KEY_ID: '', AWS_SECRET_ACCESS_KEY: '' }, 3, /aws sso login/],
  ])('refuses %s before anything is uploaded', async (_, args, changed, code, next) => {
    const nobody = join(folder, 'nobody');
    const files = { AWS_CONFIG_FILE: nobody, AWS_SHARED_CREDENTIALS_FILE: nobody };
    const ended = await runctl(folder, ['run', '--yes', ...args], { ...env, ...files, ...changed });
    expect(ended).toMatchObject({ code, stdout: '', stderr: expect.stringMatching(next) });
    expect(ended.stderr).toContain('Nothing was started.');
  });
});
