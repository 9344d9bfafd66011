import { describe, expect, it } from 'vitest';
import { maskSpec } from '../../../core/spec/mask.ts';

const args = (...list: unknown[]) => (maskSpec({ args: list }) as { args: unknown[] }).args;

describe('maskSpec', () => {
  it('hides values of names that look like secrets, and shows the names', () => {
    const env = { HF_TOKEN: 'hf_1', WANDB_API_KEY: 'w1', db_password: 'p', EPOCHS: '3', AWS_SECRET_ACCESS_KEY: 's' };
    expect(maskSpec({ project: 'demo', env })).toEqual({
      project: 'demo',
      env: { HF_TOKEN: '***', WANDB_API_KEY: '***', db_password: '***', EPOCHS: '3', AWS_SECRET_ACCESS_KEY: '***' },
    });
  });

  it('shows references, and hides what was written in their place', () => {
    const secrets = { A: 'ssm:/team/wandb', B: 'secretsmanager:hf#token', C: 'hf_1', D: 7 };
    expect(maskSpec({ secrets })).toEqual({ secrets: { ...secrets, C: '***', D: '***' } });
    for (const odd of ['hf_1', ['hf_1'], 7, null]) expect(maskSpec({ secrets: odd })).toEqual({ secrets: '***' });
  });

  it('hides them in arguments, beside the option or behind it', () => {
    expect(args('--api-key', 'k1', '--epochs', '3')).toEqual(['--api-key', '***', '--epochs', '3']);
    expect(args('--password=p=1', '-token=x', '--lr=1')).toEqual(['--password=***', '-token=***', '--lr=1']);
    expect(args('--hf_token', 'a', 'b')).toEqual(['--hf_token', '***', 'b']);
  });

  it('does not take an option for the value of the option before it', () => {
    expect(args('--use-token', '--epochs', '3')).toEqual(['--use-token', '--epochs', '3']);
    expect(args('--password=', 'next')).toEqual(['--password=***', 'next']);
    expect(args('token', 'word')).toEqual(['token', 'word']);
  });

  it('leaves input alone that is not a spec, which a rejected run may have', () => {
    for (const odd of [null, 'text', 7, undefined]) expect(maskSpec(odd)).toBe(odd);
    expect(maskSpec({ env: 'x', args: 'y' })).toEqual({ env: 'x', args: 'y' });
    expect(args(1, null, { a: 1 })).toEqual([1, null, { a: 1 }]);
  });

  it('changes nothing of what it was given', () => {
    const spec = { env: { HF_TOKEN: 'hf_1' }, args: ['--api-key', 'k1'] };
    maskSpec(spec);
    expect(spec).toEqual({ env: { HF_TOKEN: 'hf_1' }, args: ['--api-key', 'k1'] });
  });

  // Reported with issue 5. A spec is rejected just when a key of it is misspelt; `it` in place of `it.fails` once it is mended.
  it.fails('hides them under a key that is misspelt, and as a key of their own', () => {
    const masked = JSON.stringify(maskSpec({ evn: { HF_TOKEN: 'hf_1' }, api_key: 'k1' }));
    expect(masked).not.toMatch(/hf_1|k1/);
  });
});
