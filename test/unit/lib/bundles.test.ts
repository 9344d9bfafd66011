import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bundleLambdas, lambdaNames } from '../../../lib/functions/bundle.ts';

/** The engine for expressions of people has 150 KB of those that read a spec, or a training's log; the client of EC2 has 150 KB. */
const MOST_BYTES = 900 * 1024;
let folder = '';

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'runctl-bundles-'));
  await bundleLambdas(folder);
}, 120_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('the bundles', () => {
  it('are one for each handler', () => {
    expect(readdirSync(folder).sort()).toEqual(lambdaNames().sort());
  });

  it.each(lambdaNames())('%s is small, and loads with a handler', async (name) => {
    const file = join(folder, name, 'index.mjs');
    expect(statSync(file).size).toBeLessThanOrEqual(MOST_BYTES);
    const loaded: unknown = await import(/* @vite-ignore */ pathToFileURL(file).href);
    expect(loaded).toMatchObject({ handler: expect.any(Function) });
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
