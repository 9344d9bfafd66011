import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { asList, joined, synthesize } from '../support/lib/synth.ts';

const CLI = fileURLToPath(new URL('../../cli', import.meta.url));
const AWS = fileURLToPath(new URL('../../aws/', import.meta.url));
const aws = synthesize();
afterAll(() => aws.remove());

/** What IAM calls a call of the SDK where the names differ. A bucket's HEAD is a list of it, an object's a GET. */
const ACTIONS: Readonly<Record<string, string | null>> = {
  GetCallerIdentity: null, // Needs no permission.
  HeadBucket: 's3:ListBucket',
  HeadObject: 's3:GetObject',
  ListObjectsV2: 's3:ListBucket',
};

function cliFiles(): string[] {
  const names = readdirSync(CLI, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'));
  return names.map((name) => join(CLI, name));
}

/** The files of aws/ that the command line imports, and those that they import. */
function sharedClients(): string[] {
  const found = new Set<string>();
  const visit = (file: string): void => {
    for (const [, path = ''] of readFileSync(file, 'utf8').matchAll(
      /^(?:import|export) (?!type )[^;]*from '(\..*)';$/gm,
    )) {
      const target = resolve(dirname(file), path);
      if (!target.startsWith(AWS) || found.has(target)) continue;
      found.add(target);
      visit(target);
    }
  };
  for (const file of cliFiles()) visit(file);
  return [...found];
}

describe('the operator’s policy', () => {
  it('allows every call that the command line makes', () => {
    const policy = aws
      .of('AWS::IAM::ManagedPolicy')
      .find(({ Properties }) => joined(Properties.ManagedPolicyName) === 'runctl-operator-eu-central-1');
    const document = policy?.Properties.PolicyDocument as { Statement: { Action: string | string[] }[] } | undefined;
    const allowed = (document?.Statement ?? []).flatMap(({ Action }) => asList(Action));
    const sources = [...cliFiles(), ...sharedClients()].map((file) => readFileSync(file, 'utf8'));
    const calls = sources.flatMap((text) => [...text.matchAll(/new (\w+)Command\(/g)].map((match) => match[1] ?? ''));
    expect(calls).toContain('StartExecution');
    expect(calls.length).toBeGreaterThan(10);
    const missing = [...new Set(calls)].filter((call) => {
      const action = call in ACTIONS ? ACTIONS[call] : call;
      return action != null && !allowed.some((one) => one === action || one.endsWith(`:${action}`));
    });
    expect(missing).toEqual([]);
  });
});
