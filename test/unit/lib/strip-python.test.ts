import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { stripPython } from '../../../lib/instance/strip-python.ts';

const RUNNER = fileURLToPath(new URL('../../../instance/runner/', import.meta.url));
/** Reads pairs of sources as JSON lines; says for each whether their trees are equal but for docstrings. */
const COMPARE = `
import ast, json, sys

def bare(source):
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            # A docstring that was all there was is left as 0.
            node.body = [s for s in body if not (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant) and (isinstance(s.value.value, str) or s.value.value == 0))]
    return ast.dump(tree)

for line in sys.stdin:
    before, after = json.loads(line)
    try:
        print(json.dumps(bare(before) == bare(after)))
    except (SyntaxError, ValueError) as error:
        print(json.dumps(str(error)))
`;

/** For each source: true when stripping it left what it means. */
function compare(sources: readonly string[]): unknown[] {
  const input = sources.map((source) => JSON.stringify([source, stripPython(source)])).join('\n');
  const { stdout, stderr, status } = spawnSync('python3', ['-I', '-c', COMPARE], { input, encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
  return stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown);
}

describe('stripPython', () => {
  it('leaves what each file of the runner means', () => {
    const files = readdirSync(RUNNER, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.py'));
    expect(files.length).toBeGreaterThan(20);
    const results = compare(files.map((name) => readFileSync(RUNNER + name, 'utf8')));
    expect(files.filter((_, index) => results[index] !== true)).toEqual([]);
  });

  it('takes out comments, docstrings and blank lines; 0 keeps a body from being empty', () => {
    const source = '"""Doc."""\n\n# why\nimport os  # what\n\n\ndef f(a):\n    """Doc."""\n    # why\n    return a\n';
    expect(stripPython(source)).toBe('import os\ndef f(a):\n 0\n return a\n');
  });

  it('leaves a body behind where the docstring was all of it', () => {
    expect(compare(['class A(Exception):\n    """Doc."""\n\n\ndef f():\n    """Doc."""\n'])).toEqual([true]);
  });

  it.each([
    ['a # in a string', "x = 'a # b'  # c\n"],
    ['quotes in quotes', `x = "it's" + 'a "b"'\n`],
    ['an escaped quote', "x = 'it\\'s # no comment'\n"],
    ['a raw string that ends in a backslash pair', "x = r'\\\\'  # c\n"],
    ['a long string over lines, with # and indentation', 'x = """\n# not a comment\n    kept\n\n"""\n'],
    ['an f-string', "x = f'{a}#{b}'\n"],
    ['bytes', "x = b'# no' + rb'\\#'\n"],
    ['a call over lines', 'f(\n    1,  # one\n    # two\n    2,\n)\n'],
    ['brackets in strings', "x = '(['\ny = [1]  # ]\n"],
    ['a string statement in a call', "f(\n    'a'\n    'b'\n)\n"],
    ['a string that begins an expression', "'a'.join(x)\n'%s' % x\n"],
    ['a dictionary of strings', "x = {\n    'a': 1,\n    'b': 2,\n}\n"],
    ['a name that ends like a prefix', 'bar = 1\nif bar: x = bar\n'],
    [
      'a decorator and a nested function',
      'def f():\n    """D"""\n\n    @g\n    def h():\n        """D"""\n        return 1\n\n    return h\n',
    ],
    ['no newline at the end', 'x = 1'],
    ['a line continued', 'x = 1 + \\\n    2\n'],
  ])('leaves what %s means', (_, source) => expect(compare([source])).toEqual([true]));

  it('leaves any string literal to the letter', () => {
    const literal = fc
      .tuple(
        fc.constantFrom("'", '"', '"""', "'''"),
        fc.string({ unit: fc.constantFrom('#', "'", '"', '\\', '(', ' ', 'a', '{', '\n') }),
      )
      .map(([quote, text]) => {
        const escaped = text.replaceAll('\\', '\\\\').replaceAll(quote.charAt(0), `\\${quote.charAt(0)}`);
        return quote + (quote.length === 1 ? escaped.replaceAll('\n', '\\n') : escaped) + quote;
      });
    const statement = fc
      .tuple(literal, fc.constantFrom('', '  # comment "x"'))
      .map(([text, comment]) => `x = [${text}]${comment}\n`);
    const sources = fc
      .sample(fc.array(statement, { minLength: 1, maxLength: 5 }), { numRuns: 300, seed: 7 })
      .map((lines) => lines.join(''));
    const results = compare(sources);
    expect(sources.filter((_, index) => results[index] !== true)).toEqual([]);
  });
});
