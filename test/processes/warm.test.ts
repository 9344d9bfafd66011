import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import { makeVenv } from '../support/instance/pythons.ts';

const WARM = readFileSync(fileURLToPath(new URL('../../instance/warm.py', import.meta.url)), 'utf8');
const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

const spec = (name: string, source: string, files: Record<string, string> = {}) => ({
  name,
  version: '1.0',
  files: { [`${name}/__init__.py`]: source, ...files },
});

/** Runs the warm command in a project, with an environment that has these packages. */
function warm(...installed: ReturnType<typeof spec>[]) {
  const base = mkdtempSync(join(tmpdir(), 'runctl warm-'));
  folders.push(base);
  const [home, project] = [join(base, 'home'), join(base, 'home', 'digits')];
  mkdirSync(project, { recursive: true });
  writeFileSync(join(project, 'zz_data.py'), 'raise SystemExit("the project was imported")\n');
  const python = makeVenv(join(base, 'venv'), installed, false);
  const done = spawnSync(python, ['-c', WARM], { cwd: project, env: { HOME: home }, encoding: 'utf8' });
  const opened = readFileSync(join(home, '.runctl/image/opened.txt'), 'utf8').trim().split('\n');
  return { ...done, opened, project };
}

describe('the warm command of an image', () => {
  it('imports every package of the environment once, and goes on after those that fail', () => {
    const { status, stdout, opened, project } = warm(
      spec('zz_data', `open(__file__.replace('__init__.py', 'model.bin')).read()\n`, { 'zz_data/model.bin': 'x' }),
      spec('zz_ends', 'raise SystemExit(3)\n'),
      spec('zz_broken', 'import zz_missing\n'),
      spec('zz_stays', 'import threading\nthreading.Thread(target=threading.Event().wait).start()\n'),
      spec('_zz_private', 'raise ValueError\n'),
    );
    expect(stdout).toContain('zz_broken: ModuleNotFoundError: No module named');
    expect(stdout.trim().split('\n').at(-1)).toBe('imported 2 packages, 2 failed: zz_broken, zz_ends');
    expect(status).toBe(0);
    const paths = opened.map((path) => path.replace(/^.*site-packages\//, ''));
    expect(paths).toEqual(expect.arrayContaining(['zz_data/__init__.py', 'zz_data/model.bin']));
    expect(opened.filter((path) => path.startsWith(project) || /^\/(proc|sys|dev)\//.test(path))).toEqual([]);
    // Shared objects that the dynamic linker has opened.
    expect(opened.some((path) => /\/libc\.so|\/libc-/.test(path))).toBe(true);
  });

  it('is short enough for an argument of a request, and is text for Python 3.8', () => {
    expect(Buffer.byteLength(WARM)).toBeLessThan(3_600);
    execFileSync('python3', ['-c', 'import ast, sys; ast.parse(sys.stdin.read(), feature_version=(3, 8))'], {
      input: WARM,
    });
  });
});
