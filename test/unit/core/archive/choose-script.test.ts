import { describe, expect, it } from 'vitest';
import { chooseScript, ScriptNotFound } from '../../../../core/archive/choose-script.ts';

function missing(files: readonly string[], wanted: string | null): ScriptNotFound {
  try {
    chooseScript(files, wanted);
  } catch (error) {
    if (error instanceof ScriptNotFound) return error;
    throw error;
  }
  throw new Error('a script was found');
}

describe('without a script in the spec', () => {
  it('the only one of train.py and main.py at the top is taken', () => {
    expect(chooseScript(['a.py', 'train.py', 'src/main.py'], null)).toEqual({ script: 'train.py' });
    expect(chooseScript(['main.py', 'tests/train.py'], null)).toEqual({ script: 'main.py' });
  });

  it('both are one too many', () => {
    const error = missing(['main.py', 'train.py', 'a.txt'], null);
    expect(error.name).toBe('ScriptNotFound');
    expect(error.message).toBe(
      'Both train.py and main.py are there: say which one to run with the key script. Python files found: "main.py", "train.py".',
    );
  });

  it('neither lists the Python files, the nearest first', () => {
    const error = missing(['z/y/x.py', 'src/train.py', 'run.py', 'README.md', 'a/b.py', 'Train.PY'], null);
    expect(error.candidates).toEqual(['run.py', 'a/b.py', 'src/train.py', 'z/y/x.py']);
    expect(error.message).toBe(
      'There is neither train.py nor main.py at the top: say what to run with the key script. ' +
        'Python files found: "run.py", "a/b.py", "src/train.py", "z/y/x.py".',
    );
  });

  it('files that nobody wrote are no candidates, and the list is short', () => {
    const others = ['._run.py', '.venv/lib/a.py', 'venv/lib/python3/site-packages/b.py', 'node_modules/gyp/c.py'];
    expect(missing([...others, 'run.py'], null).candidates).toEqual(['run.py']);
    const many = missing(
      Array.from({ length: 5000 }, (_, index) => `f${index}.py`),
      null,
    );
    expect(many.candidates).toHaveLength(10);
    expect(many.message).toMatch(/"f1002\.py"?.*, and 4990 more\.$/);
    expect(many.message.length).toBeLessThan(400);
  });

  it('no Python file at all is said', () => {
    expect(missing(['data.csv'], null).message).toMatch(/The archive has no Python file\.$/);
    expect(missing(['nb/a.ipynb', 'b.ipynb'], null).message).toMatch(
      /has no Python file\. To make one of a notebook: jupyter nbconvert --to script "b\.ipynb"$/,
    );
    expect(missing([], null).candidates).toEqual([]);
  });
});

describe('with a script in the spec', () => {
  it('it is taken where it is, whatever it is called', () => {
    expect(chooseScript(['src/fit.py', 'train.py'], 'src/fit.py')).toEqual({ script: 'src/fit.py' });
    expect(chooseScript(['src/fit.py'], './src//fit.py')).toEqual({ script: 'src/fit.py' });
    expect(chooseScript(['tool'], 'tool')).toEqual({ script: 'tool' });
  });

  it('in another folder, or in other letters, it is named first', () => {
    const files = ['a.py', 'x/y/fit.py', 'src/fit.py', 'b.py'];
    const error = missing(files, 'fit.py');
    expect(error.message).toContain('There is no "fit.py" in the archive: did you mean "src/fit.py"?');
    expect(error.candidates).toEqual(['src/fit.py', 'x/y/fit.py', 'a.py', 'b.py']);
    expect(missing(['Fit.py'], 'fit.py').message).toContain('did you mean "Fit.py"?');
    expect(missing(['src/fit.py'], 'lib/fit.py').message).toContain('did you mean "src/fit.py"?');
    expect(missing(['bin/tool', 'a.py'], 'tool')).toMatchObject({
      candidates: ['a.py'],
      message: expect.stringContaining('did you mean "bin/tool"?'),
    });
  });

  it('nowhere, it is missing, and the candidates are listed', () => {
    expect(missing(['a.py'], 'fit.py').message).toBe(
      'There is no "fit.py" in the archive: say what to run with the key script. Python files found: "a.py".',
    );
  });
});
