import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { strToU8, type Zippable, zipSync } from 'fflate';
import { stripPython } from './strip-python.ts';

const RUNNER_FOLDER = fileURLToPath(new URL('../../instance/runner/', import.meta.url));

/** A zip's time stamps start in 1980; a fixed one keeps the bytes, and so the SHA-256, the same on every machine. */
const STORED = { level: 0, mtime: '1980-01-01T00:00:00', os: 3 } as const;

export interface RunnerBundle {
  /** A zip of Python files, entries stored: the document that carries it compresses it as a whole, which is a third smaller. */
  readonly bytes: Uint8Array;
  /** Hex SHA-256 of `bytes`; also the program's file name on the instance. */
  readonly sha256: string;
}

/** The runner, as `python3 <file>` runs it: all verbs, and the job `sync`. The same sources give the same bytes. */
export function buildRunner(folder: string = RUNNER_FOLDER): RunnerBundle {
  return bundle(folder, ['common', 'jobs', 'sync']);
}

/** The job `install`, started by the runner; asked by itself it answers the verb `probe`. */
export function buildInstaller(folder: string = RUNNER_FOLDER): RunnerBundle {
  return bundle(folder, ['common', 'install']);
}

/** Packs and sends what outlives the instance, started by the runner. */
export function buildFinisher(folder: string = RUNNER_FOLDER): RunnerBundle {
  return bundle(folder, ['common', 'collect']);
}

/** The modules beside `__main__.py`, and these packages. */
function bundle(folder: string, packages: readonly string[]): RunnerBundle {
  const files: Zippable = {};
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort()) {
    const top = name.split('/')[0] ?? '';
    if (!name.endsWith('.py') || !(top === name || packages.includes(top))) continue;
    files[name] = [strToU8(stripPython(readFileSync(join(folder, name), 'utf8'))), STORED];
  }
  const bytes = zipSync(files);
  return { bytes, sha256: createHash('sha256').update(bytes).digest('hex') };
}
