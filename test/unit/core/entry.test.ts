import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ScriptNotFound } from '../../../core/archive/choose-script.ts';
import { chooseEntry } from '../../../core/spec/choose-entry.ts';
import { BadCommand, entryText, splitCommand } from '../../../core/spec/entry.ts';
import { maskSpec } from '../../../core/spec/mask.ts';
import { InvalidSpec, mergeSpecs, parseSpec, resolveSpec } from '../../../core/spec/spec.ts';

describe('splitting a command', () => {
  it('gives the words that a shell gives', () => {
    const pieces = fc.constantFrom('a', ' ', '\t', '"', "'", '\\', 'é', '-x=1', '*', '#', '~', '{', '}', '/', '%');
    const texts = fc.sample(
      fc.array(pieces, { maxLength: 12 }).map((parts) => parts.join('')),
      3_000,
    );
    const program = `import json, shlex, sys
def split(text):
    try:
        return shlex.split(text)
    except ValueError:
        return None
print(json.dumps([split(text) for text in json.load(sys.stdin)]))`;
    const expected = JSON.parse(
      execFileSync('python3', ['-c', program], { input: JSON.stringify(texts), encoding: 'utf8' }),
    ) as (string[] | null)[];
    const split = (text: string) => {
      try {
        return splitCommand(text);
      } catch (error) {
        if (error instanceof BadCommand) return null;
        throw error;
      }
    };
    for (const [index, text] of texts.entries()) expect(split(text), text).toEqual(expected[index]);
    expect(expected.filter((words) => words !== null).length).toBeGreaterThan(1_000);
  });

  it.each([
    'a | b',
    'a && b',
    'a; b',
    'a > log',
    'a < b',
    '(a)',
    'a $HOME',
    'a "$(id)"',
    'a `id`',
    'a "b',
    "a 'b",
    'a\\',
  ])('refuses what needs a shell, or has no end: %s', (text) => {
    expect(() => splitCommand(text)).toThrow(BadCommand);
  });

  it('takes operators that are quoted', () => {
    expect(splitCommand(`run 'a | $b' "c;d" e\\&f`)).toEqual(['run', 'a | $b', 'c;d', 'e&f']);
  });
});

describe('what a run starts', () => {
  it('is one of three keys in each source, and the last source that has one decides', () => {
    expect(() => parseSpec({ script: 'a.py', module: 'b' }, 'runctl.yaml')).toThrow(InvalidSpec);
    expect(() => parseSpec({ script: 'a.py', module: 'b' }, 'runctl.yaml')).toThrow(
      'runctl.yaml: script and module are given; a run starts one of them',
    );
    expect(mergeSpecs({ script: 'a.py', args: ['1'] }, { module: 'b' }, { user: 'x' })).toEqual({
      module: 'b',
      args: ['1'],
      user: 'x',
    });
    expect(resolveSpec({ module: 'b' }, { command: 'torchrun "a b.py"' })).toMatchObject({
      script: null,
      module: null,
      command: ['torchrun', 'a b.py'],
    });
  });

  it('counts in the size of a request', () => {
    expect(() => parseSpec({ command: ['run', 'x'.repeat(12_000)] }, 'runctl.yaml')).toThrow(
      /command, args \(0 items\)/,
    );
  });

  it('is shown as it is typed, without secrets', () => {
    const none = { script: null, module: null, command: null };
    expect(entryText(none)).toBe(null);
    expect(entryText({ ...none, script: 'train.py' })).toBe('train.py');
    expect(entryText({ ...none, module: 'pkg.train' })).toBe('-m pkg.train');
    expect(entryText({ ...none, command: ['run', "it's", ''] })).toBe(`run 'it'\\''s' ''`);
    expect(maskSpec({ command: ['run', '--api-key', 'k', '--token=t'] })).toEqual({
      command: ['run', '--api-key', '***', '--token=***'],
    });
    expect(maskSpec({ command: 'run --api-key k' })).toEqual({ command: ['run', '--api-key', '***'] });
  });

  const files = ['pkg/train.py', 'src/lib/__main__.py', 'src/lib/model.py', 'tool.py', 'pkg/__init__.py'];
  const entry = (fields: object) => ({ script: null, module: null, command: null, ...fields });

  it.each(['pkg.train', 'lib', 'lib.model', 'tool', 'torch.distributed.run'])('may be the module %s', (module) => {
    expect(chooseEntry(files, entry({ module }))).toEqual(entry({ module }));
  });

  it.each(['pkg', 'pkg.trian', 'lib.nets', 'tool.x'])('is not a module that the archive should have: %s', (module) => {
    expect(() => chooseEntry(files, entry({ module }))).toThrow(ScriptNotFound);
    expect(() => chooseEntry(files, entry({ module }))).toThrow(`There is no module "${module}" in the archive`);
  });

  it('is found among the files when nothing is named; a command is not looked for', () => {
    expect(chooseEntry(['train.py'], entry({}))).toEqual(entry({ script: 'train.py' }));
    expect(chooseEntry(['x.csv'], entry({ command: ['torchrun'] }))).toEqual(entry({ command: ['torchrun'] }));
  });
});
