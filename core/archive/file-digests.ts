import { createHash } from 'node:crypto';

/** A larger file is held in memory while it is read, and nothing that an install reads is. */
const MAX_BYTES = 1 << 20;

/** SHA-256 of some of the files, by their names in the archive. */
export class FileDigests {
  readonly #isWanted: (name: string) => boolean;
  readonly #found = new Map<string, string>();

  constructor(isWanted: (name: string) => boolean) {
    this.#isWanted = isWanted;
  }

  /** @returns whether the content of the file is to be handed to `add`; of a large file, its size counts alone. */
  wants(name: string, size: number): boolean {
    if (!this.#isWanted(name)) return false;
    if (size <= MAX_BYTES) return true;
    this.#found.set(name, `${size} bytes`);
    return false;
  }

  add(name: string, content: Uint8Array): void {
    this.#found.set(name, createHash('sha256').update(content).digest('hex'));
  }

  result(): ReadonlyMap<string, string> {
    return this.#found;
  }
}
