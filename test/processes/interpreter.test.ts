import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { isRoot } from '../support/instance/install-setup.ts';
import { findInterpreter } from '../support/instance/pythons.ts';

let base: string;
let home: string;
let opt: string;

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'runctl python-'));
  home = join(base, 'home');
  opt = join(base, 'opt');
  chmodSync(base, 0o755);
  mkdirSync(home);
});
afterEach(() => rmSync(base, { recursive: true, force: true }));

/** A program that leaves a trace when it is run: choosing an interpreter must run nothing, since root chooses. */
function program(path: string, mode = 0o755): string {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, `#!/bin/sh\ntouch '${base}/was-run'\n`, { mode });
  return path;
}

function environment(prefix: string, mark: 'pyvenv.cfg' | 'conda-meta/history'): string {
  mkdirSync(join(prefix, 'lib/python3.12/site-packages'), { recursive: true });
  mkdirSync(dirname(join(prefix, mark)), { recursive: true });
  writeFileSync(join(prefix, mark), '');
  return program(join(prefix, 'bin/python3'));
}

const find = (python: string | null, options: { user?: string } = {}) =>
  findInterpreter(python, home, { opt, path: join(base, 'bin'), ...options });

describe('the interpreter', () => {
  it("is what the run spec says: a path, a path in the home, or a program's name", () => {
    const absolute = program(join(base, 'python3.12'));
    expect(find(absolute)).toMatchObject({ path: absolute, kind: 'system', bin: base, env: {} });
    expect(find(absolute).reason).toBe(`the run spec's python is ${absolute}`);
    const own = environment(join(home, 'venv'), 'pyvenv.cfg');
    expect(find('~/venv/bin/python3')).toMatchObject({ path: own, kind: 'venv', bin: join(home, 'venv/bin') });
    const named = program(join(base, 'bin/python3.9'));
    expect(find('python3.9').path).toBe(named);
    const nearer = program(join(home, '.local/bin/python3.9'));
    expect(find('python3.9').path).toBe(nearer);
  });

  it.each([
    ['/nowhere/python3', 'does not exist on the instance'],
    ['~/venv/bin/python3', 'does not exist on the instance'],
    ['venv/bin/python3', 'is relative: give an absolute path'],
    ['python3.77', 'is not on PATH'],
  ])('that the run spec says must be there: %s', (python, reason) => {
    expect(() => find(python)).toThrow(reason);
  });

  it('that the run spec says must be a program', () => {
    mkdirSync(join(base, 'folder'));
    expect(() => find(join(base, 'folder'))).toThrow('is not a program that can be run');
    expect(() => find(program(join(base, 'plain'), 0o644))).toThrow('is not a program that can be run');
  });

  it("is the image's environment before python3 on PATH, and says so", () => {
    const onPath = program(join(base, 'bin/python3'));
    expect(find(null)).toMatchObject({ path: onPath, kind: 'system' });
    expect(find(null).reason).toContain(`python3 on PATH is ${onPath}`);
    const mine = environment(join(home, 'miniconda3'), 'conda-meta/history');
    expect(find(null)).toMatchObject({ path: mine, kind: 'conda', env: { CONDA_PREFIX: join(home, 'miniconda3') } });
    const conda = environment(join(opt, 'conda'), 'conda-meta/history');
    expect(find(null)).toMatchObject({ path: conda, kind: 'conda' });
    const pytorch = environment(join(opt, 'pytorch'), 'pyvenv.cfg');
    expect(find(null)).toMatchObject({ path: pytorch, kind: 'venv', env: { VIRTUAL_ENV: join(opt, 'pytorch') } });
    expect(find(null).reason).toBe(
      `this image keeps its environment in ${join(opt, 'pytorch')} (a virtual environment)`,
    );
  });

  it('is not an environment whose python3 leads nowhere', () => {
    const onPath = program(join(base, 'bin/python3'));
    environment(join(opt, 'pytorch'), 'pyvenv.cfg');
    rmSync(join(opt, 'pytorch/bin/python3'));
    symlinkSync('/nowhere/python3', join(opt, 'pytorch/bin/python3'));
    expect(find(null).path).toBe(onPath);
  });

  it('is missing by name, with what to do', () => {
    expect(() => find(null)).toThrow(/no python3 on PATH .*apt-get install python3.*`python` in the run spec/);
  });

  it('is never run to be chosen, and a link is not followed', () => {
    environment(join(opt, 'pytorch'), 'pyvenv.cfg');
    const real = program(join(base, 'real'));
    const link = join(opt, 'pytorch/bin/python3');
    rmSync(link);
    symlinkSync(real, link);
    expect(find(null)).toMatchObject({ path: link, kind: 'venv' });
    expect(() => rmSync(join(base, 'was-run'))).toThrow('ENOENT');
  });
});

describe('an environment that the user cannot write', () => {
  it.skipIf(!isRoot)('is seen by root for that user [needs root]', () => {
    const python = environment(join(opt, 'pytorch'), 'pyvenv.cfg');
    const site = join(opt, 'pytorch/lib/python3.12/site-packages');
    expect(find(null)).toMatchObject({ kind: 'venv' });
    const found = find(null, { user: 'nobody' });
    expect(found).toMatchObject({ path: python, kind: 'overlay' });
    expect(found.reason).toContain('that nobody cannot write');
    chmodSync(site, 0o777);
    expect(find(null, { user: 'nobody' })).toMatchObject({ kind: 'venv' });
  });

  it.skipIf(isRoot)('is seen by the user [needs somebody who is not root]', () => {
    environment(join(opt, 'pytorch'), 'pyvenv.cfg');
    chmodSync(join(opt, 'pytorch/lib/python3.12/site-packages'), 0o555);
    expect(find(null)).toMatchObject({ kind: 'overlay' });
  });

  it('has an overlay in the home: on PATH and PYTHONPATH, before its own, from the moment that it exists', () => {
    const python = environment(join(opt, 'pytorch'), 'pyvenv.cfg');
    // conda has such a link beside the real folder; it must not decide.
    symlinkSync('python3.12', join(opt, 'pytorch/lib/python3.1'));
    const name = overlayName(python);
    const overlay = join(home, '.runctl/overlays', name);
    mkdirSync(overlay, { recursive: true });
    expect(find(null)).toMatchObject({
      path: python,
      kind: 'overlay',
      bin: `${overlay}/bin:${opt}/pytorch/bin`,
      env: { PYTHONPATH: `${overlay}/lib/python3.12/site-packages`, VIRTUAL_ENV: join(opt, 'pytorch') },
    });
  });
});

/** The overlay's folder name is the interpreter's business; this makes it say it. */
function overlayName(python: string): string {
  const site = join(dirname(dirname(python)), 'lib/python3.12/site-packages');
  chmodSync(site, 0o555);
  const found = isRoot ? find(null, { user: 'nobody' }) : find(null);
  chmodSync(site, 0o755);
  const [, name] = /\.runctl\/overlays\/([^/]+)/.exec(found.env.PYTHONPATH ?? '') ?? [];
  if (!name) throw new Error(`no overlay: ${JSON.stringify(found)}`);
  return name;
}
