import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const START = new URL('../../bin/start.js', import.meta.url).href;

let folder: string;
let bundle: string;
let kept: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'runctl-start-'));
  bundle = join(folder, 'command.cjs');
  kept = join(folder, 'kept');
  writeFileSync(bundle, says('one'));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** A bundle that prints a word, and ends later than it was loaded. */
function says(word: string): string {
  return `exports.ended = new Promise((resolve) => setImmediate(resolve)).then(() => console.log(${JSON.stringify(word)}));`;
}

function start(words: readonly string[] = ['list'], env: Readonly<Record<string, string>> = {}) {
  const script = `import { start } from ${JSON.stringify(START)}; await start(...${JSON.stringify([bundle, kept])});`;
  const args = ['--input-type=module', '--eval', script, '--', 'runctl', ...words];
  const { stdout, stderr, status } = spawnSync(process.execPath, args, { env: { ...env }, encoding: 'utf8' });
  return { stdout, stderr, status };
}

const printed = (word: string) => ({ stdout: `${word}\n`, stderr: '', status: 0 });
const files = () => (existsSync(kept) ? readdirSync(kept).map((name) => join(kept, name)) : []);
/** The only file that is kept, and whether it is still the same one. */
function only(): { path: string; ino: number } {
  const [path = '', ...others] = files();
  expect(others).toEqual([]);
  return { path, ino: statSync(path).ino };
}

describe('what is compiled', () => {
  it('is kept for the next start, which only its owner can write', () => {
    expect(start()).toEqual(printed('one'));
    const first = only();
    expect(statSync(first.path).mode & 0o777).toBe(0o600);
    expect(start()).toEqual(printed('one'));
    expect(only()).toEqual(first);
  });

  it('is of one command each', () => {
    start(['list']);
    start(['--profile', 'work', 'push']);
    expect(files().map((path) => path.replace(/^.*-/, ''))).toEqual(['list.bin', 'push.bin']);
  });

  it('is kept again with what another run has compiled, and then stays', () => {
    // More than one function: the bundle has to compile a noticeable share of what is kept.
    const others = Array.from({ length: 300 }, (_, index) => `const f${index} = (a) => a + ${index} * ${index + 1};`);
    const calls = others.map((_, index) => `f${index}(1)`).join(';');
    writeFileSync(
      bundle,
      `function more() { ${others.join('')} ${calls}; } if (process.env.MORE) more(); ${says('one')}`,
    );
    start();
    const first = only();
    start();
    expect(only()).toEqual(first);
    expect(start(['list'], { MORE: '1' })).toEqual(printed('one'));
    const second = only();
    expect(second.ino).not.toBe(first.ino);
    for (const MORE of ['1', '']) expect(start(['list'], { MORE })).toEqual(printed('one'));
    expect(only()).toEqual(second);
  });

  it.each([
    ['damaged', (path: string) => writeFileSync(path, readFileSync(path).fill(7, 100, 108))],
    ['cut off', (path: string) => writeFileSync(path, readFileSync(path).subarray(0, 50))],
    ['empty', (path: string) => writeFileSync(path, '')],
    ['open to others', (path: string) => chmodSync(path, 0o666)],
  ])('is not used, and made again, when it is %s', (_, change) => {
    start();
    const before = only();
    const whole = readFileSync(before.path);
    change(before.path);
    expect(start()).toEqual(printed('one'));
    expect(only().ino).not.toBe(before.ino);
    expect(readFileSync(only().path).length).toBe(whole.length);
    expect(statSync(only().path).mode & 0o777).toBe(0o600);
  });

  it('is not used for another bundle of the same length, and removed then', () => {
    start();
    const before = only();
    writeFileSync(bundle, says('two'));
    expect(start()).toEqual(printed('two'));
    expect(only().path).not.toBe(before.path);
  });

  it('is not kept when it cannot be, or is not wanted', () => {
    expect(start(['list'], { NODE_DISABLE_COMPILE_CACHE: '1' })).toEqual(printed('one'));
    expect(files()).toEqual([]);
    writeFileSync(kept, 'a file');
    expect(start()).toEqual(printed('one'));
    expect(readFileSync(kept, 'utf8')).toBe('a file');
  });

  it('is not kept of a command that does not exist', () => {
    writeFileSync(bundle, 'process.exitCode = 2;');
    expect(start(['lits']).status).toBe(2);
    expect(files()).toEqual([]);
  });
});
