import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { LocalError, messageOf } from '../cloud/errors.ts';

const run = promisify(execFile);

// The oldest version that MiniStack and cfn-lint support.
const oldest = { major: 3, minor: 10 };
const candidates = ['python3', 'python3.14', 'python3.13', 'python3.12', 'python3.11', 'python3.10'];
const probeScript = `
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

/** The first Python on PATH that is new enough and has venv. @throws LocalError if there is none */
export function findPython(): Promise<Python> {
  found ??= search(candidates);
  return found;
}

/** Like {@link findPython}, but with the given program names. */
export async function search(names: readonly string[]): Promise<Python> {
  const rejected: string[] = [];
  for (const name of names) {
    let answer: string;
    try {
      answer = (await run(name, ['-I', '-c', probeScript])).stdout;
    } catch (error) {
      if (!isMissing(error)) rejected.push(`${name} does not start (${messageOf(error).split('\n')[0]})`);
      continue;
    }
    const [major, minor, path, venv] = JSON.parse(answer) as [number, number, string, boolean];
    const version = `${major}.${minor}`;
    if (major < oldest.major || (major === oldest.major && minor < oldest.minor))
      rejected.push(`${name} is ${version}`);
    else if (!venv) rejected.push(`${name} ${version} has no venv module`);
    else return { path, version };
  }
  throw new LocalError(
    `Python ${oldest.major}.${oldest.minor} or newer with the module venv was not found on PATH${rejected.length > 0 ? `: ${rejected.join('; ')}` : ''}.`,
    'Install it: `sudo apt-get install python3 python3-venv` (Debian, Ubuntu), `sudo dnf install python3.12` (Fedora, Amazon Linux).',
  );
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}
