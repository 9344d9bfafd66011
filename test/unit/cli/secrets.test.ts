import { expect, it } from 'vitest';
import { isSecretContent, isSecretName } from '../../../cli/archive/secrets.ts';

it.each([
  '.env',
  'conf/.env.production',
  'id_ed25519',
  'keys/Deploy.p12',
  '.netrc',
  '.aws/credentials',
  'credentials.json',
  'client_secret_123.apps.json',
  'service-account.json',
  '.streamlit/secrets.toml',
  'kaggle.json',
])('%s is taken for a secret', (name) => expect(isSecretName(name)).toBe(true));

it.each([
  '.env.example',
  'id_rsa.pub',
  'environment.py',
  'credentials.py',
  'secret_santa.csv',
  'key.py',
  'ca.pem',
  'train.py',
])('%s is not', (name) => expect(isSecretName(name)).toBe(false));

it('a private key is known by what it says, under any name; a certificate and code that speaks of keys are not', () => {
  const key = Buffer.from('-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n-----END OPENSSH PRIVATE KEY-----\n');
  expect(isSecretContent('deploy', key)).toBe(true);
  expect(isSecretContent('a/host.pem', Buffer.concat([Buffer.from('Bag Attributes\n'), key]))).toBe(true);
  expect(isSecretContent('gcp.json', Buffer.from(JSON.stringify({ private_key: key.toString() })))).toBe(true);
  expect(isSecretContent('ca.pem', Buffer.from('-----BEGIN CERTIFICATE-----\nabc\n'))).toBe(false);
  expect(isSecretContent('check.py', Buffer.from(`KEY = "${key.toString('latin1').trim()}"`))).toBe(false);
});
