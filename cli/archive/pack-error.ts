import { CliError, EXIT } from '../errors.ts';

/** A folder could not be packed; `next` says what to do about it. */
export class PackError extends CliError {
  override readonly name = 'PackError';

  constructor(message: string, next: string, options?: ErrorOptions) {
    super(message, next, EXIT.usage, options);
  }
}
