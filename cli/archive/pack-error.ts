import { CliError, EXIT } from '../errors.ts';

/** A folder cannot be packed. */
export class PackError extends CliError {
  override readonly name = 'PackError';

  constructor(message: string, next: string, options?: ErrorOptions) {
    super(message, next, EXIT.usage, options);
  }
}
