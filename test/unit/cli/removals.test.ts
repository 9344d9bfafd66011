import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { confirmRemovals, planRemovals, recordFiles } from '../../../cli/runs/removals.ts';

const target = { instance: 'i-0123456789abcdef0', project: 'nets' };
const code = (names: readonly string[], leftOut: readonly string[] = []) => ({
  files: names.map((name) => ({ name, bytes: 10 })),
  leftOut,
});

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'runctl-removals-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('what the next sync removes', () => {
  it('is not known before the first run on an instance', async () => {
    expect(await planRemovals(folder, target, code(['a.py']))).toBe(null);
    expect(await recordFiles(folder, target, code(['a.py', 'b.py']))).toBe(null);
    expect(await planRemovals(folder, { ...target, instance: 'i-1' }, code(['a.py']))).toBe(null);
    expect(readFileSync(join(folder, '.runctl/.gitignore'), 'utf8')).toBe('*\n');
  });

  it('is what the last run had and this folder neither packs nor leaves out', async () => {
    await recordFiles(folder, target, code(['a.py', 'b.py', 'data/x', 'c.py']));
    expect(await planRemovals(folder, target, code(['a.py', 'new.py'], ['data/', 'c.py']))).toEqual({
      files: 1,
      bytes: 10,
    });
  });

  it('compares names as the instance has them, without a single top folder', async () => {
    await recordFiles(folder, target, code(['src/a.py', 'src/data/x', 'src/b.py']));
    expect(await planRemovals(folder, target, code(['src/a.py'], ['src/data/', 'b.py']))).toEqual({
      files: 1,
      bytes: 10,
    });
  });

  it('is not known from a damaged record, and one that cannot be written is a warning', async () => {
    await recordFiles(folder, target, code(['a.py']));
    writeFileSync(join(folder, '.runctl/synced', target.instance, 'nets.json'), '{"a.py": ');
    expect(await planRemovals(folder, target, code([]))).toBe(null);
    writeFileSync(join(folder, 'file'), '');
    expect(await recordFiles(join(folder, 'file'), target, code(['a.py']))).toMatch(
      /could not be recorded in \.runctl/,
    );
  });
});

describe('before a sync removes much', () => {
  const many = { files: 101, bytes: 10 };
  const signal = new AbortController().signal;
  const terminal = (isInteractive: boolean, answer = true) => ({ isInteractive, confirm: async () => answer });
  const confirm = (removals: Parameters<typeof confirmRemovals>[1], isInteractive: boolean, options = {}) =>
    confirmRemovals(terminal(isInteractive, false), removals, { allowed: false, ask: true, signal, ...options });

  it('the command asks in a terminal, and refuses where nobody can answer or --yes was given', async () => {
    expect(await confirm(many, true)).toBe(false);
    expect(await confirmRemovals(terminal(true), many, { allowed: false, ask: true, signal })).toBe(true);
    const refusal = { exitCode: 2, next: expect.stringContaining('--allow-removals') };
    await expect(confirm(many, false)).rejects.toMatchObject(refusal);
    await expect(confirm({ files: 1, bytes: 100_000_001 }, true, { ask: false })).rejects.toMatchObject(refusal);
  });

  it('the command does not ask below the limits, or when it is allowed', async () => {
    expect(await confirm(null, false)).toBe(true);
    expect(await confirm({ files: 100, bytes: 100_000_000 }, false)).toBe(true);
    expect(await confirm(many, false, { allowed: true })).toBe(true);
  });
});
