import { randomBytes, randomInt } from 'node:crypto';

export const region = 'us-east-1';
/** The emulator's account. */
export const account = '000000000000';

/** The key of one local cloud. Its services refuse requests that are not signed with it. */
export interface CloudCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

/** The addresses of a local cloud, and its key. */
export interface CloudAccess {
  readonly endpoint: string;
  readonly ssmEndpoint: string;
  readonly credentials: CloudCredentials;
}

const KEY_ID_LENGTH = 20; // as on AWS
const SECRET_BYTES = 30; // 40 characters, as on AWS; base64url needs no quotes in a shell

/** A new random key. */
export function newCredentials(): CloudCredentials {
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
  let accessKeyId = 'RUNCTL';
  while (accessKeyId.length < KEY_ID_LENGTH) accessKeyId += letters[randomInt(letters.length)];
  return { accessKeyId, secretAccessKey: randomBytes(SECRET_BYTES).toString('base64url') };
}

// Every client in this folder imports this file. Without it the SDK warns on each start that it will
// need Node 22 in 2027.
process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= 'true';
