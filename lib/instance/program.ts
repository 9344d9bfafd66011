import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { strToU8, type Zippable, zipSync } from 'fflate';
import { stripPython } from './strip-python.ts';

const RUNNER_FOLDER = fileURLToPath(new URL('../../instance/runner/', import.meta.url));

/** A zip's time stamps start in 1980; a fixed one keeps the bytes, and so the SHA-256, the same on every machine. */
const STORED = { level: 0, mtime: '1980-01-01T00:00:00', os: 3 } as const;

/** What of the runner the installer needs too: it is a program of its own, since one document could not carry both. */
const SHARED = ['accounts.py', 'dispatch.py', 'interpreter.py', 'protocol.py', 'subp.py'];
const INSTALLER_MAIN = 'install_main.py';
const SHARED_WITH_FINISHER = [
  'accounts.py',
  'interpreter.py',
  'marker.py',
  'places.py',
  'procs.py',
  'protocol.py',
  'surroundings.py',
];
const FINISHER_MAIN = 'finish_main.py';

export interface RunnerBundle {
  /** A zip of Python files, entries stored: the document that carries it compresses it as a whole, which is a third smaller. */
  readonly bytes: Uint8Array;
  /** Hex SHA-256 of `bytes`; also the program's file name on the instance. */
  readonly sha256: string;
}

const isInstaller = (name: string) => name.startsWith('install');

const isFinisher = (name: string) => name.startsWith('finish');

/** The runner, as `python3 <file>` runs it: all verbs, and the job `sync`. The same sources give the same bytes. */
export function buildRunner(folder: string = RUNNER_FOLDER): RunnerBundle {
  return bundle(folder, (name) => (isInstaller(name) || isFinisher(name) ? null : name));
}

/** The job `install`, started by the runner; asked by itself it answers the verb `probe`. */
export function buildInstaller(folder: string = RUNNER_FOLDER): RunnerBundle {
  return bundle(folder, (name) => {
    if (name === INSTALLER_MAIN) return '__main__.py';
    return isInstaller(name) || SHARED.includes(name) ? name : null;
  });
}

/** Packs and sends what outlives the instance, started by the runner. */
export function buildFinisher(folder: string = RUNNER_FOLDER): RunnerBundle {
  return bundle(folder, (name) => {
    if (name === FINISHER_MAIN) return '__main__.py';
    return isFinisher(name) || SHARED_WITH_FINISHER.includes(name) ? name : null;
  });
}

/** @param place the name in the zip of a file of instance/runner/, or null to leave it out */
function bundle(folder: string, place: (name: string) => string | null): RunnerBundle {
  const files: Zippable = {};
  for (const name of readdirSync(folder).sort()) {
    const placed = name.endsWith('.py') ? place(name) : null;
    if (placed !== null) files[placed] = [strToU8(stripPython(readFileSync(join(folder, name), 'utf8'))), STORED];
  }
  const bytes = zipSync(files);
  return { bytes, sha256: createHash('sha256').update(bytes).digest('hex') };
}
