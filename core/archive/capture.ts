import { formatSize } from '../units.ts';
import { ArchiveError } from './errors.ts';
import { printable } from './printable.ts';

export interface CaptureOptions {
  /** Names of files wanted whole, as `runctl.yaml`: at the top, or in the single top folder. */
  readonly names: readonly string[];
  /** Bytes that each may have at most. */
  readonly maxBytes: number;
}

/**
 * Keeps the few files whose content is wanted. Whether there is a single top folder shows only at the end, so a file is
 * kept in both places where it may count; memory is bounded by twice the names, times `maxBytes`.
 */
export class Capture {
  readonly #options: CaptureOptions;
  /** By folder (empty: the top), then by name; a number is the size of a file that is too large. */
  readonly #found = new Map<string, Map<string, Uint8Array | number>>();

  constructor(options: CaptureOptions) {
    this.#options = options;
  }

  /** @returns whether the content of the file is to be handed to `add`. */
  wants(parts: readonly string[], size: number): boolean {
    const [folder, name] = place(parts);
    if (name === null || !this.#options.names.includes(name)) return false;
    // Two folders at the top: neither is a single one, and what was kept from the first is of no use.
    if (folder !== '' && !this.#found.has(folder) && this.#found.size > (this.#found.has('') ? 1 : 0)) return false;
    if (size <= this.#options.maxBytes) return true;
    this.#put(folder, name, size);
    return false;
  }

  add(parts: readonly string[], content: Uint8Array): void {
    const [folder, name] = place(parts);
    if (name !== null) this.#put(folder, name, content);
  }

  /** @throws ArchiveError ArchiveTooLarge for a wanted file over its cap: ignoring it would drop settings silently. */
  result(topFolder: string | null): Map<string, Uint8Array> {
    const files = new Map<string, Uint8Array>();
    for (const [name, content] of this.#found.get(topFolder ?? '') ?? []) {
      if (typeof content === 'number') {
        throw new ArchiveError('ArchiveTooLarge', {
          what: `${printable(name)} has ${formatSize(content)}; at most ${formatSize(this.#options.maxBytes)} are read`,
          next: 'Is that the right file? Shorten it.',
        });
      }
      files.set(name, content);
    }
    return files;
  }

  #put(folder: string, name: string, content: Uint8Array | number): void {
    const files = this.#found.get(folder) ?? new Map<string, Uint8Array | number>();
    this.#found.set(folder, files.set(name, content));
  }
}

function place(parts: readonly string[]): [folder: string, name: string | null] {
  if (parts.length > 2) return ['', null];
  return parts.length === 2 ? [parts[0] ?? '', parts[1] ?? null] : ['', parts[0] ?? null];
}
