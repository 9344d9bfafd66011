import { SignatureV4 } from '@smithy/signature-v4';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Sha256 } from '../support/secrets/fake-services.ts';
import { python } from '../support/secrets/python.ts';

interface Case {
  readonly region: string;
  readonly service: string;
  readonly credentials: { accessKeyId: string; secretAccessKey: string; sessionToken?: string };
  readonly time: string;
  readonly method: string;
  readonly path: string;
  readonly headers: Record<string, string>;
  readonly body: string;
}

async function ofSdk(one: Case): Promise<Record<string, string>> {
  const { region, service, credentials, method, path, headers, body } = one;
  const signer = new SignatureV4({ credentials, region, service, sha256: Sha256, applyChecksum: false });
  const request = { method, path, headers, body, protocol: 'https:', hostname: 'unused', query: {} };
  return (await signer.sign(request, { signingDate: new Date(one.time) })).headers;
}

async function ofRunner(cases: readonly Case[]): Promise<Record<string, string>[]> {
  return await python(
    `from datetime import datetime
from common.secrets.sigv4 import Credentials, Request, sign
signed = []
for one in asked:
    keys = one["credentials"]
    credentials = Credentials(keys["accessKeyId"], keys["secretAccessKey"], keys.get("sessionToken"))
    request = Request(one["method"], one["path"], one["headers"], one["body"].encode("utf-8"))
    now = datetime.strptime(one["time"], "%Y-%m-%dT%H:%M:%SZ")
    signed.append(sign(request, one["region"], one["service"], credentials, now))
print(json.dumps(signed))`,
    cases,
  );
}

const parameter: Case = {
  region: 'eu-central-1',
  service: 'ssm',
  credentials: { accessKeyId: 'ASIAEXAMPLE', secretAccessKey: 'wJalrXUtnFEMI/K7MDENG', sessionToken: 'IQoJb3+/=' },
  time: '2026-11-26T12:00:01Z',
  method: 'POST',
  path: '/',
  headers: {
    host: 'ssm.eu-central-1.amazonaws.com',
    'content-type': 'application/x-amz-json-1.1',
    'x-amz-target': 'AmazonSSM.GetParameter',
  },
  body: '{"Name": "/team/wandb", "WithDecryption": true}',
};

const known: readonly (readonly [string, Case])[] = [
  ['GetParameter with a session token', parameter],
  [
    'GetSecretValue without a session token',
    {
      ...parameter,
      service: 'secretsmanager',
      credentials: { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY' },
      headers: { ...parameter.headers, host: 'secretsmanager.us-gov-west-1.amazonaws.com' },
      region: 'us-gov-west-1',
    },
  ],
  ['an endpoint with a port and a path', { ...parameter, path: '/a b/ü~%20/', headers: { host: '127.0.0.1:4566' } }],
  ['an empty body', { ...parameter, body: '' }],
  ['a body beyond ASCII', { ...parameter, body: '{"SecretId": "Schlüssel–日本"}' }],
  ['white space in a header', { ...parameter, headers: { ...parameter.headers, 'x-amz-note': '  a   b\tc  ' } }],
  ['headers in capitals', { ...parameter, headers: { Host: 'h', 'X-Amz-Target': 'Aa' } }],
  ['the last second of a year', { ...parameter, time: '2026-12-31T23:59:59Z' }],
];

const lower = (headers: Record<string, string>) =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));

describe("the runner's Signature Version 4 is that of the AWS SDK", () => {
  it.each(known)('%s', async (_title, one) => {
    const [signed] = await ofRunner([one]);
    expect(signed).toEqual(lower(await ofSdk(one)));
  });

  it('for any path, header and body', async () => {
    const text = fc.string({ unit: 'binary', maxLength: 40 });
    const printable = fc.string({ unit: fc.constantFrom(...'abZ09 /+=,;:%~_-.*()'), minLength: 1, maxLength: 30 });
    const word = fc.string({ unit: fc.constantFrom(...'abcz09-'), minLength: 1, maxLength: 12 });
    const arbitrary = fc.record({
      region: word,
      service: word,
      credentials: fc.record({ accessKeyId: word, secretAccessKey: printable, sessionToken: printable }),
      time: fc
        .date({ min: new Date('2020-01-01'), max: new Date('2090-01-01'), noInvalidDate: true })
        .map((date) => date.toISOString().replace(/\.\d+/, '')),
      method: fc.constantFrom('GET', 'POST', 'PUT'),
      path: text.map((tail) => `/${tail.replaceAll(/[^\u0020-\uffff]|[?#\ud800-\udfff]|\/\/|\./g, '')}`),
      headers: fc.record({ host: word, 'x-amz-target': printable, 'content-type': printable }),
      body: text,
    });
    const cases = fc.sample(arbitrary, 300);
    const signed = await ofRunner(cases);
    const expected = await Promise.all(cases.map(ofSdk));
    expect(signed).toEqual(expected.map(lower));
  });
});
