import { AwsError, classify, errorName } from '../../aws/errors.ts';
import { CliError, setUpError } from '../errors.ts';

/**
 * Explains an error of the AWS SDK, with what to do about it.
 * @param action as IAM calls it, with its object: `s3:PutObject to runctl-uploads-…`
 */
export function translateAwsError(error: unknown, action: string): CliError {
  if (error instanceof CliError) return error;
  if (error instanceof AwsError) return translateAwsError(error.cause, error.action);
  const message = error instanceof Error ? error.message : String(error);
  const options = { cause: error };
  switch (classify(error)) {
    case 'expired-credentials':
      return setUpError('Your AWS credentials have expired.', 'Log in again, for example: aws sso login', options);
    case 'no-credentials':
      return setUpError(
        'No AWS credentials were found.',
        'Log in with `aws sso login` or `aws configure`, or choose a profile with AWS_PROFILE or --profile. To use the local cloud: eval "$(runctl local env)"',
        options,
      );
    case 'no-region':
      return setUpError(
        'No AWS region is set.',
        'Give --region, set AWS_REGION, or set the region of your profile: aws configure',
        options,
      );
    case 'wrong-credentials':
      return setUpError(
        `AWS does not accept your credentials (${errorName(error)}).`,
        'To check them: aws sts get-caller-identity',
        options,
      );
    case 'denied':
      return setUpError(
        `You are not allowed to call ${action}: ${message}`,
        'Ask an administrator for one of the managed policies of runctl (docs/reference/permissions.md).',
        options,
      );
    case 'unreachable':
      return setUpError(
        `AWS cannot be reached for ${action}: ${message}`,
        'Check the network, the proxy, and AWS_ENDPOINT_URL if it is set. Runs continue meanwhile.',
        options,
      );
    default:
      return setUpError(
        `${action} failed: ${errorName(error)}: ${message}`,
        'Try again, or check the setup: runctl doctor',
        options,
      );
  }
}

/** Translates an error of AWS; returns any other unchanged. */
export function toReadable(error: unknown): unknown {
  return error instanceof AwsError ? translateAwsError(error, error.action) : error;
}
