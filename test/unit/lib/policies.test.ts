import { describe, expect, it } from 'vitest';
import { type IamRequest, isAllowed, type Statement } from '../../support/lib/policies.ts';

const allow = (changes: Partial<Statement> = {}): Statement => ({
  Effect: 'Allow',
  Action: 's3:GetObject',
  Resource: 'arn:aws:s3:::b/uploads/*',
  ...changes,
});
const request = (changes: Partial<IamRequest> = {}): IamRequest => ({
  action: 's3:GetObject',
  resource: 'arn:aws:s3:::b/uploads/x.tar.gz',
  ...changes,
});

describe('the policy evaluator', () => {
  it.each([
    ['an action and a resource that match', [allow()], request(), true],
    ['no statement', [], request(), false],
    ['another action', [allow()], request({ action: 's3:PutObject' }), false],
    ['another resource', [allow()], request({ resource: 'arn:aws:s3:::b/runs/x' }), false],
    ['a resource that only begins alike', [allow({ Resource: 'arn:aws:s3:::b' })], request(), false],
    ['an action in another case', [allow({ Action: 'S3:getobject' })], request(), true],
    ['a resource in another case', [allow({ Resource: 'arn:aws:s3:::B/uploads/*' })], request(), false],
    ['a dot, which stands for itself', [allow({ Resource: 'arn:aws:s3:::b/uploads/x.tar?gz' })], request(), true],
    ['no other character for a dot', [allow({ Resource: 'arn:aws:s3:::b/uploads/x.t.r.gz' })], request(), false],
    ['lists', [allow({ Action: ['x:Y', 's3:Get*'], Resource: ['arn:x', '*'] })], request(), true],
    ['a Deny beside an Allow', [allow(), allow({ Effect: 'Deny' })], request(), false],
    ['a Deny of another action', [allow(), allow({ Effect: 'Deny', Action: 's3:PutObject' })], request(), true],
  ])('%s', (_, statements, asked, expected) => {
    expect(isAllowed(statements, asked)).toBe(expected);
  });

  it('needs every condition key, with one of its values', () => {
    const tagged = [allow({ Condition: { StringEquals: { tag: ['a', 'b'], other: 'c' } } })];
    expect(isAllowed(tagged, request({ context: { tag: 'b', other: 'c' } }))).toBe(true);
    expect(isAllowed(tagged, request({ context: { tag: 'x', other: 'c' } }))).toBe(false);
    expect(isAllowed(tagged, request({ context: { tag: 'a' } }))).toBe(false);
    expect(isAllowed(tagged, request())).toBe(false);
  });

  it('refuses to judge what it does not know', () => {
    const odd = allow({ Condition: { NumericLessThan: { 's3:max-keys': '1' } } });
    expect(() => isAllowed([odd], request())).toThrow('NumericLessThan');
    expect(() => isAllowed([{ ...allow(), NotAction: 'x' } as Statement], request())).toThrow('NotAction');
  });
});
