import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { start } from './start.js';

// The command of a package. Its folder is only read: what is compiled is kept where the caches of a person are.
const { XDG_CACHE_HOME: caches = '' } = process.env;
const folder = join(isAbsolute(caches) ? caches : join(homedir(), '.cache'), 'runctl', 'compiled');
await start(fileURLToPath(new URL('../dist/runctl.cjs', import.meta.url)), folder);
