import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { strToU8, type Zippable, zipSync } from 'fflate';
import { stripPython } from './strip-python.ts';

const RUNNER_FOLDER = fileURLToPath(new URL('../../instance/runner/', import.meta.url));

/** A zip's time stamps start in 1980; a fixed one keeps the bytes, and so the SHA-256, the same on every machine. */
const STORED = { level: 0, mtime: '1980-01-01T00:00:00', os: 3 } as const;

/** Packages of the runner by the program that carries them: one document could not carry all of them. */
const PROGRAMS = {
  runner: ['common', 'common/secrets', 'jobs', 'sync'],
  installer: ['common', 'common/secrets', 'install'],
  finisher: ['common', 'common/secrets', 'collect'],
} as const;

export interface RunnerBundle {
  /** A zip of Python files, entries stored: the document that carries it compresses it as a whole, which is a third smaller. */
  readonly bytes: Uint8Array;
  /** Hex SHA-256 of `bytes`; also the program's file name on the instance. */
  readonly sha256: string;
}

/** The runner, as `python3 <file>` runs it: all verbs but `probe`, and the job `sync`. The same sources give the same bytes. */
export function buildRunner(folder: string = RUNNER_FOLDER): RunnerBundle {
  return bundle(folder, PROGRAMS.runner);
}

/** The job `install`, started by the runner; asked by itself it answers the verb `probe`. */
export function buildInstaller(folder: string = RUNNER_FOLDER): RunnerBundle {
  return bundle(folder, PROGRAMS.installer);
}

/** Packs and uploads outputs and logs, started by the runner. */
export function buildFinisher(folder: string = RUNNER_FOLDER): RunnerBundle {
  return bundle(folder, PROGRAMS.finisher);
}

/** @param packages folders of the runner that go in, beside the files at its top */
function bundle(folder: string, packages: readonly string[]): RunnerBundle {
  const files: Zippable = {};
  for (const name of ['', ...packages].flatMap((part) => pythonFiles(folder, part)).sort()) {
    files[name] = [strToU8(stripPython(readFileSync(join(folder, name), 'utf8'))), STORED];
  }
  const bytes = zipSync(files);
  return { bytes, sha256: createHash('sha256').update(bytes).digest('hex') };
}

/** Paths below `folder`, with slashes. */
function pythonFiles(folder: string, part: string): string[] {
  return readdirSync(join(folder, part))
    .filter((name) => name.endsWith('.py'))
    .map((name) => (part === '' ? name : `${part}/${name}`));
}
