import { shorten } from './warnings.ts';

/** What a file has in the work tree whose content Git LFS has not fetched (git-lfs, docs/spec.md). */
const LFS_POINTER = 'version https://git-lfs.github.com/spec/';
const LFS_POINTER_BYTES = 1024;

export function isLfsPointer(content: Buffer): boolean {
  const head = content.subarray(0, LFS_POINTER.length);
  return content.length <= LFS_POINTER_BYTES && head.toString('latin1') === LFS_POINTER;
}

export function pointerWarnings(pointers: readonly string[]): string[] {
  if (pointers.length === 0) return [];
  const what = pointers.length === 1 ? 'is a pointer' : 'are pointers';
  return [
    `${shorten(pointers)} ${what} of Git LFS: the content was not fetched, and is not packed. To fetch it: git lfs pull`,
  ];
}
