import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Metafile } from 'esbuild';

const LICENSE = /^(licen[cs]e|copying|notice)/i;

/** Writes the licenses of all packages that are in the bundles: each asks that its text goes with copies. */
export async function writeLicenses(file: string, bundles: readonly Metafile[]): Promise<void> {
  const inputs = bundles.flatMap((bundle) => Object.keys(bundle.inputs));
  const folders = new Set(
    inputs.flatMap((input) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(input)?.[0] ?? []),
  );
  const texts = await Promise.all([...folders].sort().map(licenseOf));
  await writeFile(file, texts.join(`\n${'-'.repeat(80)}\n\n`));
}

async function licenseOf(folder: string): Promise<string> {
  const { name, version, license } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'));
  const files = (await readdir(folder)).filter((entry) => LICENSE.test(entry)).sort();
  const texts = await Promise.all(files.map((entry) => readFile(join(folder, entry), 'utf8')));
  return [`${name} ${version} (${license})`, ...texts.map((text) => text.trim())].join('\n\n').concat('\n');
}
