import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bundleLambdas, lambdaNames } from '../../../lib/functions/bundle.ts';

/** The engine for expressions of people has 150 KB of those that read a spec, or a training's log; the client of EC2 has 150 KB. */
const MOST_BYTES = 900 * 1024;
/** Prints the type of the handler of each bundle. Node.js itself loads them, as Lambda does: Vitest would translate each first, for 0.6 s of the processor. */
const LOAD = `import { pathToFileURL } from 'node:url';
const types = {};
for (const file of process.argv.slice(1)) {
  const loaded = await import(pathToFileURL(file).href).catch((error) => ({ handler: undefined, error }));
  types[file] = loaded.error === undefined ? typeof loaded.handler : String(loaded.error);
}
console.log(JSON.stringify(types));`;
let folder = '';
let handlers: Record<string, string> = {};
const fileOf = (name: string) => join(folder, name, 'index.mjs');

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'runctl-bundles-'));
  await bundleLambdas(folder);
  const words = ['--input-type=module', '--eval', LOAD, ...lambdaNames().map(fileOf)];
  handlers = JSON.parse((await promisify(execFile)(process.execPath, words)).stdout);
}, 120_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('the bundles', () => {
  it('are one for each handler', () => {
    expect(readdirSync(folder).sort()).toEqual(lambdaNames().sort());
  });

  it.each(lambdaNames())('%s is small, and loads with a handler', (name) => {
    expect(statSync(fileOf(name)).size).toBeLessThanOrEqual(MOST_BYTES);
    expect(handlers[fileOf(name)]).toBe('function');
  });

  it('are the same each time', { timeout: 120_000 }, async () => {
    const again = mkdtempSync(join(tmpdir(), 'runctl-bundles-'));
    await bundleLambdas(again);
    try {
      for (const name of lambdaNames()) {
        const file = (where: string) => readFileSync(join(where, name, 'index.mjs'));
        expect(file(again).equals(file(folder)), name).toBe(true);
      }
    } finally {
      rmSync(again, { recursive: true, force: true });
    }
  });
});
