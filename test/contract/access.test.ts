import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { asList, joined, synthesize } from '../support/lib/synth.ts';

const CLI = fileURLToPath(new URL('../../cli', import.meta.url));
const aws = synthesize();
afterAll(() => aws.remove());

/** What IAM calls a call of the SDK where the names differ. A bucket's HEAD is a list of it, an object's a GET. */
const ACTIONS: Readonly<Record<string, string | null>> = {
  GetCallerIdentity: null, // Needs no permission.
  HeadBucket: 's3:ListBucket',
  HeadObject: 's3:GetObject',
  ListObjectsV2: 's3:ListBucket',
};

describe('the operator’s policy', () => {
  it('allows every call that the command line makes', () => {
    const policy = aws
      .of('AWS::IAM::ManagedPolicy')
      .find(({ Properties }) => joined(Properties.ManagedPolicyName) === 'runctl-operator-eu-central-1');
    const document = policy?.Properties.PolicyDocument as { Statement: { Action: string | string[] }[] } | undefined;
    const allowed = (document?.Statement ?? []).flatMap(({ Action }) => asList(Action));
    const files = readdirSync(CLI, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'));
    const calls = files.flatMap((name) =>
      [...readFileSync(join(CLI, name), 'utf8').matchAll(/new (\w+)Command\(/g)].map((match) => match[1] ?? ''),
    );
    expect(calls.length).toBeGreaterThan(10);
    const missing = [...new Set(calls)].filter((call) => {
      const action = call in ACTIONS ? ACTIONS[call] : call;
      return action != null && !allowed.some((one) => one === action || one.endsWith(`:${action}`));
    });
    expect(missing).toEqual([]);
  });
});
