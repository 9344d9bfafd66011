import { AwsError, classify, errorName } from '../../aws/errors.ts';
import { CliError, setUpError } from '../errors.ts';

/**
 * Says in a person's words what an error of the AWS SDK means, and what to do about it.
 * @param action as IAM and the person call it, with what it was done to: `s3:PutObject to runctl-uploads-…`
 */
export function translateAwsError(error: unknown, action: string): CliError {
  if (error instanceof CliError) return error;
  if (error instanceof AwsError) return translateAwsError(error.cause, error.action);
  const message = error instanceof Error ? error.message : String(error);
  const options = { cause: error };
  switch (classify(error)) {
    case 'expired-credentials':
      return setUpError('Your AWS credentials have expired.', 'Log in again, for example with: aws sso login', options);
    case 'no-credentials':
      return setUpError(
        'There are no AWS credentials.',
        'Log in with `aws sso login` or `aws configure`, or choose a profile with AWS_PROFILE or --profile. For a cloud on this machine: eval "$(npx runctl local env)"',
        options,
      );
    case 'no-region':
      return setUpError(
        'No AWS region is set.',
        'Give --region, or set AWS_REGION, or `region` in your profile (aws configure).',
        options,
      );
    case 'wrong-credentials':
      return setUpError(
        `AWS does not accept your credentials (${errorName(error)}).`,
        'Check them with: aws sts get-caller-identity',
        options,
      );
    case 'denied':
      return setUpError(
        `You may not do ${action}: ${message}`,
        'Ask for one of the managed policies of the runctl stack (README, "Who may do what").',
        options,
      );
    case 'unreachable':
      return setUpError(
        `${action}: AWS cannot be reached (${message}).`,
        'Check the network, a proxy, and AWS_ENDPOINT_URL when it is set. Runs go on meanwhile.',
        options,
      );
    default:
      return setUpError(
        `${action}: ${errorName(error)}: ${message}`,
        'Try again; `npx runctl doctor` checks the set-up.',
        options,
      );
  }
}

/** An error as a person reads it: one of AWS with what to do about it, any other as it is. */
export function toReadable(error: unknown): unknown {
  return error instanceof AwsError ? translateAwsError(error, error.action) : error;
}
