import { readFileSync } from 'node:fs';
import { basename, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type BuildOptions, build, type Metafile, type Plugin } from 'esbuild';
import { constantKeys } from '../lib/functions/bundle.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** What CommonJS modules use, which an ES module does not have. */
const BANNER = [
  "import{createRequire as __createRequire}from'node:module';",
  "import{dirname as __dirnameOf}from'node:path';",
  "import{fileURLToPath as __pathOf}from'node:url';",
  'const require=__createRequire(import.meta.url),__filename=__pathOf(import.meta.url),__dirname=__dirnameOf(__filename);',
].join('');

/**
 * The `runctl` command (runctl.cjs), the local SSM agent (agent.js), whose commands load what they need when they run, and
 * the thread that compresses (deflate-worker.js).
 */
export async function bundleCommand(folder: string): Promise<readonly Metafile[]> {
  return await Promise.all([
    bundleStart(folder),
    bundle(folder, {
      entryPoints: { agent: 'local/agent/main.ts', 'deflate-worker': 'cli/archive/deflate-worker.js' },
      splitting: true,
      plugins: [constantKeys],
    }),
  ]);
}

/**
 * The command as one CommonJS script, of which bin/start.js keeps what V8 has compiled. Its parts still run when they are
 * first needed. In two steps: esbuild leaves nothing out of what is loaded later unless it makes ES modules.
 */
async function bundleStart(folder: string): Promise<Metafile> {
  const { metafile, outputFiles } = await build({
    ...settings(folder),
    entryPoints: { runctl: 'bin/runctl.ts' },
    splitting: true,
    banner: {},
    metafile: true,
    write: false,
    plugins: [constantKeys, placesOfSources],
  });
  const parts = new Map(outputFiles.map(({ path, text }) => [basename(path), text]));
  await build({
    ...settings(folder),
    entryPoints: ['runctl.js'],
    outExtension: { '.js': '.cjs' },
    format: 'cjs',
    // What is left are modules of Node.js. A script whose compiled code was kept cannot import (Node.js 20).
    supported: { 'dynamic-import': false },
    banner: { js: "const __fileUrl=require('node:url').pathToFileURL(__filename).href;" },
    define: { 'import.meta.url': '__fileUrl' },
    plugins: [filesInMemory(parts)],
  });
  return metafile;
}

/** The CDK app (app.js), with the parts of aws-cdk-lib that it uses: 11 MB instead of 190. */
export async function bundleApp(folder: string): Promise<Metafile> {
  return await bundle(folder, { entryPoints: { app: 'package/app.ts' }, plugins: [coreOfCdk] });
}

async function bundle(folder: string, options: BuildOptions): Promise<Metafile> {
  const { metafile } = await build({
    ...settings(folder),
    ...options,
    metafile: true,
    plugins: [...(options.plugins ?? []), placesOfSources],
  });
  return metafile;
}

function settings(folder: string) {
  return {
    absWorkingDir: ROOT,
    outdir: folder,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    mainFields: ['module', 'main'],
    banner: { js: BANNER },
    // Names stay, for the stack of a fault.
    minifySyntax: true,
    minifyWhitespace: true,
    legalComments: 'none',
    logLevel: 'warning',
  } satisfies BuildOptions;
}

/** Files of one folder that were built before, by their names. The folder's path would be in what is made of them. */
function filesInMemory(files: ReadonlyMap<string, string>): Plugin {
  return {
    name: 'files-in-memory',
    setup({ onResolve, onLoad }) {
      onResolve({ filter: /\.js$/ }, ({ path }) =>
        files.has(basename(path)) ? { path: basename(path), namespace: 'command' } : null,
      );
      onLoad({ filter: /.*/, namespace: 'command' }, ({ path }) => ({ contents: files.get(path) ?? '' }));
    },
  };
}

/**
 * A source finds data files by their place beside it, which holds in a package too: `import.meta.url` stays the address
 * that the source has, or would have, in the folder of package.json.
 */
const placesOfSources: Plugin = {
  name: 'places-of-sources',
  setup({ initialOptions, onLoad }) {
    const folder = initialOptions.outdir ?? '';
    onLoad({ filter: /\.ts$/ }, ({ path }) => {
      if (path.includes('node_modules')) return null;
      const text = readFileSync(path, 'utf8');
      if (!text.includes('import.meta.url')) return null;
      const place = JSON.stringify(relative(folder, path));
      return { contents: text.replaceAll('import.meta.url', `new URL(${place},import.meta.url).href`), loader: 'ts' };
    });
  },
};

/** The root of aws-cdk-lib has every service below it; ours comes from `core` and from services by name. */
const coreOfCdk: Plugin = {
  name: 'core-of-cdk',
  setup({ onResolve, resolve: resolveAs }) {
    onResolve({ filter: /^aws-cdk-lib$/ }, ({ kind, resolveDir }) =>
      resolveAs('aws-cdk-lib/core', { kind, resolveDir }),
    );
  },
};
