import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { strToU8, type Zippable, zipSync } from 'fflate';

const RUNNER_FOLDER = fileURLToPath(new URL('../../instance/runner/', import.meta.url));

/**
 * Stored, since unpacking costs a poll 10% of its CPU time. A zip's time stamps start in 1980; a fixed one keeps the bytes, and so
 * the SHA-256, the same on every machine.
 */
const SAME_EVERYWHERE = { level: 0, mtime: '1980-01-01T00:00:00', os: 3 } as const;

export interface Program {
  readonly bytes: Uint8Array;
  /** Hex SHA-256 of `bytes`; also the program's file name on the instance. */
  readonly sha256: string;
}

/** The runner as one file that `python3 <file>` runs: a zip of instance/runner/ as it is. The same sources give the same bytes. */
export function buildProgram(folder: string = RUNNER_FOLDER): Program {
  const files: Zippable = {};
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort()) {
    if (name.endsWith('.py')) files[name] = [strToU8(readFileSync(join(folder, name), 'utf8')), SAME_EVERYWHERE];
  }
  const bytes = zipSync(files);
  return { bytes, sha256: createHash('sha256').update(bytes).digest('hex') };
}
