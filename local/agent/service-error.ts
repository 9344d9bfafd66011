/** An error as SSM answers it: the exception's name and a message, HTTP 400 unless said otherwise. */
export class ServiceError extends Error {
  readonly httpStatus: number;

  constructor(name: string, message: string, httpStatus = 400) {
    super(message);
    this.name = name;
    this.httpStatus = httpStatus;
  }
}
