import { describe, expect, it } from 'vitest';
import { translateAwsError } from '../../../cli/account/aws-errors.ts';
import { EXIT, usageError } from '../../../cli/errors.ts';
import { awsError } from '../../support/fakes/sdk-client.ts';

const translated = (name: string, message = name) => translateAwsError(awsError(name, message), 's3:PutObject to b');

describe('an error of the AWS SDK', () => {
  it.each([
    ['CredentialsProviderError', 'Could not load credentials', /No AWS credentials/, /aws sso login/],
    ['CredentialsProviderError', 'The SSO session has expired', /expired/, /aws sso login/],
    ['ExpiredToken', 'The provided token has expired.', /expired/, /aws sso login/],
    ['InvalidClientTokenId', 'The security token is invalid', /does not accept/, /get-caller-identity/],
    ['Error', 'Region is missing', /No AWS region/, /--region/],
    [
      'AccessDenied',
      'not authorized to perform: s3:PutObject',
      /not allowed to call s3:PutObject to b/,
      /managed policies/,
    ],
    ['TimeoutError', 'socket hang up', /cannot be reached/, /AWS_ENDPOINT_URL/],
    ['SlowDown', 'Reduce your rate', /s3:PutObject to b failed: SlowDown: Reduce/, /doctor/],
  ])('%s is reported with its next step', (name, message, what, next) => {
    const error = translated(name, message);
    expect(error.message).toMatch(what);
    expect(error.next).toMatch(next);
    expect(error.exitCode).toBe(EXIT.setUp);
  });

  it('of the network is known by its code, also deep inside', () => {
    const inner = Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:1'), { code: 'ECONNREFUSED' });
    expect(translateAwsError(inner, 'x').message).toContain('cannot be reached');
    expect(translateAwsError(new Error('failed', { cause: inner }), 'x').message).toContain('cannot be reached');
  });

  it('that is ours already stays', () => {
    const ours = usageError('no', 'do');
    expect(translateAwsError(ours, 'x')).toBe(ours);
  });
});
