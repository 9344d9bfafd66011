import { basename } from 'node:path';

/** Usual names of files with secrets. Examples of such files, which people do commit, are excepted below. */
const NAMES = [
  /^\.env(\..+)?$/,
  /^id_(rsa|dsa|ecdsa|ed25519)(_sk)?$/,
  /\.(p12|pfx|ppk|jks|keystore|kdbx)$/,
  /^[._]netrc$/,
  /^\.(pypirc|git-credentials|htpasswd|pgpass|npmrc|dockercfg)$/,
  /^(aws_)?credentials(\.(json|ya?ml|toml|ini|csv))?$/,
  /^(client_secret|service[-_]account).*\.json$/,
  /^secrets?\.(json|ya?ml|toml|ini|env)$/,
  /^kaggle\.json$/,
  /^accesskeys\.csv$/,
];
const EXAMPLE = /\.(example|sample|template|dist|defaults?)$/;
const KEY_FILE = /\.(pem|key)$/;
/** A key has a few KB; larger files are not searched. */
const SEARCHED_BYTES = 64 * 1024;

/** Whether a file's name suggests a secret. @param name path in the project */
export function isSecretName(name: string): boolean {
  const last = basename(name).toLowerCase();
  return !EXAMPLE.test(last) && NAMES.some((pattern) => pattern.test(last));
}

/** Whether a file is a private key, or a key of a service account, whatever its name. Certificates are not secret. */
export function isSecretContent(name: string, content: Buffer): boolean {
  if (content.length > SEARCHED_BYTES) return false;
  const isKeyFile = KEY_FILE.test(name.toLowerCase()) || content.subarray(0, 11).toString('latin1') === '-----BEGIN ';
  const isJson = name.toLowerCase().endsWith('.json') && content.includes('"private_key"');
  return (isKeyFile || isJson) && content.includes('PRIVATE KEY-----');
}
