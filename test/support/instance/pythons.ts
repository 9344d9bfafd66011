import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type PackageSpec, placeInstalled } from './wheels.ts';

const RUNNER = fileURLToPath(new URL('../../../instance/runner', import.meta.url));
/** The environment of an SSM agent's commands. */
export const STANDARD_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin';

/**
 * An interpreter as a distribution ships it: its own prefix, marked externally managed (PEP 668).
 * @param base the folder for it
 * @param installed packages that the image brings
 */
export function makeSystemPython(base: string, installed: readonly PackageSpec[], pip: boolean): string {
  const real = ask('python3', 'import sys; print(sys.executable)');
  const standard = ask(real, 'import sysconfig; print(sysconfig.get_path("stdlib"))');
  const root = mkdtempSync(join(base, 'usr-'));
  chmodSync(root, 0o755);
  const python = join(root, 'bin', 'python3');
  const lib = join(root, 'lib', basename(standard));
  for (const folder of [dirname(python), lib, join(lib, 'site-packages'), join(root, 'lib/python3/dist-packages')])
    mkdirSync(folder, { recursive: true });
  copyFileSync(realpathSync(real), python);
  for (const name of readdirSync(standard)) {
    if (!/-packages$|^EXTERNALLY-MANAGED$/.test(name)) symlinkSync(join(standard, name), join(lib, name));
  }
  writeFileSync(join(lib, 'EXTERNALLY-MANAGED'), '[externally-managed]\nError=This belongs to the system.\n');
  const site = ask(python, 'import sys; print([p for p in sys.path if p.endswith("-packages")][-1])');
  for (const spec of installed) placeInstalled(site, spec);
  if (pip) linkPip(real, site);
  return python;
}

/** A virtual environment. */
export function makeVenv(folder: string, installed: readonly PackageSpec[], pip: boolean): string {
  const python = join(folder, 'bin', 'python3');
  const done = spawnSync('python3', ['-m', 'venv', ...(pip ? [] : ['--without-pip']), folder], {
    encoding: 'utf8',
    env: { PATH: STANDARD_PATH },
  });
  if (done.status !== 0) throw new Error(`python3 -m venv: ${done.stdout}${done.stderr}`);
  const site = ask(python, 'import sysconfig; print(sysconfig.get_path("purelib"))');
  for (const spec of installed) placeInstalled(site, spec);
  return python;
}

export interface Interpreter {
  readonly path: string;
  readonly reason: string;
  readonly kind: 'system' | 'venv' | 'conda' | 'overlay';
  readonly bin: string;
  readonly env: Readonly<Record<string, string>>;
}

/** interpreter.find() of the runner; throws with Python's last line. */
export function findInterpreter(
  python: string | null,
  home: string,
  options: { opt?: string; user?: string; path?: string } = {},
): Interpreter {
  const code = `import json, sys
sys.path.insert(0, sys.argv[1])
from common import interpreter
print(json.dumps(interpreter.find(*json.loads(sys.argv[2]), **json.loads(sys.argv[3]))._asdict()))`;
  const words = ['-I', '-B', '-c', code, RUNNER, JSON.stringify([python, home]), JSON.stringify(options)];
  const done = spawnSync('python3', words, { encoding: 'utf8', env: { PATH: STANDARD_PATH } });
  if (done.status !== 0) throw new Error(done.stderr.trim().split('\n').at(-1));
  return JSON.parse(done.stdout);
}

/** The output of a program of one line. `env` is added to a bare PATH. */
export function ask(python: string, code: string, env: Readonly<Record<string, string>> = {}): string {
  const done = spawnSync(python, ['-c', code], { encoding: 'utf8', env: { PATH: STANDARD_PATH, ...env }, cwd: '/' });
  if (done.status !== 0) throw new Error(`${python}: ${done.error?.message ?? done.stderr}`);
  return done.stdout.trim();
}

/** pip as a distribution's package installs it. */
function linkPip(real: string, site: string): void {
  const folder = dirname(ask(real, 'import os, pip; print(os.path.dirname(pip.__file__))'));
  for (const name of readdirSync(folder)) {
    if (/^(pip|setuptools|pkg_resources|wheel|_distutils_hack)(-|$)/.test(name))
      symlinkSync(join(folder, name), join(site, name));
  }
}
