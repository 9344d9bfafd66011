import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const RUNNER = fileURLToPath(new URL('../../instance/runner', import.meta.url));
const entries = readdirSync(RUNNER, { withFileTypes: true }).filter(({ name }) => name !== '__pycache__');
const packages = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
const files = (folder: string) =>
  readdirSync(join(RUNNER, folder), { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.py'));

/** What a file imports of the program's own. */
function imported(path: string): string[] {
  const text = readFileSync(join(RUNNER, path), 'utf8');
  const found = [...text.matchAll(/^\s*(?:from|import)\s+([\w.]+)/gm)].map(([, name = '']) => name);
  expect(
    found.filter((name) => name.startsWith('.')),
    `${path} imports relatively`,
  ).toEqual([]);
  const tops = [...new Set(found.map((name) => name.split('.')[0] ?? ''))];
  return tops.filter((name) => packages.includes(name) || entries.some((entry) => entry.name === `${name}.py`));
}

describe('instance/runner', () => {
  it('has a package for each subject, and two modules that start them', () => {
    expect(packages.sort()).toEqual([
      'checkpoints',
      'collect',
      'common',
      'image',
      'install',
      'jobs',
      'restore',
      'sync',
    ]);
    const modules = entries.filter((entry) => entry.isFile()).map(({ name }) => name);
    expect(modules.sort()).toEqual(['__main__.py', 'dispatch.py']);
  });

  it.each(packages)('%s imports itself and common alone', (name) => {
    const others = files(name).flatMap((file) =>
      imported(join(name, file))
        .filter((other) => other !== name && other !== 'common')
        .map((other) => `${name}/${file} imports ${other}`),
    );
    expect(others).toEqual([]);
  });

  // A package without it would give way to one of the same name in the instance's site-packages.
  it.each(packages)('%s has an __init__.py that says what is in it', (name) => {
    expect(readFileSync(join(RUNNER, name, '__init__.py'), 'utf8')).toMatch(/^"""[^"]+"""\n$/);
  });
});
