import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const VERSION = '0.13.9';
const FOLDER = fileURLToPath(new URL(`../../../.runctl/test-uv/${VERSION}`, import.meta.url));

/** The path of a real uv from PyPI, downloaded once for all tests. */
export function sharedUv(): string {
  const program = join(FOLDER, 'bin', 'uv');
  if (existsSync(program)) return program;
  mkdirSync(dirname(FOLDER), { recursive: true });
  const half = mkdtempSync(`${FOLDER}.`);
  const done = spawnSync('python3', ['-m', 'pip', 'install', '--quiet', '--target', half, `uv==${VERSION}`], {
    encoding: 'utf8',
  });
  if (done.status !== 0) throw new Error(`the tests need uv ${VERSION} from PyPI: ${done.stderr}`);
  try {
    renameSync(half, FOLDER);
  } catch (error) {
    // Another test file has installed it already. After any other error the program is missing.
    rmSync(half, { recursive: true, force: true });
    if (!existsSync(program)) throw error;
  }
  return program;
}
