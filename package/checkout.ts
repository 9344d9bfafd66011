import { mkdir, mkdtemp, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundleCommand } from './bundle.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const FOLDER = join(ROOT, '.runctl', 'cache', 'command');
/** Another process may be running a bundle that is no longer the latest. */
const KEEP_MS = 24 * 3_600_000;

/** A bundle of the command, and the times of the sources that it was made from. */
export interface Current {
  readonly folder: string;
  readonly sources: Readonly<Record<string, number>>;
}

/** Bundles the command of a checkout for bin/development.js. Two processes that do so at once both get a whole one. */
export async function bundleCheckout(): Promise<Current> {
  await mkdir(FOLDER, { recursive: true });
  await removeOld();
  const beganAt = Date.now();
  const folder = await mkdtemp(join(FOLDER, 'bundle-'));
  const inputs = (await bundleCommand(folder)).flatMap((bundle) => Object.keys(bundle.inputs));
  const own = [...new Set(inputs)].filter((name) => !name.startsWith('node_modules/'));
  // Dependencies change by `npm ci`, which reads these.
  const names = [...own, 'package-lock.json', 'package/bundle.ts'];
  const times = names.map(async (name) => {
    const { mtimeMs } = await stat(join(ROOT, name));
    return [name, mtimeMs < beganAt ? mtimeMs : 0] as const; // what changed meanwhile may not be in the bundle
  });
  const current = { folder, sources: Object.fromEntries(await Promise.all(times)) };
  const file = join(folder, 'current.json');
  await writeFile(file, JSON.stringify(current));
  await rename(file, join(FOLDER, 'current.json'));
  return current;
}

async function removeOld(): Promise<void> {
  for (const name of await readdir(FOLDER)) {
    const path = join(FOLDER, name);
    const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: Date.now() }));
    if (Date.now() - mtimeMs > KEEP_MS) await rm(path, { recursive: true, force: true });
  }
}
