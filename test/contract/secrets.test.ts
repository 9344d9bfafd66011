import fc from 'fast-check';
import { expect, it } from 'vitest';
import { isSecretReference } from '../../core/spec/secrets.ts';
import { parseSpec } from '../../core/spec/spec.ts';
import { python } from '../support/secrets/python.ts';

/** Whether the schema takes a spec. */
function takes(secrets: Record<string, string>): boolean {
  try {
    parseSpec({ secrets }, 'a test');
    return true;
  } catch {
    return false;
  }
}

const ARN = 'arn:aws:secretsmanager:eu-central-1:111122223333:secret:';
const PIECES = ['ssm:', 'secretsmanager:', ARN, '/', 'team', '#', ':', '3', ' ', '\n', 'é', '+=.@-', 'x'.repeat(511)];

it('the schema and the runner take the same references', async () => {
  const pieces = (options: object) => fc.array(fc.constantFrom(...PIECES), options).map((parts) => parts.join(''));
  const beginning = fc.constantFrom('ssm:/', `secretsmanager:${ARN}`);
  const likely = fc.tuple(beginning, pieces({ minLength: 1, maxLength: 2 })).map((parts) => parts.join(''));
  const texts = [...fc.sample(pieces({ maxLength: 6 }), 2_000), ...fc.sample(likely, 500)];
  const code = `from common.secrets import references
print(json.dumps([references.parse(text) is not None for text in asked]))`;
  const runner = await python<boolean[]>(code, texts);
  expect(texts.filter((text, index) => isSecretReference(text) !== runner[index])).toEqual([]);
  expect(runner.filter((taken) => taken).length).toBeGreaterThan(20);
});

it('the schema and the runner take the same names, and as many', async () => {
  const names = ['PATH', 'LD_', 'LD_PRELOAD', 'PYTHON', 'PYTHONPATH', 'RUNCTL_X', 'AWS_SSM_X', 'TMPDIR', 'HOME', 'ENV'];
  const tried = [...names, ...names.map((name) => `X${name}`), ...names.map((name) => name.toLowerCase())];
  tried.push('', '1A', 'A B', 'A=', 'é', 'A\n', 'HF_TOKEN', '_', 'a'.repeat(128), 'a'.repeat(129), 'LANG\n', 'LD_\n');
  const code = `from common.secrets import references
print(json.dumps([[references.is_allowed_name(name) for name in asked], references.MAX_SECRETS]))`;
  const [runner, most] = await python<[boolean[], number]>(code, tried);
  expect(tried.filter((name, index) => takes({ [name]: 'ssm:/a' }) !== runner[index])).toEqual([]);
  const many = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, n) => [`S${n}`, 'ssm:/a']));
  expect([takes(many(most)), takes(many(most + 1))]).toEqual([true, false]);
});
