import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

/** The folder of package.json: an installed package, or a checkout. Data files have the same path in both. */
export const packageRoot = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');

/** A checkout runs its TypeScript sources; a package has them bundled in `dist`. */
export const isCheckout = existsSync(join(packageRoot, 'tsconfig.json'));

/**
 * Arguments of `node` that run one of the product's programs.
 * @param source of a checkout, relative to the package
 * @param bundle of a package, in `dist`
 */
export function programArguments(source: string, bundle: string): string[] {
  if (!isCheckout) return [join(packageRoot, 'dist', bundle)];
  const tsx = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;
  return ['--import', tsx, join(packageRoot, source)];
}

/** The CDK CLI, which `node` runs. */
export function cdkProgram(): string {
  return createRequire(import.meta.url).resolve('aws-cdk/bin/cdk');
}

/** For the CDK and its CLI: they report nothing to anybody, and do not print what helps nobody here. */
export const QUIET_CDK = {
  CDK_DISABLE_CLI_TELEMETRY: 'true',
  CDK_DISABLE_VERSION_CHECK: 'true',
  JSII_SILENCE_WARNING_DEPRECATED_NODE_VERSION: 'true',
  JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION: 'true',
};
