import { RunError } from '../core/errors.ts';

export type AwsErrorKind =
  | 'no-credentials'
  | 'expired-credentials'
  | 'wrong-credentials'
  | 'no-region'
  | 'denied'
  | 'throttled'
  | 'unreachable'
  | 'service'
  | 'other';

const NAMES: readonly (readonly [AwsErrorKind, readonly string[]])[] = [
  [
    'expired-credentials',
    ['ExpiredToken', 'ExpiredTokenException', 'ExpiredTokenError', 'RequestExpired', 'SSOTokenProviderFailure'],
  ],
  ['no-credentials', ['CredentialsProviderError', 'TokenProviderError']],
  [
    'wrong-credentials',
    [
      'InvalidClientTokenId',
      'UnrecognizedClientException',
      'InvalidAccessKeyId',
      'SignatureDoesNotMatch',
      'AuthFailure',
      'InvalidSignatureException',
    ],
  ],
  [
    'denied',
    [
      'AccessDenied',
      'AccessDeniedException',
      'UnauthorizedOperation',
      'UnauthorizedException',
      'Forbidden',
      'NotAuthorized',
    ],
  ],
  ['throttled', ['ThrottlingException', 'Throttling', 'TooManyRequestsException', 'RequestLimitExceeded', 'SlowDown']],
];
const UNREACHABLE = [
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ECONNRESET',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'EPIPE',
  'TimeoutError',
  'NetworkingError',
];

/** What an error of the AWS SDK means: by its name, else by the HTTP status, since an answer to HEAD has no name. */
export function classify(error: unknown): AwsErrorKind {
  if (error instanceof AwsError) return error.kind;
  const name = errorName(error);
  const message = error instanceof Error ? error.message : '';
  if (message === 'Region is missing') return 'no-region';
  const kind = NAMES.find(([, names]) => names.includes(name))?.[0];
  // The SDK reports an expired SSO session as an error of its credentials provider.
  if (kind === 'no-credentials' && /expired/i.test(message)) return 'expired-credentials';
  if (kind !== undefined) return kind;
  if (isUnreachable(error)) return 'unreachable';
  const status = httpStatus(error);
  if (status === 403) return 'denied';
  if (status === 429) return 'throttled';
  return status !== null && status >= 500 ? 'service' : 'other';
}

/** Whether the same call may work in a moment: the network, a service that fails, too many calls. */
export function isTransient(error: unknown): boolean {
  return ['throttled', 'unreachable', 'service'].includes(classify(error));
}

/**
 * An error of an AWS call after its retries are used up. Step Functions sees `AccessDenied` or `ServiceUnavailable`; the command line
 * reads `kind` and `action`.
 */
export class AwsError extends RunError {
  /** As IAM calls it, with what it was done to: `s3:PutObject of runs/…`. */
  readonly action: string;
  readonly kind: AwsErrorKind;
  override readonly cause: unknown;

  constructor(error: unknown, action: string) {
    const kind = classify(error);
    const isDenied = ['denied', 'no-credentials', 'expired-credentials', 'wrong-credentials'].includes(kind);
    const text = error instanceof Error ? error.message : String(error);
    super(isDenied ? 'AccessDenied' : 'ServiceUnavailable', `${action}: ${errorName(error)}: ${text}`);
    this.action = action;
    this.kind = kind;
    this.cause = error;
  }
}

/** Names the action in an error; what is a RunError already, or an abort, stays as it is. */
export function toAwsError(error: unknown, action: string): unknown {
  return error instanceof RunError || isAbort(error) ? error : new AwsError(error, action);
}

/** Makes one call of AWS. @throws AwsError that names the action */
export async function withAwsErrors<T>(action: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw toAwsError(error, action);
  }
}

/** What a call gives, or null for errors of these names. @throws AwsError for all others */
export async function unless<T>(names: readonly string[], action: string, work: Promise<T>): Promise<T | null> {
  try {
    return await work;
  } catch (error) {
    if (names.includes(errorName(error))) return null;
    throw toAwsError(error, action);
  }
}

export function isAbort(error: unknown): boolean {
  return errorName(error) === 'AbortError';
}

export function errorName(error: unknown): string {
  return error instanceof Error ? error.name : '';
}

function isUnreachable(error: unknown): boolean {
  const codes = [error, error instanceof Error ? error.cause : null].map((one) =>
    typeof one === 'object' && one !== null && 'code' in one ? String(one.code) : errorName(one),
  );
  return codes.some((code) => UNREACHABLE.includes(code)) || UNREACHABLE.includes(errorName(error));
}

/** Of an answer of AWS; null for any other error. */
export function httpStatus(error: unknown): number | null {
  const metadata = error instanceof Error && '$metadata' in error ? error.$metadata : null;
  const has = metadata !== null && typeof metadata === 'object' && 'httpStatusCode' in metadata;
  return has ? Number(metadata.httpStatusCode) : null;
}

/** For a call that may be aborted. */
export function withSignal(signal: AbortSignal | undefined): { abortSignal?: AbortSignal } {
  return signal ? { abortSignal: signal } : {};
}
