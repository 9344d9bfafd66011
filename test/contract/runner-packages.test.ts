import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const RUNNER = fileURLToPath(new URL('../../instance/runner', import.meta.url));
const PACKAGES = readdirSync(RUNNER, { withFileTypes: true }).flatMap((entry) =>
  entry.isDirectory() && entry.name !== '__pycache__' ? [entry.name] : [],
);

/** Packages of the runner that a file imports from. */
function importsOf(file: string): string[] {
  const text = readFileSync(file, 'utf8');
  return [...text.matchAll(/^\s*(?:from|import) (\w+)/gm)]
    .map(([, name]) => name ?? '')
    .filter((name) => PACKAGES.includes(name));
}

describe.each(PACKAGES)('the package %s of the runner', (name) => {
  it('imports itself and common alone', () => {
    const files = readdirSync(join(RUNNER, name)).filter((file) => file.endsWith('.py'));
    expect(files.length).toBeGreaterThan(1);
    const strangers = files.flatMap((file) =>
      importsOf(join(RUNNER, name, file))
        .filter((other) => other !== name && other !== 'common')
        .map((other) => `${file} imports ${other}`),
    );
    expect(strangers).toEqual([]);
  });
});
