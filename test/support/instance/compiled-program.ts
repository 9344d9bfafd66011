import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { unzipSync, zipSync } from 'fflate';
import { buildProgram, type Program } from '../../../lib/instance/program.ts';

const COMPILE = fileURLToPath(new URL('./compile-program.py', import.meta.url));
const CACHE = fileURLToPath(new URL('../../../.runctl/cache/compiled-programs', import.meta.url));
/** Another interpreter for the runner, which must work with Python 3.8 and later. */
export const PYTHON = process.env.RUNCTL_TEST_PYTHON ?? 'python3';

let whole: { readonly sources: Record<string, Uint8Array>; readonly compiled: Record<string, Uint8Array> } | null =
  null;
let unchanged: Program | null = null;

/**
 * The runner's program, with the compiled code of its modules beside them: compiling them takes most of the time of a
 * start, and tests start the runner thousands of times. Modules that are not those of the runner have no compiled code.
 */
export function compiledProgram(folder?: string): Program {
  if (folder === undefined && unchanged !== null) return unchanged;
  const { sources, compiled } = readCompiled();
  const files = folder === undefined ? sources : unzipSync(buildProgram(folder).bytes);
  const isOwn = (name: string) =>
    files[name] !== undefined && Buffer.compare(files[name], sources[name] ?? Buffer.alloc(0)) === 0;
  const code = Object.entries(compiled).filter(([name]) => isOwn(name.slice(0, -1)));
  const bytes = zipSync({ ...files, ...Object.fromEntries(code) }, { level: 0, mtime: '1980-01-01T00:00:00', os: 3 });
  const program = { bytes, sha256: createHash('sha256').update(bytes).digest('hex') };
  if (folder === undefined) unchanged = program;
  return program;
}

function readCompiled() {
  if (whole !== null) return whole;
  const { bytes, sha256 } = buildProgram();
  mkdirSync(CACHE, { recursive: true });
  const work = mkdtempSync(join(tmpdir(), 'runctl-compile-'));
  try {
    const file = join(work, 'program.zip');
    writeFileSync(file, bytes);
    const made = execFileSync(PYTHON, ['-I', '-B', COMPILE, file, CACHE, sha256], { encoding: 'utf8' }).trim();
    whole = { sources: unzipSync(bytes), compiled: unzipSync(readFileSync(made)) };
  } finally {
    rmSync(work, { recursive: true });
  }
  return whole;
}
