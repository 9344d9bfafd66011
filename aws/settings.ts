/** Ends a request that hangs: without `throwOnRequestTimeout` the SDK writes a warning and waits on. */
export function timeouts(ms: { readonly connection: number; readonly request: number }) {
  return { connectionTimeout: ms.connection, requestTimeout: ms.request, throwOnRequestTimeout: true } as const;
}

/** Clients of the functions: adaptive retries slow down when a service throttles. A request has 10 s to be answered, its body longer. */
export const CLIENT_SETTINGS = {
  retryMode: 'adaptive',
  maxAttempts: 6,
  requestHandler: { ...timeouts({ connection: 3_000, request: 10_000 }), socketTimeout: 30_000 },
} as const;

/** Beside {@link CLIENT_SETTINGS}, for what a run does in passing: it does not wait for that. */
export const IMPATIENT = { maxAttempts: 2, requestHandler: timeouts({ connection: 2_000, request: 3_000 }) } as const;

/** Clients of the command line: an upload's part may take long, so silence is what ends a request. */
export const CLI_SETTINGS = { requestHandler: { connectionTimeout: 5_000, socketTimeout: 20_000 } } as const;
