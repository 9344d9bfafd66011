import { randomBytes, randomInt } from 'node:crypto';

export const region = 'us-east-1';
/** The emulator's account. */
export const account = '000000000000';

/** A key of one local cloud: its services refuse what is not signed with it. */
export interface CloudCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

/** Where a local cloud answers, and the key to sign requests with. */
export interface CloudAccess {
  readonly endpoint: string;
  readonly ssmEndpoint: string;
  readonly credentials: CloudCredentials;
}

const KEY_ID_LENGTH = 20; // as AWS has it
const SECRET_BYTES = 30; // 40 characters, as AWS has it, and none that a shell would take for its own

/** A new key, which nobody can guess. */
export function newCredentials(): CloudCredentials {
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
  let accessKeyId = 'RUNCTL';
  while (accessKeyId.length < KEY_ID_LENGTH) accessKeyId += letters[randomInt(letters.length)];
  return { accessKeyId, secretAccessKey: randomBytes(SECRET_BYTES).toString('base64url') };
}

// Every client of this folder comes by here. The SDK says each time that Node 22 will be needed in 2027; the README says it once.
process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= 'true';
