import { expect, it } from 'vitest';
import { checkEnvironment } from '../../../cli/project/environment.ts';
import type { SpecInput } from '../../../core/spec/spec.ts';

function check(...sources: SpecInput[]) {
  const warnings: string[] = [];
  const secrets = checkEnvironment({ warn: (line: string) => warnings.push(line) }, ...sources);
  return { secrets, warnings };
}

it('warns of each value in env that looks like a secret, with what to write instead and without the value', () => {
  const { warnings } = check({ env: { HF_TOKEN: 'hf_1', COMET_KEY: 'hf_2', SEED: '1' } });
  expect(warnings).toHaveLength(2);
  expect(warnings[0]).toMatch(/^env HF_TOKEN looks like a secret.* secrets: HF_TOKEN: ssm:\/path\/name\.$/);
  expect(warnings.join()).not.toContain('hf_');
});

it('takes the last source for env and for secrets, as a run does', () => {
  const file = { env: { HF_TOKEN: 'hf_1' }, secrets: { A: 'ssm:/a' } };
  expect(check(file, { env: {} })).toEqual({ secrets: { A: 'ssm:/a' }, warnings: [] });
  expect(check(file, { env: {}, secrets: { HF_TOKEN: 'ssm:/hf' } }).secrets).toEqual({ HF_TOKEN: 'ssm:/hf' });
});

it('refuses a name that the file has in env and an option in secrets, before anything is sent', () => {
  expect(() => check({ env: { HF_TOKEN: 'hf_1' } }, { secrets: { HF_TOKEN: 'ssm:/hf' } })).toThrow(
    /HF_TOKEN is in both env and secrets/,
  );
});
