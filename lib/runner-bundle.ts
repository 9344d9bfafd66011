import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type Zippable, zipSync } from 'fflate';

const RUNNER_FOLDER = fileURLToPath(new URL('../instance/runner/', import.meta.url));

/** A zip's time stamps start in 1980; a fixed one keeps the bytes, and so the SHA-256, the same on every machine. */
const STORED = { level: 0, mtime: '1980-01-01T00:00:00', os: 3 } as const;

export interface RunnerBundle {
  /** A zip of `instance/runner/*.py`, entries stored: document `prepare` compresses it as a whole, which is a third smaller. */
  readonly bytes: Uint8Array;
  /** Hex SHA-256 of `bytes`; also the runner's file name on the instance. */
  readonly sha256: string;
}

/** Builds the runner as `python3 <file>` runs it. The same sources give the same bytes. */
export function buildRunner(folder: string = RUNNER_FOLDER): RunnerBundle {
  const files: Zippable = {};
  for (const name of readdirSync(folder).sort()) {
    if (name.endsWith('.py')) files[name] = [new Uint8Array(readFileSync(`${folder}/${name}`)), STORED];
  }
  const bytes = zipSync(files);
  return { bytes, sha256: createHash('sha256').update(bytes).digest('hex') };
}
