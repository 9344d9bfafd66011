import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { readPlaced, readPulled } from '../../../cli/archive/pulled.ts';
import { notCollected } from '../../../cli/runs/not-collected.ts';
import type { Manifest } from '../../../core/outcome/manifest-schema.ts';
import { outputMatcher } from '../../../core/spec/output-globs.ts';

const about = (...others: { folder: string; files: number; bytes: number }[]) =>
  notCollected({ run: { id: 'demo-1' }, outputs: { others } } as unknown as Manifest);

it('files beside the outputs are counted and named by folder, with the command that fetches all', () => {
  expect(about()).toBeNull();
  expect(about({ folder: 'checkpoints', files: 37, bytes: 1_288_490_189 })).toBe(
    "37 files, 1.2 GiB in checkpoints/ were not collected. To fetch them while the instance has them: runctl pull demo-1 --also 'checkpoints/**'",
  );
  expect(about({ folder: '', files: 1, bytes: 10 })).toBe(
    "1 file, 10 B in the project folder was not collected. To fetch them while the instance has them: runctl pull demo-1 --also '*'",
  );
  const many = ['a', 'b', 'c', 'd', 'e'].map((folder) => ({ folder, files: 1_000, bytes: 1 }));
  expect(about(...many)).toMatch(/^5,000 files, 5 B in a\/, b\/, c\/ and 2 more were not collected\..*--also '\*'$/);
  const several = [
    { folder: 'checkpoints', files: 1, bytes: 1 },
    { folder: "it's [1]", files: 1, bytes: 1 },
  ];
  expect(about(...several)).toMatch(/runctl pull demo-1 --also 'checkpoints\/\*\*' --also 'it'\\''s \[\[\]1\]\/\*\*'$/);
});

it('the patterns of the command match all files beside the outputs', () => {
  for (const folders of [['a'], ['a', 'b*{c,d}[e]?'], ['a', ''], ['a', 'b', 'c', 'd']]) {
    const text = about(...folders.map((name) => ({ folder: name, files: 1, bytes: 1 }))) ?? '';
    const globs = [...text.matchAll(/ --also '([^']*)'/g)].map((match) => match[1] ?? '');
    // With another pattern, since the matcher leaves out one that matches every file.
    const isAll = globs.includes('*');
    for (const name of folders) expect(isAll || outputMatcher(globs)(`${name}/x/y.pt`), `${name}: ${globs}`).toBe(true);
    if (!isAll) expect(outputMatcher(globs)('other/y.pt')).toBe(false);
  }
});

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'runctl-pulled-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

it('a folder that was pulled from a run that goes on is recognized by the record of what was placed', async () => {
  expect(await readPulled(folder, 'kept')).toBeNull();
  writeFileSync(join(folder, '.pulled.json'), '{"checkpoints/0": "ab"}');
  expect((await readPulled(folder, 'kept'))?.names).toContain('kept/checkpoints/0');
  expect((await readPulled(folder, ''))?.names).toContain('train.log');
  for (const text of ['[]', '{"a": 1}', 'no JSON']) {
    writeFileSync(join(folder, '.pulled.json'), text);
    expect(await readPlaced(folder)).toEqual({});
  }
});
