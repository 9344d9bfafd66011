import { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { scriptArguments, specOf } from '../../../cli/project/spec-from-options.ts';
import { addSpecOptions } from '../../../cli/project/spec-options.ts';
import { type SpecInput, specSchema } from '../../../core/spec/spec.ts';

/** What `run` makes of a command line. */
function read(...argv: string[]): SpecInput {
  let spec: SpecInput = {};
  const program = new Command('runctl').exitOverride();
  const run = program
    .command('run')
    .argument('[words...]')
    .exitOverride()
    .configureOutput({ writeErr: () => undefined });
  addSpecOptions(run).action((words: string[], options: Record<string, unknown>, self: Command) => {
    spec = specOf(options, scriptArguments(self, words));
  });
  program.parse(['run', ...argv], { from: 'user' });
  return spec;
}

describe('the options of the run spec', () => {
  it('are one for each key', () => {
    const flags = addSpecOptions(new Command()).options.map((option) => option.attributeName());
    const keys = flags.map((flag) => ({ secret: 'secrets', metric: 'metrics' })[flag] ?? flag);
    expect([...keys, 'args', 'sent'].sort()).toEqual(Object.keys(specSchema.shape).sort());
  });

  it('give a spec, checked as everywhere; what stands after -- is the script’s', () => {
    const long = read(
      '--max-duration',
      '6h',
      '--max-cost',
      '2.5',
      '--env',
      'A=1=2',
      '--env',
      'B=',
      '--outputs',
      'a/**',
      '--outputs',
      'b',
      '--',
      '--epochs',
      '--',
      'x',
    );
    expect(long).toEqual({
      maxDuration: '6h',
      maxCost: 2.5,
      env: { A: '1=2', B: '' },
      outputs: ['a/**', 'b'],
      args: ['--epochs', '--', 'x'],
    });
    expect(read()).toEqual({});
    expect(() => read('--instance', 'mine')).toThrow(/the options: instance is an id/);
    expect(() => read('--install', 'perhaps')).toThrow(/Allowed choices are best-effort/);
    expect(() => read('--max-cost', '$5')).toThrow('--max-cost "$5" is not a number.');
    expect(() => read('--max-cost', '')).toThrow('is not a number');
    expect(() => read('--max-cost', '0')).toThrow('the options: maxCost is more than 0');
    expect(() => read('--env', 'A')).toThrow('"A" is not NAME=value.');
  });

  it('take metrics one by one, by name and expression', () => {
    const spec = read(
      '--metric',
      'score=Score=([0-9.]+)',
      '--metric',
      'b=(.)',
      '--headline',
      'score',
      '--headline',
      'b',
    );
    expect(spec).toEqual({
      metrics: [
        { name: 'score', regex: 'Score=([0-9.]+)' },
        { name: 'b', regex: '(.)' },
      ],
      headline: ['score', 'b'],
    });
    expect(() => read('--metric', '=(.)')).toThrow('--metric "=(.)" has no name.');
    expect(() => read('--metric', 'a=.')).toThrow(/the options: metrics\.0\.regex has no group/);
  });

  it('take references to secrets one by one, and repeat no word that may be the secret itself', () => {
    expect(read('--secret', 'A=ssm:/a', '--secret', 'B=secretsmanager:b#k=1')).toEqual({
      secrets: { A: 'ssm:/a', B: 'secretsmanager:b#k=1' },
    });
    for (const words of [
      ['hf_value'],
      ['=hf_value'],
      ['HF_TOKEN=hf_value'],
      ['HF_TOKEN=ssm:/a', '--env', 'HF_TOKEN=hf_value'],
    ]) {
      let message = '';
      try {
        read('--secret', ...words);
      } catch (error) {
        message = String(error);
      }
      expect(message).toMatch(/secret/);
      expect(message).not.toContain('hf_value');
    }
  });

  it('refuse a word before --, and say what it may have been meant for', () => {
    expect(() => read('train.py')).toThrow(
      expect.objectContaining({ next: expect.stringContaining('--script train.py') }),
    );
    expect(() => read('train.py', '--', '1')).toThrow('"train.py" is not an option.');
  });
});
