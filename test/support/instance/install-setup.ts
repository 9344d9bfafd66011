import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach } from 'vitest';
import { compiledProgram } from './compiled-program.ts';
import { type IndexOptions, type PackageIndex, servePackages } from './package-index.ts';
import { ask, findInterpreter, type Interpreter, makeSystemPython, makeVenv, STANDARD_PATH } from './pythons.ts';
import { sharedUv } from './shared-uv.ts';
import type { PackageSpec, Wheel } from './wheels.ts';

export const PROJECT = 'digits';
/** `nobody`, for tests that run as root and need another user. */
const NOBODY = 65_534;
export const isRoot = process.getuid?.() === 0;

export interface Progress {
  readonly phase: string;
  readonly done: number | null;
  readonly total: number | null;
  readonly bytes: number | null;
  readonly elapsed: number;
  readonly current: string | null;
}

export interface InstallResult {
  readonly installer: string;
  readonly cached: boolean;
  readonly python: string;
  readonly packages: number;
  readonly seconds: number;
  readonly warnings: readonly string[];
  readonly environment?: {
    readonly key: string;
    readonly restored: boolean;
    readonly sha256: string | null;
    readonly listing: string | null;
  };
  readonly error?: { readonly name: string; readonly message: string };
}

export interface InstallRun {
  readonly code: number | null;
  readonly log: string;
  /** The time of each line of the log, in milliseconds from the start. */
  readonly times: readonly number[];
  readonly progress: readonly Progress[];
  readonly result: InstallResult;
  readonly milliseconds: number;
}

export interface InstallOptions {
  readonly requirements?: string;
  readonly python?: string | null;
  readonly environment?: 'shared' | 'project';
  /** Restore an environment, or make it one that may be stored. */
  readonly reuse?: boolean;
  /** The list of those that are stored. */
  readonly environments?: { readonly url: string; readonly sha256: string; readonly bytes: number } | null;
  /** Replaces the arguments of the interpreter. */
  readonly words?: (program: string) => readonly string[];
  /** A folder beside the setup's project. */
  readonly project?: string;
  readonly installer?: 'auto' | 'uv' | 'pip';
  /** The values of the run's secrets, which the supervisor sets in the environment. */
  readonly secrets?: Readonly<Record<string, string>>;
  /** The run spec's env; the setup's index is added unless `index` is false. */
  readonly env?: Readonly<Record<string, string>>;
  readonly index?: boolean;
  readonly unprivileged?: boolean;
  /** Called with the child as soon as it runs. */
  readonly onStart?: (child: ChildProcess) => void;
}

/** A home, a project, an index, and the installer as the supervisor starts it. Removed after the test. */
export class InstallSetup {
  // A home may have a space in its name.
  readonly base = mkdtempSync(join(tmpdir(), 'runctl install-'));
  readonly home = join(this.base, 'home');
  readonly project = join(this.home, PROJECT);
  readonly userBin = join(this.home, '.local', 'bin');
  index: PackageIndex | null = null;
  readonly #children = new Set<ChildProcess>();
  readonly #locked: string[] = [];

  constructor() {
    chmodSync(this.base, 0o755);
    mkdirSync(this.project, { recursive: true });
    mkdirSync(this.userBin, { recursive: true });
    writeFileSync(join(this.base, 'installer'), compiledProgram().bytes);
  }

  write(name: string, content: string | Uint8Array): void {
    mkdirSync(dirname(join(this.project, name)), { recursive: true });
    writeFileSync(join(this.project, name), content);
  }

  /** A program in the user's ~/.local/bin. */
  script(name: string, body: string): void {
    writeFileSync(join(this.userBin, name), `#!/bin/sh\n${body}\n`, { mode: 0o755 });
  }

  useUv(): void {
    copyFileSync(sharedUv(), join(this.userBin, 'uv'));
  }

  async serve(packages: readonly Wheel[], options: IndexOptions = {}): Promise<PackageIndex> {
    this.index = await servePackages(packages, options);
    return this.index;
  }

  /** An interpreter as a distribution ships it; `installed`: packages that are part of the image. */
  systemPython(installed: readonly PackageSpec[] = [], options: { pip?: boolean } = {}): string {
    return makeSystemPython(this.base, installed, options.pip ?? true);
  }

  /** A virtual environment, such as `/opt/pytorch`. */
  venv(options: { pip?: boolean; installed?: readonly PackageSpec[] } = {}): string {
    return makeVenv(join(this.base, 'pytorch'), options.installed ?? [], options.pip ?? false);
  }

  /** Runs the job to its end. */
  async install(options: InstallOptions = {}): Promise<InstallRun> {
    const unprivileged = options.unprivileged && isRoot;
    if (unprivileged) this.#giveAway(this.home);
    const began = performance.now();
    const program = join(this.base, 'installer');
    const child = spawn('python3', options.words?.(program) ?? ['-I', '-B', program, 'child', 'install'], {
      cwd: this.home,
      // No HOME, as from the SSM agent. The supervisor sets it, but an install must not need it.
      env: { PATH: STANDARD_PATH, LANG: 'C.UTF-8', RUNCTL_PROGRESS_FD: '3', ...options.secrets },
      stdio: ['pipe', 'pipe', 'pipe', 'pipe'],
      detached: true,
      ...(unprivileged ? { uid: NOBODY, gid: NOBODY } : {}),
    });
    this.#children.add(child);
    options.onStart?.(child);
    const log: string[] = [];
    const times: number[] = [];
    const keep = (chunk: Buffer) => {
      log.push(chunk.toString());
      times.push(performance.now() - began);
    };
    child.stdout?.on('data', keep);
    child.stderr?.on('data', keep);
    child.stdin?.end(JSON.stringify(this.#job(options)));
    const reports = text(child.stdio[3] as NodeJS.ReadableStream & AsyncIterable<Buffer>);
    const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
    this.#children.delete(child);
    const messages = (await reports)
      .trim()
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line));
    return {
      code,
      log: log.join(''),
      times,
      progress: messages.filter((message) => message.progress).map((message) => message.progress),
      result: messages.find((message) => message.result)?.result,
      milliseconds: performance.now() - began,
    };
  }

  /** The output of Python in the environment of the training: the user's home, and the overlay's variables. */
  ask(python: string, code: string, env: Readonly<Record<string, string>> = {}): string {
    return ask(python, code, { HOME: this.home, ...env });
  }

  /** The mark that remains when an install is killed while it changes `site`. */
  markUnfinished(site: string): void {
    const digest = createHash('sha256').update(site).digest('hex').slice(0, 16);
    const mark = join(this.home, '.runctl', 'installs', `unfinished-${digest}`);
    writeFileSync(mark, '');
    utimesSync(mark, new Date(0), new Date(0));
  }

  /** The interpreter that the runner chooses for the training. */
  findInterpreter(python: string | null, options: { opt?: string; user?: string } = {}): Interpreter {
    return findInterpreter(python, this.home, options);
  }

  /** Removes write permission from a folder and all below it, as in an image that belongs to root. */
  lock(folder: string): void {
    this.#locked.push(folder);
    chmodFolders(folder, 0o555);
  }

  async close(): Promise<void> {
    for (const folder of this.#locked) chmodFolders(folder, 0o755);
    for (const child of this.#children) {
      if (child.pid) process.kill(-child.pid, 'SIGKILL');
    }
    await this.index?.close();
    rmSync(this.base, { recursive: true, force: true });
  }

  #job(options: InstallOptions): unknown {
    const index: Record<string, string> =
      this.index && options.index !== false ? { PIP_INDEX_URL: this.index.url } : {};
    const install = {
      requirements: options.requirements ?? 'requirements.txt',
      installer: options.installer ?? 'auto',
      python: options.python ?? null,
      environment: options.environment ?? 'shared',
      reuse: options.reuse ?? false,
      environments: options.environments ?? null,
      env: { ...index, ...options.env },
      secrets: Object.fromEntries(Object.keys(options.secrets ?? {}).map((name) => [name, `ssm:/${name}`])),
    };
    return {
      run: { id: 'run-1', key: 'run-1-0', arn: 'arn' },
      project: options.project ?? PROJECT,
      home: this.home,
      root: this.base,
      install,
    };
  }

  #giveAway(path: string): void {
    for (const entry of readdirSync(path, { withFileTypes: true, recursive: true }))
      if (!entry.isSymbolicLink()) chownSync(join(entry.parentPath, entry.name), NOBODY, NOBODY);
    chownSync(path, NOBODY, NOBODY);
  }
}

/** Creates a setup on first use in a test and removes it after the test. */
export function useInstallSetup(): () => InstallSetup {
  let setup: InstallSetup | null = null;
  afterEach(async () => {
    const used = setup;
    setup = null;
    await used?.close();
  });
  return () => {
    setup ??= new InstallSetup();
    return setup;
  };
}

function chmodFolders(folder: string, mode: number): void {
  chmodSync(folder, mode | 0o700);
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) chmodFolders(join(folder, entry.name), mode);
  }
  chmodSync(folder, mode);
}
