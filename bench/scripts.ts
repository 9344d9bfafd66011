import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { packFolder } from '../cli/archive/pack.ts';

/** Creates an archive of one script and, if given, a requirements file. @returns its path */
export async function scriptArchive(
  work: string,
  name: string,
  script: string,
  requirements: string | null = null,
): Promise<string> {
  const folder = join(work, name);
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'train.py'), script);
  if (requirements !== null) await writeFile(join(folder, 'requirements.txt'), requirements);
  await packFolder(folder, `${folder}.tar.gz`);
  return `${folder}.tar.gz`;
}
