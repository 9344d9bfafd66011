import { cutsBefore, LARGE_FILE_BYTES } from '../../core/archive/members.ts';
import type { ProjectFile } from './walk.ts';

/** Of a file; a long name takes more, which does not matter here. */
const HEADER_BYTES = 512;

/** What makes one member, and the members of a large file that follow. */
export interface PackUnit {
  /** Files that are in one member, one after the other. */
  readonly small: readonly ProjectFile[];
  /** A file whose header ends that member, and whose content has members of its own. */
  readonly large: ProjectFile | null;
}

/** Divides the files of an archive, by their names and sizes alone: nothing has to be read for it. */
export function planPacking(files: readonly ProjectFile[]): PackUnit[] {
  const units: PackUnit[] = [];
  let small: ProjectFile[] = [];
  let bytes = 0;
  const close = (large: ProjectFile | null) => {
    if (small.length > 0 || large !== null) units.push({ small, large });
    small = [];
    bytes = 0;
  };
  for (const file of files) {
    if (cutsBefore(file.name, bytes)) close(null);
    if (file.bytes > LARGE_FILE_BYTES) {
      close(file);
      continue;
    }
    small.push(file);
    bytes += HEADER_BYTES + file.bytes;
  }
  close(null);
  return units;
}
