import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { REPORT_TO, VERSION } from '../../../core/version.ts';

const read = (name: string) => JSON.parse(readFileSync(new URL(`../../../${name}`, import.meta.url), 'utf8'));

it('is the version of package.json and its lock, with a section in the changelog', () => {
  expect(read('package.json')).toMatchObject({ version: VERSION, bugs: { email: REPORT_TO } });
  expect(read('package-lock.json')).toMatchObject({ version: VERSION, packages: { '': { version: VERSION } } });
  const changelog = readFileSync(new URL('../../../CHANGELOG.md', import.meta.url), 'utf8');
  expect(changelog).toMatch(new RegExp(`^## ${VERSION.replaceAll('.', '\\.')}\\b`, 'm'));
});
