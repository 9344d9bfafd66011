import { readdirSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { messagesOf, pythonMessages, typescriptMessages } from '../support/messages.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const FOLDERS = ['cli', 'aws', 'core', 'lambdas', 'lib', 'local', 'instance/runner'];

function filesBelow(folder: string): string[] {
  const entries = readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile() && /\.(ts|py)$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

it('collects texts with what is inserted into them', () => {
  const source = `
    import x from 'a module of ours';
    throw new CliError(\`There is no run \${id}.\${ids.length > 0 ? \` Similar ids: \${ids}\` : ''}\`, 'To list all: runctl list');
    const key = 'runs/';
    type A = 'not a message';
    print(\`\${a}/\${b}\`, wrap('another text'));`;
  expect(messagesOf(source)).toEqual([
    'There is no run {id}.{ Similar ids: {ids} | }',
    'To list all: runctl list',
    'another text',
  ]);
});

// To review every message as one text: read messages.txt. After a change of words: npx vitest run test/unit/messages.test.ts -u
it('every text that a person may read is the one that was reviewed', async () => {
  const files = FOLDERS.flatMap(filesBelow);
  const texts = new Map([
    ...typescriptMessages(files.filter((file) => file.endsWith('.ts'))),
    ...pythonMessages(files.filter((file) => file.endsWith('.py'))),
  ]);
  const sections = files.flatMap((file) => {
    const messages = texts.get(file) ?? [];
    const lines = messages.map((text) => `  ${text.trim().replace(/\n/g, '\n    ')}`);
    return lines.length === 0 ? [] : [[relative(ROOT, file), ...lines].join('\n')];
  });
  await expect(`${sections.join('\n\n')}\n`).toMatchFileSnapshot('messages.txt');
});
