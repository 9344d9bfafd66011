/** A folder could not be packed; `next` says what to do about it. */
export class PackError extends Error {
  readonly next: string;

  constructor(message: string, next: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'PackError';
    this.next = next;
  }
}
