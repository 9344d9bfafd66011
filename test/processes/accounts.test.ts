import { execFileSync } from 'node:child_process';
import { userInfo } from 'node:os';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RUNNER_FOLDER } from '../support/instance/test-instance.ts';

const ASK = fileURLToPath(new URL('accounts.py', import.meta.url));

interface Case {
  /** uid by name: the password database. */
  readonly users: Readonly<Record<string, number>>;
  /** The key `user` of the run, or the instance's tag. */
  readonly user: string | null;
  /** Users that the instance's tags allow; null: a request of an older version. */
  readonly allowed: readonly string[] | null;
  /** Keys of runs that have folders on the instance. */
  readonly runs: readonly string[];
  readonly canCreate: boolean;
  readonly allowRoot: boolean;
}

type Answer = string | [name: string, uid: number, created: string[]];

function ask(cases: readonly Partial<Case>[]): Answer[] {
  const usual: Case = { users: {}, user: null, allowed: [], runs: ['own'], canCreate: true, allowRoot: false };
  const input = JSON.stringify(cases.map((one) => ({ ...usual, ...one })));
  return JSON.parse(execFileSync('python3', ['-B', ASK, RUNNER_FOLDER], { input, encoding: 'utf8' })) as Answer[];
}

const IMAGE = { root: 0, postgres: 114, ubuntu: 1000, anna: 1001 };

describe('a runner of root', () => {
  it.each<[string, Partial<Case>, Answer]>([
    ['creates its own user on an instance without runs', { users: IMAGE }, ['runctl', 1500, ['runctl']]],
    ['uses its own user when that exists', { users: { ...IMAGE, runctl: 1002 } }, ['runctl', 1002, []]],
    ['keeps the image’s user on an instance that had runs', { users: IMAGE, runs: ['a', 'own'] }, ['ubuntu', 1000, []]],
    ['says when it cannot create its user', { users: IMAGE, canCreate: false }, 'NoUser'],
    ['runs jobs of a user that the tags allow', { users: IMAGE, user: 'anna', allowed: ['anna'] }, ['anna', 1001, []]],
    ['refuses a user that the tags do not name', { users: IMAGE, user: 'anna', allowed: ['ubuntu'] }, 'UserNotAllowed'],
    ['refuses root', { users: IMAGE, user: 'root', allowed: ['root'] }, 'UserNotAllowed'],
    ['refuses root under another name', { users: { toor: 0 }, user: 'toor', allowed: ['toor'] }, 'UserNotAllowed'],
    ['refuses users of the system', { users: IMAGE, user: 'postgres', allowed: ['postgres'] }, 'UserNotAllowed'],
    ['says when there is no such user', { users: IMAGE, user: 'bob', allowed: ['bob'] }, 'NoUser'],
    [
      'runs jobs of root where root has allowed it',
      { users: IMAGE, user: 'root', allowed: ['root'], allowRoot: true },
      ['root', 0, []],
    ],
  ])('%s', (_, input, expected) => {
    expect(ask([input])).toEqual([expected]);
  });

  it('never becomes root or a user of the system, whatever the request and the password database', () => {
    const name = fc.constantFrom('root', 'toor', 'postgres', 'ubuntu', 'ec2-user', 'anna', 'runctl');
    const uid = fc.oneof(fc.constantFrom(0, 1, 999, 1000), fc.integer({ min: 0, max: 70_000 }));
    const cases = fc.sample(
      fc.record({
        users: fc.dictionary(name, uid),
        user: fc.option(name),
        allowed: fc.option(fc.array(name, { maxLength: 3 })),
        runs: fc.constantFrom(['own'], ['a', 'own']),
        canCreate: fc.boolean(),
      }),
      3_000,
    );
    const answers = ask(cases);
    const started = answers.flatMap((answer, at) => (typeof answer === 'string' ? [] : [{ answer, input: cases[at] }]));
    expect(started.length).toBeGreaterThan(300);
    for (const { answer, input } of started) {
      expect(answer[1], JSON.stringify(input)).toBeGreaterThanOrEqual(1000);
      if (input?.user && input.allowed && input.user !== 'runctl') expect(input.allowed).toContain(input.user);
    }
  });
});

it('a runner of another user runs the jobs of that user alone', () => {
  const script = `
import json, sys
sys.path.insert(0, sys.argv[1])
from common import accounts
accounts.os.geteuid = lambda: ${userInfo().uid === 0 ? 65534 : userInfo().uid}
print(accounts.find({"root": "/", "home": "/", "user": "root", "users": [], "run": {"key": "own"}}).uid)`;
  const uid = execFileSync('python3', ['-B', '-c', script, RUNNER_FOLDER], { encoding: 'utf8' });
  expect(Number(uid)).toBe(userInfo().uid === 0 ? 65534 : userInfo().uid);
});
