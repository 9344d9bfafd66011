import type { Manifest } from '../../core/outcome/manifest-schema.ts';
import { formatCount, formatSize } from '../../core/units.ts';

/** Folders that a message names. */
const SHOWN = 3;

/** Which files a run created or changed beside its outputs, and how to get them; null: none. */
export function notCollected({ run, outputs }: Pick<Manifest, 'run' | 'outputs'>): string | null {
  const { others } = outputs;
  const [largest] = others;
  if (largest === undefined) return null;
  const files = others.reduce((sum, folder) => sum + folder.files, 0);
  const bytes = others.reduce((sum, folder) => sum + folder.bytes, 0);
  const places = others.slice(0, SHOWN).map(({ folder }) => (folder === '' ? 'the project folder' : `${folder}/`));
  const more = others.length > SHOWN ? ` and ${others.length - SHOWN} more` : '';
  const pattern = largest.folder === '' ? '*' : `${largest.folder}/**`;
  const what = `${formatCount(files)} ${files === 1 ? 'file' : 'files'}, ${formatSize(bytes)}`;
  return `${what} in ${places.join(', ')}${more} ${files === 1 ? 'was' : 'were'} not collected. To fetch them while the instance has them: runctl pull ${run.id} --also '${pattern}'`;
}
