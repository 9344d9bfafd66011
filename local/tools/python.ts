import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { LocalError, messageOf } from '../cloud/errors.ts';

const run = promisify(execFile);

// MiniStack's and cfn-lint's own floor.
const oldest = { major: 3, minor: 10 };
const candidates = ['python3', 'python3.14', 'python3.13', 'python3.12', 'python3.11', 'python3.10'];
const question = `
import sys, json
def can(name):
    try:
        __import__(name)
        return True
    except ImportError:
        return False
print(json.dumps([sys.version_info[0], sys.version_info[1], sys.executable, can("venv") and can("ensurepip")]))`;

export interface Python {
  /** Absolute path of the interpreter. */
  readonly path: string;
  readonly version: string;
}

let found: Promise<Python> | undefined;

/** The first Python on PATH that is new enough and can make virtual environments. @throws LocalError when there is none. */
export function findPython(): Promise<Python> {
  found ??= search(candidates);
  return found;
}

/** As {@link findPython}, among the given program names. */
export async function search(names: readonly string[]): Promise<Python> {
  const seen: string[] = [];
  for (const name of names) {
    let answer: string;
    try {
      answer = (await run(name, ['-I', '-c', question])).stdout;
    } catch (error) {
      if (!isMissing(error)) seen.push(`${name} does not start (${messageOf(error).split('\n')[0]})`);
      continue;
    }
    const [major, minor, path, venv] = JSON.parse(answer) as [number, number, string, boolean];
    const version = `${major}.${minor}`;
    if (major < oldest.major || (major === oldest.major && minor < oldest.minor)) seen.push(`${name} is ${version}`);
    else if (!venv) seen.push(`${name} ${version} has no venv module`);
    else return { path, version };
  }
  throw new LocalError(
    `Python ${oldest.major}.${oldest.minor} or newer with the module venv was not found on PATH${seen.length > 0 ? `: ${seen.join('; ')}` : ''}.`,
    'Install it: `sudo apt-get install python3 python3-venv` (Debian, Ubuntu), `sudo dnf install python3.12` (Fedora, Amazon Linux).',
  );
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}
