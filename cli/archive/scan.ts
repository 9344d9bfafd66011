import { DEFAULT_CAPS } from '../../core/archive/caps.ts';
import { formatCount, formatSize } from '../../core/units.ts';
import { PackError } from './pack-error.ts';

/** A deployed stack may accept more than the default caps; a folder this far over them is not a folder of code. */
const MARGIN = 10;
/** Progress is shown after so many further names. */
const SHOW_EACH = 500;
export const SCAN_MAX_NAMES = MARGIN * DEFAULT_CAPS.entries;
export const SCAN_MAX_BYTES = MARGIN * DEFAULT_CAPS.expandedBytes;

export interface ScanCaps {
  readonly names: number;
  readonly bytes: number;
}

/** Counts what a scan of a folder has found, and ends it at the caps. */
export class ScanCounter {
  #names = 0;
  #bytes = 0;
  /** Number of names from which on progress is shown again. */
  #shown = 0;
  readonly #folder: string;
  readonly #caps: ScanCaps;
  readonly #onProgress: (text: string) => void;

  constructor(
    folder: string,
    {
      caps = { names: SCAN_MAX_NAMES, bytes: SCAN_MAX_BYTES },
      onProgress = () => undefined,
    }: { readonly caps?: ScanCaps; readonly onProgress?: (text: string) => void } = {},
  ) {
    this.#folder = folder;
    this.#caps = caps;
    this.#onProgress = onProgress;
  }

  /** Begins to count again, for a second scan. */
  restart(): void {
    this.#names = 0;
    this.#bytes = 0;
    this.#shown = 0;
  }

  /** Names that were found. @param where path of their folder, as far as it is known */
  addNames(count: number, where?: string): void {
    if (count === 0) return;
    this.#names += count;
    this.#check(where);
  }

  addBytes(name: string, bytes: number): void {
    this.#bytes += bytes;
    this.#check(name);
  }

  #check(where?: string): void {
    if (this.#names > this.#caps.names || this.#bytes > this.#caps.bytes)
      throw new PackError(
        `The scan of ${this.#folder} stopped after ${this.#found()}${where ? `, at ${where}` : ''}: a run accepts ${formatCount(DEFAULT_CAPS.entries)} files and ${formatSize(DEFAULT_CAPS.expandedBytes)} by default.`,
        'Run the command in the folder that holds the code, or exclude data and environments with .runctlignore.',
      );
    if (this.#names < this.#shown) return;
    this.#shown = this.#names + SHOW_EACH;
    this.#onProgress(this.#found());
  }

  #found(): string {
    return `${formatCount(this.#names)} files and folders, ${formatSize(this.#bytes)}`;
  }
}
