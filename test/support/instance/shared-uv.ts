import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Wheel } from './wheels.ts';

/** The one that the runner pins: instance/runner/install/uv_release.py. */
const VERSION = '0.13.9';
const FOLDER = fileURLToPath(new URL(`../../../.runctl/test-uv/${VERSION}-wheel`, import.meta.url));

/** The path of a real uv from PyPI, downloaded once for all tests. */
export function sharedUv(): string {
  const program = join(FOLDER, 'bin', 'uv');
  if (existsSync(program)) return program;
  mkdirSync(dirname(FOLDER), { recursive: true });
  const half = mkdtempSync(`${FOLDER}.`);
  pip('download', '--no-deps', '--only-binary=:all:', '--dest', join(half, 'wheel'), `uv==${VERSION}`);
  const [file = ''] = readdirSync(join(half, 'wheel'));
  pip('install', '--no-deps', '--target', half, join(half, 'wheel', file));
  try {
    renameSync(half, FOLDER);
  } catch (error) {
    // Another test file has installed it already. After any other error the program is missing.
    rmSync(half, { recursive: true, force: true });
    if (!existsSync(program)) throw error;
  }
  return program;
}

/** The wheel of that uv, as an index has it. */
export function sharedUvWheel(): Wheel {
  sharedUv();
  const folder = join(FOLDER, 'wheel');
  const [file = ''] = readdirSync(folder);
  return { file, bytes: readFileSync(join(folder, file)) };
}

function pip(...words: string[]): void {
  const done = spawnSync('python3', ['-m', 'pip', '--quiet', ...words], { encoding: 'utf8' });
  if (done.status !== 0) throw new Error(`the tests need uv ${VERSION} from PyPI: ${done.stderr}`);
}
