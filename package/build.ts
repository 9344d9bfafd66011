import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundleLambdas } from '../lib/functions/bundle.ts';
import { bundleApp, bundleCommand } from './bundle.ts';
import { writeLicenses } from './licenses.ts';

// `npm pack` runs this: dist/ has all that the package runs, with its dependencies in it but for the CDK CLI.
const dist = fileURLToPath(new URL('../dist', import.meta.url));
await rm(dist, { recursive: true, force: true });
const bundles = await Promise.all([bundleLambdas(join(dist, 'lambdas')), bundleCommand(dist), bundleApp(dist)]);
await writeLicenses(join(dist, 'THIRD-PARTY-LICENSES'), bundles.flat());
