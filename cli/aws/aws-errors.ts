import { CliError, setUpError } from '../errors.ts';

const NO_CREDENTIALS = ['CredentialsProviderError', 'TokenProviderError'];
const EXPIRED = [
  'ExpiredToken',
  'ExpiredTokenException',
  'ExpiredTokenError',
  'RequestExpired',
  'SSOTokenProviderFailure',
];
const WRONG_CREDENTIALS = [
  'InvalidClientTokenId',
  'UnrecognizedClientException',
  'InvalidAccessKeyId',
  'SignatureDoesNotMatch',
  'AuthFailure',
  'InvalidSignatureException',
];
const DENIED = [
  'AccessDenied',
  'AccessDeniedException',
  'UnauthorizedOperation',
  'UnauthorizedException',
  'Forbidden',
  'NotAuthorized',
];
const UNREACHABLE = ['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'ECONNRESET', 'ETIMEDOUT', 'EHOSTUNREACH', 'EPIPE'];

/**
 * Says in a person's words what an error of the AWS SDK means, and what to do about it.
 * @param action as IAM and the person call it, with what it was done to: `s3:PutObject to runctl-uploads-…`
 */
export function translateAwsError(error: unknown, action: string): CliError {
  if (error instanceof CliError) return error;
  const name = nameOf(error);
  const message = error instanceof Error ? error.message : String(error);
  const options = { cause: error };
  // The SDK says an expired SSO session by its credentials provider.
  if (EXPIRED.includes(name) || (NO_CREDENTIALS.includes(name) && /expired/i.test(message)))
    return setUpError('Your AWS credentials have expired.', 'Log in again, for example with: aws sso login', options);
  if (NO_CREDENTIALS.includes(name))
    return setUpError(
      'There are no AWS credentials.',
      'Log in with `aws sso login` or `aws configure`, or choose a profile with AWS_PROFILE or --profile. For a cloud on this machine: eval "$(npx runctl local env)"',
      options,
    );
  if (message === 'Region is missing')
    return setUpError(
      'No AWS region is set.',
      'Give --region, or set AWS_REGION, or `region` in your profile (aws configure).',
      options,
    );
  if (WRONG_CREDENTIALS.includes(name))
    return setUpError(
      `AWS does not accept your credentials (${name}).`,
      'Check them with: aws sts get-caller-identity',
      options,
    );
  if (DENIED.includes(name))
    return setUpError(
      `You may not do ${action}: ${message}`,
      'Ask for one of the managed policies of the runctl stack (README, "Who may do what").',
      options,
    );
  if (isUnreachable(error))
    return setUpError(
      `${action}: AWS cannot be reached (${message}).`,
      'Check the network, a proxy, and AWS_ENDPOINT_URL when it is set. Runs go on meanwhile.',
      options,
    );
  return setUpError(`${action}: ${name}: ${message}`, 'Try again; `npx runctl doctor` checks the set-up.', options);
}

/** Does one thing at AWS, and translates its error. */
export async function at<T>(action: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (isAbort(error)) throw error;
    throw translateAwsError(error, action);
  }
}

/** The network, not an answer: it may work again in a moment. */
export function isUnreachable(error: unknown): boolean {
  const codes = [error, error instanceof Error ? error.cause : null].map((one) =>
    typeof one === 'object' && one !== null && 'code' in one ? String(one.code) : nameOf(one),
  );
  return codes.some((code) => UNREACHABLE.includes(code) || code === 'TimeoutError' || code === 'NetworkingError');
}

export function isAbort(error: unknown): boolean {
  return nameOf(error) === 'AbortError';
}

export function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : '';
}
