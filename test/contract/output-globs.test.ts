import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { expandBraces, MAX_ALTERNATIVES, outputFolders, outputMatcher } from '../../core/spec/output-globs.ts';
import { CHECKPOINTS, DEFAULT_OUTPUTS } from '../../core/spec/spec.ts';

const RUNNER = fileURLToPath(new URL('../../instance/runner', import.meta.url));
/** Answers for each pair of glob and name whether the instance would collect the name; null: it refuses the glob. */
const ASK = `
import json, sys
sys.path.insert(0, sys.argv[1])
from collect import globs
def matches(glob, name):
    try:
        return any(globs.Pattern(part).matches(name) for part in globs.expand(glob))
    except ValueError:
        return None
print(json.dumps([matches(*pair) for pair in json.load(sys.stdin)]))
`;

function onInstance(pairs: readonly (readonly [string, string])[]): (boolean | null)[] {
  const input = JSON.stringify(pairs);
  const options = { input, encoding: 'utf8', maxBuffer: 1e8 } as const;
  return JSON.parse(execFileSync('python3', ['-B', '-c', ASK, RUNNER], options)) as (boolean | null)[];
}

it('the command leaves out what the instance would collect', () => {
  const part = fc.array(
    fc.constantFrom(
      'a',
      'b',
      '.',
      'é',
      '😀',
      '*',
      '?',
      '[ab]',
      '[!a]',
      '[',
      ']',
      '{',
      ',',
      '}',
      '{a,b}',
      '+',
      '(',
      '\\',
      '$',
    ),
    {
      minLength: 1,
      maxLength: 4,
    },
  );
  const glob = fc.array(
    fc.oneof(
      part.map((chars) => chars.join('')),
      fc.constant('**'),
    ),
    { minLength: 1, maxLength: 4 },
  );
  const name = fc.array(
    fc.array(fc.constantFrom('a', 'b', '.', 'é', '😀', '+', '[', '\\', '\n'), { minLength: 1, maxLength: 4 }),
    { minLength: 1, maxLength: 4 },
  );
  const pairs = fc.sample(
    fc.tuple(
      glob.map((parts) => parts.join('/')),
      name.map((parts) => parts.map((chars) => chars.join('')).join('/')),
    ),
    10_000,
  );
  const expected = onInstance(pairs);
  const everything = onInstance(
    pairs.flatMap(
      ([pattern]) =>
        [
          [pattern, '\u0001'],
          [pattern, '\u0001/\u0001'],
        ] as const,
    ),
  );
  let collected = 0;
  for (const [index, [pattern, path]] of pairs.entries()) {
    const isForAll = everything[2 * index] === true || everything[2 * index + 1] === true;
    if (expected[index] === null || isForAll) continue;
    expect(outputMatcher([pattern])(path), JSON.stringify([pattern, path])).toBe(expected[index]);
    if (expected[index] === true) collected += 1;
  }
  expect(collected).toBeGreaterThan(25);
});

it.each([
  ['outputs/**', ['outputs/a', 'outputs/a/b'], ['output/a', 'x/outputs/a']],
  ['out', ['out', 'out/a'], ['outer']],
  ['**/*.pt', ['a.pt', 'x/y/a.pt', 'a.pt/x'], ['a.ptx']],
  ['./runs//*/log.txt', ['runs/1/log.txt'], ['runs/1/2/log.txt']],
  ['m.{pt,on{nx,x}}', ['m.pt', 'm.onnx', 'm.onx'], ['m.on', 'm.{pt']],
])('%s', (glob, inside, outside) => {
  const matches = outputMatcher([glob]);
  expect(inside.filter((name) => !matches(name))).toEqual([]);
  expect(outside.filter(matches)).toEqual([]);
});

it('the instance knows the default, which may match nothing, and refuses the braces that a spec may not have', () => {
  const source = readFileSync(join(RUNNER, 'collect/search.py'), 'utf8');
  const [, globs = ''] = /^_DEFAULT_GLOBS = frozenset\(\((.*)\)\)$/m.exec(source) ?? [];
  expect(globs.split(', ').map((glob) => JSON.parse(glob))).toEqual([...DEFAULT_OUTPUTS, CHECKPOINTS]);
  const braces = (count: number) => `{${Array.from({ length: count }, (_, index) => index).join(',')}}`;
  for (const [count, isAllowed] of [
    [MAX_ALTERNATIVES, true],
    [MAX_ALTERNATIVES + 1, false],
  ] as const) {
    expect(expandBraces(braces(count)) !== null).toBe(isAllowed);
    expect(onInstance([[braces(count), '7']])).toEqual([isAllowed ? true : null]);
  }
});

it('names the folders that patterns begin with', () => {
  const cases: [globs: string[], folders: string[]][] = [
    [['outputs/**'], ['outputs']],
    [
      ['./out/{a,b}/*.pt', 'out/a/**'],
      ['out/a', 'out/b'],
    ],
    [['*.pt', '**/x.pt', 'model.pt', 'a[bc]/x'], []],
    [['runs/best.pt', 'runs/*/x'], ['runs']],
    [['a/../b/*'], []],
    [
      Array.from({ length: 64 }, (_, n) => `${'x'.repeat(90)}${n}/*`),
      Array.from({ length: 21 }, (_, n) => `${'x'.repeat(90)}${n}`),
    ],
  ];
  for (const [globs, folders] of cases) expect(outputFolders(globs), globs[0]).toEqual(folders);
});
