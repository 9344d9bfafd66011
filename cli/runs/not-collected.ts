import type { Manifest } from '../../core/outcome/manifest-schema.ts';
import { formatNumberOf, formatSize } from '../../core/units.ts';

/** Folders that a message names. */
const SHOWN = 3;

/** Which files a run created or changed beside its outputs, and how to get them; null: none. */
export function notCollected({ run, outputs }: Pick<Manifest, 'run' | 'outputs'>): string | null {
  const { others } = outputs;
  if (others.length === 0) return null;
  const files = others.reduce((sum, folder) => sum + folder.files, 0);
  const bytes = others.reduce((sum, folder) => sum + folder.bytes, 0);
  const places = others.slice(0, SHOWN).map(({ folder }) => (folder === '' ? 'the project folder' : `${folder}/`));
  const more = others.length > SHOWN ? ` and ${others.length - SHOWN} more` : '';
  const what = `${formatNumberOf(files, 'file')}, ${formatSize(bytes)}`;
  const options = patternsOf(others).map((pattern) => ` --also '${pattern.replaceAll("'", String.raw`'\''`)}'`);
  return `${what} in ${places.join(', ')}${more} ${files === 1 ? 'was' : 'were'} not collected. To fetch them while the instance has them: runctl pull ${run.id}${options.join('')}`;
}

/** Globs that match all of them. A star at the top also means what is in folders. */
function patternsOf(others: Manifest['outputs']['others']): string[] {
  if (others.length > SHOWN || others.some(({ folder }) => folder === '')) return ['*'];
  return others.map(({ folder }) => `${folder.replace(/[*?[]/g, '[$&]').replaceAll('{', '?')}/**`);
}
