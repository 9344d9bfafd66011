import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type Metafile, type Plugin } from 'esbuild';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** The CommonJS parts of the SDK and of Powertools ask for require, which an ES module does not have. */
const REQUIRE_BANNER = "import{createRequire as __cr}from'node:module';const require=__cr(import.meta.url);";

/** Names of the handlers: lambdas/ has one file for each. */
export function lambdaNames(): string[] {
  const files = readdirSync(join(ROOT, 'lambdas'), { withFileTypes: true });
  return files
    .filter((file) => file.isFile() && file.name.endsWith('.ts'))
    .map((file) => file.name.slice(0, -'.ts'.length));
}

/**
 * Bundles every handler into `<folder>/<name>/index.mjs`: minified ESM with the SDK in it, so that the tested code is the deployed code.
 * One esbuild call bundles all of them in 1 s; NodejsFunction starts npx for each and takes 25 s.
 */
export async function bundleLambdas(folder: string): Promise<Metafile> {
  const { metafile } = await build({
    absWorkingDir: ROOT,
    entryPoints: lambdaNames().map((name) => ({ in: `lambdas/${name}.ts`, out: `${name}/index` })),
    outdir: folder,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    minify: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    mainFields: ['module', 'main'],
    banner: { js: REQUIRE_BANNER },
    legalComments: 'none',
    logLevel: 'warning',
    plugins: [constantKeys],
    metafile: true,
  });
  return metafile;
}

/**
 * The SDK's schemas are arrays with computed keys, `{ [_xN]: … }` for a constant `_xN`. esbuild keeps those, since computing a key might do
 * something: 550 KB of EC2 for one call. With the constants written out, it drops what is not used.
 */
export const constantKeys: Plugin = {
  name: 'constant-keys',
  setup({ onLoad }) {
    onLoad({ filter: /@aws-sdk[\\/]client-\w+[\\/]dist-es[\\/]schemas[\\/]schemas_0\.js$/ }, ({ path }) => {
      const text = readFileSync(path, 'utf8');
      const constants = new Map(
        [...text.matchAll(/^const (_\w+) = ("[^"]*");$/gm)].map(([, name, value]) => [name, value]),
      );
      return {
        contents: text.replace(/\[(_\w+)\]:/g, (key, name: string) =>
          constants.has(name) ? `${constants.get(name)}:` : key,
        ),
      };
    });
  },
};
