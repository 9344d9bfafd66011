import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { leftOutText, lineEndWarnings } from '../../../cli/runs/code-notes.ts';
import { quoted } from '../../../cli/runs/columns.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'runctl-code-notes-test-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('lineEndWarnings', () => {
  it('names the shell scripts with Windows line ends', async () => {
    mkdirSync(join(folder, 'tools'));
    const file = (name: string, text: string) => {
      writeFileSync(join(folder, name), text);
      return { name, path: join(folder, name) };
    };
    const files = [
      file('run.sh', '#!/bin/bash\r\nset -e\r\n'),
      file('tools/unix.sh', 'echo a\n'),
      file('train.py', 'print(1)\r\n'),
      { name: 'gone.sh', path: join(folder, 'gone.sh') },
    ];
    expect(await lineEndWarnings(files)).toEqual([
      "run.sh has Windows line ends (CRLF), which a shell reads as part of the commands. To convert: sed -i 's/\\r$//' <file>",
    ]);
    expect(await lineEndWarnings(files.slice(1))).toEqual([]);
  });
});

describe('leftOutText', () => {
  it('names folders first, hidden files last, and a link once', () => {
    expect(leftOutText([])).toBeNull();
    expect(leftOutText(['.DS_Store', 'a.pt', 'data/', 'link', 'link/', 'src/x.log'])).toBe(
      'data/, a.pt, link, src/x.log, .DS_Store',
    );
    expect(leftOutText(['1', '2', '3', '4', '5', '6', 'data/'])).toBe('data/, 1, 2, 3, 4 and 2 more');
  });
});

describe('quoted', () => {
  it.each([
    ['--lr=1e-3', '--lr=1e-3'],
    ['a b', "'a b'"],
    ['$HOME', "'$HOME'"],
    ['{"a": "$x"}', `'{"a": "$x"}'`],
    ["it's", String.raw`'it'\''s'`],
    ['', "''"],
    ['a\nb', String.raw`"a\nb"`],
  ])('%j is shown as %s', (arg, text) => expect(quoted(arg)).toBe(text));
});
