import { describe, expect, it } from 'vitest';
import {
  badRequirements,
  defaultRequirements,
  missingRequirements,
  requirementsFile,
} from '../../../core/spec/requirements.ts';

const PROJECT = '[project]\nname = "a"\ndependencies = ["numpy"]\n';

describe('the default requirements', () => {
  it.each([
    [['uv.lock', 'pyproject.toml', 'pylock.toml', 'requirements.txt'], 'uv.lock'],
    [['pyproject.toml', 'pylock.toml', 'requirements.txt'], 'pylock.toml'],
    [['uv.lock', 'requirements.txt'], 'requirements.txt'],
    [['pyproject.toml', 'requirements.txt'], 'requirements.txt'],
    [['pyproject.toml', 'train.py'], 'pyproject.toml'],
    [['train.py', 'sub/requirements.txt', 'environment.yml'], null],
  ])('of %j are %s', (names, file) => {
    const pyproject = names.includes('pyproject.toml') ? PROJECT : null;
    expect(defaultRequirements(names, pyproject, undefined)?.value ?? null).toBe(file);
  });

  it('are not uv.lock where pip installs', () => {
    expect(defaultRequirements(['uv.lock', 'pyproject.toml'], PROJECT, 'pip')?.value).toBe('pyproject.toml');
  });

  it.each([
    ['[project]\nname = "a"\n', false],
    ['[project]\nname = "a"\ndependencies = []\n', false],
    ['[project]\nname = "a"\ndynamic = ["dependencies"]\n', true],
    ['[tool.poetry.dependencies]\npython = "^3.10"\n', false],
    ['[tool.poetry.dependencies]\npython = "^3.10"\ntorch = "2"\n', true],
    ['[tool.ruff]\n', false],
    ['not TOML', false],
  ])('are the pyproject.toml %j only with dependencies: %s', (text, isChosen) => {
    expect(defaultRequirements(['pyproject.toml'], text, 'auto') !== null).toBe(isChosen);
  });
});

describe('the key requirements', () => {
  it.each(['requirements.txt', 'deps/gpu.in', 'gpu', 'a/pyproject.toml', 'pyproject.toml[train]'])(
    'takes %s',
    (value) => {
      expect(badRequirements(value)).toBeNull();
    },
  );

  it.each(['pyproject.toml[a, b-c]', 'uv.lock', 'uv.lock[x]', 'pylock.toml', 'pylock.gpu.toml', 'environment.yaml'])(
    'takes %s',
    (value) => expect(badRequirements(value)).toBeNull(),
  );

  it.each(['poetry.lock', 'setup.py', 'setup.cfg', 'Pipfile', 'conda.yml', 'other.toml'])('refuses %s', (value) => {
    expect(badRequirements(value)).toBe(
      `names ${value}, which is not read: name a requirements.txt, pyproject.toml, uv.lock, pylock.toml or environment.yml`,
    );
  });

  it.each(['requirements.txt[train]', 'pylock.toml[train]'])('refuses extras of %s', (value) => {
    expect(badRequirements(value)).toMatch(/^has extras in brackets, which only/);
  });

  it.each(['pyproject.toml[]', 'pyproject.toml[a b]', 'pyproject.toml[a,]'])('refuses %s', (value) => {
    expect(badRequirements(value)).toMatch(/extras that are not names/);
  });

  it('names the file without its extras, and what is missing', () => {
    expect(requirementsFile('a/pyproject.toml[train]')).toBe('a/pyproject.toml');
    expect(missingRequirements('pyproject.toml[train]', ['pyproject.toml'])).toBeNull();
    expect(missingRequirements('r.txt', ['a/r.txt'])).toBe('r.txt');
    expect(missingRequirements('a/uv.lock', ['a/uv.lock', 'pyproject.toml'])).toBe('a/pyproject.toml');
  });
});
