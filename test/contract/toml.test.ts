import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import * as fc from 'fast-check';
import { parse } from 'smol-toml';
import { describe, expect, it } from 'vitest';

const RUNNER = fileURLToPath(new URL('../../instance/runner', import.meta.url));
const PROGRAM = `import json, sys
sys.path.insert(0, sys.argv[1])
from install import toml
def read(text):
    try:
        return toml.loads(text)
    except toml.TomlError as error:
        return {"error": str(error)}
print(json.dumps([read(text) for text in json.load(sys.stdin)]))`;

function readOnInstance(texts: readonly string[]): unknown[] {
  const done = spawnSync('python3', ['-I', '-B', '-c', PROGRAM, RUNNER], {
    input: JSON.stringify(texts),
    encoding: 'utf8',
  });
  expect(done.stderr).toBe('');
  return JSON.parse(done.stdout);
}

const DOCUMENTS = [
  '[project]\nname = "digits"\ndependencies = [\n  "torch>=2",  # the CPU build\n  \'numpy; python_version < "3.9"\',\n]\n',
  '[project.optional-dependencies]\ntrain = ["a"]\n"all parts" = []\n',
  '[[package]]\nname = "a"\nsource = { editable = "." }\nwheels = [\n  { url = "https://x/#a", size = 1_000 },\n]\n[package.metadata]\nrequires-dist = [{ name = "b", marker = "sys_platform == \'win32\'" }]\n[[package]]\nname = "c"\n',
  'a.b."c.d" = 1\n[x]\ny.z = true\n',
  'text = """\none \\\n   two "quoted" \\u00e9\\t"""\nraw = \'\'\'\nC:\\n\'quoted\'\'\'\'\r\nempty = ""\r\n',
  '# only a comment',
  '',
];

describe("the runner's TOML reader", () => {
  it('reads what the files of Python projects contain as a complete reader does', () => {
    expect(readOnInstance(DOCUMENTS)).toEqual(DOCUMENTS.map((text) => parse(text)));
  });

  it('reads any strings, keys and nesting', () => {
    const key = fc.oneof(fc.stringMatching(/^[A-Za-z0-9_-]+$/), fc.string({ unit: 'grapheme' }).map(quote));
    const value = fc.letrec<{ value: string }>((tie) => ({
      value: fc.oneof(
        { maxDepth: 3 },
        fc.string({ unit: 'grapheme' }).map(quote),
        fc.boolean().map(String),
        fc.integer().map(String),
        fc.array(tie('value'), { maxLength: 3 }).map((items) => `[ ${items.join(',\n  # and\n ')} ]`),
        fc
          .uniqueArray(fc.tuple(fc.stringMatching(/^[a-z]+$/), tie('value')), {
            maxLength: 3,
            selector: ([name]) => name,
          })
          .map(
            (pairs) =>
              `{ ${pairs.map(([name, text]) => `${name} = ${text.replaceAll('\n  # and\n', '')}`).join(', ')} }`,
          ),
      ),
    })).value;
    const documents = fc.sample(fc.tuple(key, value), { numRuns: 200, seed: 1 }).map(([k, v]) => `${k} = ${v} # end\n`);
    expect(readOnInstance(documents)).toEqual(documents.map((text) => JSON.parse(JSON.stringify(parse(text)))));
  });

  it.each(['a', 'a = ', 'a = "x', '[a', 'a = [1', 'a = {b = 1', 'a = 1 b = 2', 'a = "\\q"'])('refuses %j', (text) => {
    expect(() => parse(text)).toThrow();
    expect(readOnInstance([`ok = 1\n${text}`])).toEqual([{ error: expect.stringMatching(/^line 2: expected /) }]);
  });
});

function quote(text: string): string {
  return JSON.stringify(text).replaceAll('\x7f', '\\u007f');
}
