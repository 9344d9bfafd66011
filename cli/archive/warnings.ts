import { DEFAULT_CAPS } from '../../core/archive/caps.ts';
import { formatSize } from '../../core/units.ts';
import type { ProjectFile } from './walk.ts';

/** From this total on, the size gets a warning: everything is uploaded again when any file changes. */
const TOTAL_BYTES = 100 * 1024 * 1024;
/** A folder is named for its only large folder when that has this share of its bytes. */
const SHARE = 0.9;
const SHOWN = 3;
const NAMES_SHOWN = 5;
/** Where experiment trackers keep their runs. */
const TRACKER_FOLDERS = new Set(['wandb', 'mlruns', 'mlartifacts', 'lightning_logs', 'tb_logs', '.neptune', '.aim']);

interface Part {
  readonly path: string;
  readonly bytes: number;
  readonly files: number;
}

/** What to know about the sizes of the files before they are uploaded. */
export function sizeWarnings(files: readonly ProjectFile[]): string[] {
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  const isOverCaps = bytes > DEFAULT_CAPS.expandedBytes || files.length > DEFAULT_CAPS.entries;
  if (!isOverCaps && bytes < TOTAL_BYTES) return [];
  const by = bytes < TOTAL_BYTES ? 'files' : 'bytes';
  const largest = largestParts(files, by).map(
    (part) => `${part.path} (${part.files === 1 ? '' : `${part.files} files, `}${formatSize(part.bytes)})`,
  );
  const total = `${files.length} files with ${formatSize(bytes)}`;
  const cap = `${DEFAULT_CAPS.entries} files, ${formatSize(DEFAULT_CAPS.expandedBytes)}`;
  return [
    `${total} ${isOverCaps ? `exceed what a run accepts by default (${cap})` : 'are uploaded whenever one of them changes'}. Largest: ${largest.join(', ')}. Keep data in S3 or on the instance, and list it in .runctlignore.`,
  ];
}

/** The largest files and folders at the top; a folder is followed down to the one that its bytes are in. */
export function largestParts(files: readonly ProjectFile[], by: 'bytes' | 'files' = 'bytes'): Part[] {
  return partsOf(files, '')
    .sort((a, b) => b[by] - a[by])
    .slice(0, SHOWN)
    .map((part) => follow(files, part, by));
}

function follow(files: readonly ProjectFile[], part: Part, by: 'bytes' | 'files'): Part {
  if (!part.path.endsWith('/')) return part;
  const below = files.filter(({ name }) => name.startsWith(part.path));
  const main = partsOf(below, part.path).find((inner) => inner[by] >= SHARE * part[by]);
  return main === undefined ? part : follow(below, main, by);
}

function partsOf(files: readonly ProjectFile[], folder: string): Part[] {
  const parts = new Map<string, Part>();
  for (const { name, bytes } of files) {
    const slash = name.indexOf('/', folder.length);
    const path = slash < 0 ? name : name.slice(0, slash + 1);
    const part = parts.get(path);
    parts.set(path, { path, bytes: (part?.bytes ?? 0) + bytes, files: (part?.files ?? 0) + 1 });
  }
  return [...parts.values()];
}

/** Folders of experiment trackers, unless git tracks what is in them. */
export function trackerWarnings(files: readonly ProjectFile[]): string[] {
  const found = new Map<string, Part>();
  for (const { name, bytes, tracked } of files) {
    const parts = name.split('/').slice(0, -1);
    const at = parts.findIndex((part) => TRACKER_FOLDERS.has(part));
    if (tracked || at < 0) continue;
    const path = `${parts.slice(0, at + 1).join('/')}/`;
    const part = found.get(path);
    found.set(path, { path, bytes: (part?.bytes ?? 0) + bytes, files: (part?.files ?? 0) + 1 });
  }
  return [...found.values()].map(
    ({ path, files: count, bytes }) =>
      `${path} (${count} ${count === 1 ? 'file' : 'files'}, ${formatSize(bytes)}) is packed, and looks like the records of an experiment tracker. To leave it out, add ${path} to .runctlignore.`,
  );
}

/** What was left out because it is the result of a run. @param names sorted */
export function leftOutNote(names: readonly string[], why: string): string[] {
  const [first] = names;
  if (first === undefined) return [];
  const count = names.length === 1 ? first : `${names.length} files (${commonFolder(names)})`;
  return [`Not packed, ${why}: ${count}.`];
}

/** The folder that all names are in, else the first few folders or names. */
function commonFolder(names: readonly string[]): string {
  const tops = [...new Set(names.map((name) => (name.includes('/') ? `${name.split('/')[0]}/` : name)))];
  return tops.slice(0, SHOWN).join(', ') + (tops.length > SHOWN ? ', …' : '');
}

export function shorten(names: readonly string[]): string {
  const more = names.length - NAMES_SHOWN;
  return names.slice(0, NAMES_SHOWN).join(', ') + (more > 0 ? ` and ${more} more` : '');
}
