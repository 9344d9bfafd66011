import { Sha256 } from '@smithy/core/checksum';
import { SignatureV4 } from '@smithy/signature-v4';
import { type CloudCredentials, region } from './credentials.ts';

// Any name is accepted: the guard checks the signature, not the service.
const service = 'runctl';

/** `fetch`, signed with the cloud's key, for addresses such as `/_ministack/health`. */
export async function signedFetch(
  address: string,
  credentials: CloudCredentials,
  init: { method?: string; headers?: Readonly<Record<string, string>>; body?: string; signal?: AbortSignal } = {},
): Promise<Response> {
  const url = new URL(address);
  const { method = 'GET', body } = init;
  const signer = new SignatureV4({ credentials, region, service, sha256: Sha256 });
  const request = { method, protocol: url.protocol, hostname: url.hostname, path: url.pathname, query: {} };
  const { headers } = await signer.sign({ ...request, headers: { ...init.headers, host: url.host }, body: body ?? '' });
  return await fetch(url, { ...init, method, headers });
}
