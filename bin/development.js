import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { start } from './start.js';

// The command of a checkout: bundled from the sources as they are now. TypeScript that is translated at each start takes
// half a second; a comparison of the sources' times takes some milliseconds.
const root = fileURLToPath(new URL('..', import.meta.url));
const { folder } = readCurrent() ?? (await bundleAnew());
await start(join(folder, 'runctl.cjs'), folder);

/** The latest bundle, when none of its sources has changed since. */
function readCurrent() {
  try {
    const current = JSON.parse(readFileSync(join(root, '.runctl/cache/command/current.json'), 'utf8'));
    const isFresh = ([source, time]) => statSync(join(root, source)).mtimeMs === time;
    return Object.entries(current.sources).every(isFresh) ? current : null;
  } catch {
    return null; // never bundled, or a source is gone
  }
}

async function bundleAnew() {
  const { register } = await import('tsx/esm/api');
  // Not the tsconfig.json of the folder that the person stands in.
  const unregister = register({ tsconfig: join(root, 'tsconfig.json') });
  const { bundleCheckout } = await import('../package/checkout.ts');
  const current = await bundleCheckout();
  await unregister();
  return current;
}
