import { open } from 'node:fs/promises';
import { shorten } from '../archive/warnings.ts';

/** How much of a shell script is read, and of how many. */
const HEAD_BYTES = 64 * 1024;
const SCRIPTS_READ = 100;

interface CodeFile {
  readonly name: string;
  /** The path that is read. */
  readonly path: string;
}

/**
 * A shell reads the CR of a Windows line end as part of the line: options are not set, and the last argument of each
 * line has another value, often without any error.
 */
export async function lineEndWarnings(files: readonly CodeFile[]): Promise<string[]> {
  const found: string[] = [];
  for (const { name, path } of files.filter((file) => file.name.endsWith('.sh')).slice(0, SCRIPTS_READ)) {
    if (await hasWindowsLineEnds(path)) found.push(name);
  }
  if (found.length === 0) return [];
  return [
    `${shorten(found)} ${found.length === 1 ? 'has' : 'have'} Windows line ends (CRLF), which a shell reads as part of the commands. To convert: sed -i 's/\\r$//' <file>`,
  ];
}

/** A file that cannot be read is reported where it is packed. */
async function hasWindowsLineEnds(path: string): Promise<boolean> {
  const file = await open(path).catch(() => null);
  if (file === null) return false;
  try {
    const head = Buffer.alloc(HEAD_BYTES);
    const { bytesRead } = await file.read(head, 0, HEAD_BYTES, 0);
    return head.subarray(0, bytesRead).includes('\r\n');
  } catch {
    return false;
  } finally {
    await file.close();
  }
}

/** What the plan says of files that are not packed: folders first, then names at the top, hidden ones last; null: nothing. */
export function leftOutText(leftOut: readonly string[]): string | null {
  // A link is listed as a file and as a folder.
  const names = leftOut.filter((name) => !(name.endsWith('/') && leftOut.includes(name.slice(0, -1))));
  const rank = (name: string) =>
    (name.startsWith('.') ? 4 : 0) + (name.endsWith('/') ? 0 : 2) + (/\/./.test(name) ? 1 : 0);
  const sorted = [...names].sort((a, b) => rank(a) - rank(b));
  return sorted.length === 0 ? null : shorten(sorted);
}
