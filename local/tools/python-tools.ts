import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { access, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';
import { LocalError, messageOf } from '../cloud/errors.ts';
import { withLock } from '../cloud/lock.ts';
import { projectRoot, type StatePaths, statePaths } from '../cloud/paths.ts';
import { findPython } from './python.ts';

/** Reports progress in one short line. */
export type Report = (line: string) => void;

export const toolsRequirements = join(projectRoot, 'local', 'tools', 'requirements-tools.txt');
export const cloudRequirements = join(projectRoot, 'local', 'tools', 'requirements-cloud.txt');

/**
 * The folder of a virtual environment with the packages of `requirementsFile`. Created on first use, and
 * again when the file, the environment's path or its interpreter has changed. A lock makes sure that
 * only one process creates it.
 * `signal` stops the creation.
 * @throws LocalError if there is no usable Python, or with pip's last lines if it failed
 */
export async function ensureVenv(
  name: string,
  requirementsFile: string,
  report: Report,
  paths: StatePaths = statePaths(),
  signal: AbortSignal = new AbortController().signal,
): Promise<string> {
  const folder = join(paths.venvs, name);
  const stamp = createHash('sha256')
    .update(await readFile(requirementsFile))
    .update(folder) // scripts in the environment contain its absolute path
    .digest('hex');
  if (await isReady(folder, stamp)) return folder;
  return await withLock(
    join(paths.venvs, `${name}.lock`),
    () => report(`another process is creating the Python environment ${name}; waiting for it`),
    async () => {
      if (await isReady(folder, stamp)) return folder;
      await createVenv(folder, requirementsFile, report, paths, signal);
      await writeFile(stampFile(folder), stamp);
      return folder;
    },
  );
}

function stampFile(folder: string): string {
  return join(folder, 'runctl-stamp');
}

async function isReady(folder: string, stamp: string): Promise<boolean> {
  try {
    await access(join(folder, 'bin', 'python')); // a link to the system's Python, which an upgrade may have removed
    return (await readFile(stampFile(folder), 'utf8')) === stamp;
  } catch {
    return false; // missing or incomplete
  }
}

async function createVenv(
  folder: string,
  requirementsFile: string,
  report: Report,
  paths: StatePaths,
  signal: AbortSignal,
): Promise<void> {
  const python = await findPython();
  report(`creating a Python ${python.version} environment in ${folder}`);
  await rm(folder, { recursive: true, force: true });
  await mkdir(paths.cache, { recursive: true });
  await runStep(python.path, ['-m', 'venv', folder], () => {}, signal);
  await runStep(
    join(folder, 'bin', 'python'),
    [
      '-m',
      'pip',
      'install',
      '--disable-pip-version-check',
      '--no-input',
      // Most modules are never loaded; Python compiles the others as it loads them.
      '--no-compile',
      '--progress-bar',
      'off',
      '-r',
      requirementsFile,
    ],
    (line) => {
      const step = /^(?:Collecting \S+|Installing collected packages)/.exec(line.trim());
      if (step) report(`pip: ${step[0]}`);
    },
    signal,
    { PIP_CACHE_DIR: join(paths.cache, 'pip') },
  );
  report(`installed ${basename(requirementsFile)}`);
}

/** Runs a program and passes its lines to `onLine`. @throws LocalError with its last lines unless it exits with 0 */
async function runStep(
  program: string,
  args: readonly string[],
  onLine: (line: string) => void,
  signal: AbortSignal,
  env: Record<string, string> = {},
): Promise<void> {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...env, ...process.env }, signal });
  const last: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (line) => {
      last.push(line);
      if (last.length > 12) last.shift();
      onLine(line);
    });
  }
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  if (code !== 0) {
    throw new LocalError(
      `\`${[basename(program), ...args].join(' ')}\` failed with exit code ${code}:\n${last.map((line) => `  ${line}`).join('\n')}`,
      'Check the network connection and the disk space, then run the command again.',
    );
  }
}

/** `tsx local/tools/python-tools.ts <tool> [args]`: runs a tool from the tools environment in this terminal. */
async function main([tool, ...args]: readonly string[]): Promise<number> {
  if (tool === undefined) {
    console.error('usage: tsx local/tools/python-tools.ts <ruff | cfn-lint | shellcheck> [arguments]');
    return 2;
  }
  const venv = await ensureVenv('tools', toolsRequirements, (line) => console.error(line));
  const child = spawn(join(venv, 'bin', tool), args, { stdio: 'inherit' });
  return await new Promise<number>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve(code ?? 1));
  });
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  // Not awaited at the top: the bundle of the command, which has this module, is CommonJS.
  main(process.argv.slice(2)).then(
    (exitCode) => {
      process.exitCode = exitCode;
    },
    (error: unknown) => {
      console.error(error instanceof LocalError ? `${error.message}\n${error.next}` : messageOf(error));
      process.exitCode = 1;
    },
  );
}
