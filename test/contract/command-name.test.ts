import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const FOLDERS = [
  'aws',
  'bin',
  'cli',
  'core',
  'docs/guide',
  'docs/reference',
  'examples',
  'instance',
  'lambdas',
  'lib',
  'local',
  'package',
  'verify',
];

// npx asks the public registry for packages of these names, and runs what it finds there.
it('no message, comment or page makes people run runctl or the CDK by npx', () => {
  const files = FOLDERS.flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && /\.(ts|js|py|sh|md|yaml|json)$/.test(entry.name))
      .map((entry) => join(entry.parentPath, entry.name)),
  );
  expect(files.length).toBeGreaterThan(200);
  expect(files.filter((file) => /npx (runctl|cdk)\b/.test(readFileSync(file, 'utf8')))).toEqual([]);
});
