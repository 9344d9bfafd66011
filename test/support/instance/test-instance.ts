import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, chownSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach } from 'vitest';
import { ANSWERS, checkAnswer, type JobStatus, type Verb } from '../../../core/protocol/answers.ts';
import { buildProgram } from '../../../lib/instance/program.ts';
import { compiledProgram, PYTHON } from './compiled-program.ts';
import { killQuietly, processesWith, waitFor } from './processes.ts';

import { type Answer, type Fields, type JobFields, type Reply, startRequest, type TestRun } from './requests.ts';

export { isAlive, waitFor } from './processes.ts';
export * from './requests.ts';

export interface InstanceOptions {
  /** The user of the jobs. For another user than the current one, the runner must be root. */
  readonly user?: string;
  /** The user of the runner (only in tests that run as root). */
  readonly runnerIs?: { readonly uid: number; readonly gid: number };
  /** Put before `python3`: a program and its arguments, such as `unshare`. */
  readonly before?: readonly string[];
  /** Modules of the runner to replace: file name → source. */
  readonly modules?: Readonly<Record<string, string>>;
  /** Variables in addition to the agent's own. */
  readonly env?: Readonly<Record<string, string>>;
  /** Without the compiled code of the modules, where time or room on the disk is what is tested. */
  readonly asShipped?: boolean;
}

export const isRoot = process.getuid?.() === 0;
export const NOBODY = { name: 'nobody', uid: 65_534, gid: 65_534 } as const;
export const PROJECT = 'digits';

export const RUNNER_FOLDER = fileURLToPath(new URL('../../../instance/runner', import.meta.url));
export const AGENT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin';
/** Creates instances for the tests of a file. Each is removed with all its processes after its test. */
export function useInstances(): (options?: InstanceOptions) => TestInstance {
  const made: TestInstance[] = [];
  afterEach(async () => {
    for (const instance of made.splice(0)) await instance.remove();
  });
  return (options = {}) => {
    const instance = new TestInstance(options);
    made.push(instance);
    return instance;
  };
}

/** An instance on this machine: a root, a home and the runner, called as the SSM agent calls it. */
export class TestInstance {
  readonly id = `i-${randomBytes(8).toString('hex')}`;
  readonly base: string;
  readonly root: string;
  readonly home: string;
  readonly user: string;
  readonly runner: string;

  private readonly options: InstanceOptions;

  constructor(options: InstanceOptions) {
    this.options = options;
    this.user = options.user ?? userInfo().username;
    // The space in the path shows whether it is passed to a shell unquoted.
    this.base = mkdtempSync(join(tmpdir(), 'runctl test-'));
    this.root = join(this.base, 'root');
    this.home = join(this.base, 'home');
    chmodSync(this.base, 0o755);
    const { bytes, sha256 } = options.asShipped
      ? buildProgram(this.runnerFolder())
      : compiledProgram(this.runnerFolder());
    this.runner = join(this.root, 'programs', sha256);
    mkdirSync(dirname(this.runner), { recursive: true });
    writeFileSync(this.runner, bytes);
    // These tests may run as root, and their jobs with them.
    if (this.user === userInfo().username) writeFileSync(join(this.root, 'allow-root'), '');
    mkdirSync(this.project, { recursive: true });
    this.chown(options.runnerIs ?? null, [this.root, dirname(this.runner), this.runner]);
    this.chown(options.user === NOBODY.name ? NOBODY : (options.runnerIs ?? null), [this.home, this.project]);
  }

  get project(): string {
    return join(this.home, PROJECT);
  }

  /** A file of the project. */
  write(name: string, text: string | Uint8Array): void {
    mkdirSync(dirname(join(this.project, name)), { recursive: true });
    writeFileSync(join(this.project, name), text);
  }

  run(name = 'run'): TestRun {
    const id = `${name}-${randomBytes(4).toString('hex')}`;
    return {
      id,
      key: `${id}-0123456789abcdef`,
      arn: `arn:aws:states:us-east-1:000000000000:execution:runctl-run:${id}`,
    };
  }

  /** Takes the lease for a run, as its sync does. */
  giveLease(run: TestRun): TestRun {
    const lease = join(this.root, 'lease');
    mkdirSync(lease, { recursive: true });
    const holder = join(lease, 'holder.json');
    writeFileSync(holder, JSON.stringify({ run: run.id, key: run.key, arn: run.arn, since: Date.now() / 1000 }));
    this.chown(this.options.runnerIs ?? null, [lease, holder]);
    return run;
  }

  jobFolder(run: TestRun, job: string): string {
    return join(this.root, 'runs', run.key, job);
  }

  /** A marker file of a job, parsed. */
  marker(run: TestRun, job: string, name: string): Record<string, unknown> {
    return JSON.parse(readFileSync(join(this.jobFolder(run, job), name), 'utf8')) as Record<string, unknown>;
  }

  logOf(run: TestRun, job: string): Buffer {
    return readFileSync(join(this.jobFolder(run, job), 'log'));
  }

  /** Starts a job. Missing keys of the request get the defaults of a plain run. */
  async start(run: TestRun, work: JobFields, fields: Fields = {}): Promise<Answer<JobStatus>> {
    return (await this.send<JobStatus>(startRequest(this, run, work, fields))).answer;
  }

  async poll(run: TestRun, job: string, fields: Fields = {}): Promise<Answer<JobStatus>> {
    const request = { ...this.common('poll', run), job, offset: 0, maxBytes: 1_000_000, ...fields };
    return (await this.send<JobStatus>(request)).answer;
  }

  async stop(run: TestRun, grace = 5): Promise<Answer<{ jobs: Record<string, string> }>> {
    const request = { ...this.common('stop', run), grace, reason: 'a test' };
    return (await this.send<{ jobs: Record<string, string> }>(request)).answer;
  }

  async release(run: TestRun): Promise<Answer<{ released: boolean; jobs: Record<string, string> }>> {
    return (await this.send<{ released: boolean; jobs: Record<string, string> }>(this.common('release', run))).answer;
  }

  /** Polls until the job is no longer running. */
  async ended(run: TestRun, job: string, seconds = 60, fields: Fields = {}): Promise<Answer<JobStatus>> {
    return this.until(run, job, (status) => status.state !== 'running' && status.state !== 'absent', seconds, fields);
  }

  async until(
    run: TestRun,
    job: string,
    met: (status: Answer<JobStatus>) => boolean,
    seconds = 60,
    fields: Fields = {},
  ): Promise<Answer<JobStatus>> {
    return waitFor(async () => {
      const status = await this.poll(run, job, fields);
      return met(status) ? status : null;
    }, seconds);
  }

  /** The keys of every request. */
  common(verb: string, run: TestRun): Fields {
    return {
      protocol: 1,
      verb,
      root: this.root,
      home: this.home,
      user: this.user,
      users: [this.user],
      projects: null,
      run: { id: run.id, key: run.key, arn: run.arn },
      project: PROJECT,
    };
  }

  /** Runs one command as the agent does: it has ended when both streams are closed. */
  async send<T>(request: Fields | string): Promise<Reply<Answer<T>>> {
    const began = performance.now();
    const command = this.command(request);
    const [stdout, stderr, code] = await Promise.all([
      textOf(command.stdout),
      textOf(command.stderr),
      new Promise<number | null>((resolve, reject) => command.on('close', resolve).on('error', reject)),
    ]);
    const millis = performance.now() - began;
    if (stderr !== '') throw new Error(`the runner wrote to stderr: ${stderr}`);
    const answer = JSON.parse(stdout) as Answer<T>;
    if (typeof request !== 'string') holdToProtocol(request.verb, answer);
    return { code, stdout, stderr, millis, answer };
  }

  /** Starts a command without waiting for it, in its own process group as the agent does. */
  command(request: Fields | string) {
    const words = [...(this.options.before ?? []), PYTHON, '-I', '-B', this.runner];
    const command = spawn(words[0] as string, words.slice(1), {
      cwd: '/usr/bin',
      detached: true,
      stdio: ['pipe', 'pipe', 'pipe'],
      env: {
        PATH: AGENT_PATH,
        LANG: 'C.UTF-8',
        PWD: '/usr/bin',
        SSM_COMMAND_ID: 'c0ffee',
        AWS_SSM_INSTANCE_ID: this.id,
        AWS_SSM_REGION_NAME: 'us-east-1',
        ...this.options.env,
      },
      ...this.options.runnerIs,
    });
    command.stdin.end(typeof request === 'string' ? request : JSON.stringify(request));
    return command;
  }

  /** The PIDs of all running processes that this instance started. */
  processes(): number[] {
    return processesWith(`AWS_SSM_INSTANCE_ID=${this.id}`);
  }

  async remove(): Promise<void> {
    await waitFor(async () => {
      const left = this.processes();
      for (const pid of left) killQuietly(pid);
      return left.length === 0 || null;
    });
    // The log of a job whose supervisor was just killed is still append-only and cannot be removed.
    if (isRoot) spawnSync('chattr', ['-R', '-f', '-a', this.base], { stdio: 'ignore' });
    rmSync(this.base, { recursive: true, force: true });
  }

  private runnerFolder(): string | undefined {
    if (!this.options.modules) return undefined;
    const folder = join(this.base, 'modules');
    cpSync(RUNNER_FOLDER, folder, { recursive: true });
    for (const [name, source] of Object.entries(this.options.modules)) writeFileSync(join(folder, name), source);
    return folder;
  }

  private chown(owner: { uid: number; gid: number } | null, paths: readonly string[]): void {
    if (owner !== null) for (const path of paths) chownSync(path, owner.uid, owner.gid);
  }
}

async function textOf(stream: NonNullable<ChildProcess['stdout']>): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}

/** Checks that an answer of the real runner has exactly the keys of core/protocol/answers.ts. */
function holdToProtocol(verb: unknown, answer: Answer<object>): void {
  if (!answer.ok || typeof verb !== 'string' || !(verb in ANSWERS)) return;
  const { protocol, ok, ...keys } = answer as Answer<object> & { protocol: number };
  assert.deepStrictEqual(keys, checkAnswer(verb as Verb, answer), `the answer to ${verb}`);
}
