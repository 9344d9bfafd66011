import { expect, it } from 'vitest';
import { sign, signingKey, signPostPolicy } from '../../../aws/post-policy.ts';

const credentials = {
  accessKeyId: 'AKIAIOSFODNN7EXAMPLE',
  secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
};

/** The example of the S3 API Reference, "Browser-Based Upload using HTTP POST". */
const POLICY =
  'eyAiZXhwaXJhdGlvbiI6ICIyMDE1LTEyLTMwVDEyOjAwOjAwLjAwMFoiLA0KICAiY29uZGl0aW9ucyI6IFsNCiAgICB7ImJ1Y2tldCI6ICJzaWd2NGV4YW1wbGVidWNrZXQifSwNCiAgICBbInN0YXJ0cy13aXRoIiwgIiRrZXkiLCAidXNlci91c2VyMS8iXSwNCiAgICB7ImFjbCI6ICJwdWJsaWMtcmVhZCJ9LA0KICAgIHsic3VjY2Vzc19hY3Rpb25fcmVkaXJlY3QiOiAiaHR0cDovL3NpZ3Y0ZXhhbXBsZWJ1Y2tldC5zMy5hbWF6b25hd3MuY29tL3N1Y2Nlc3NmdWxfdXBsb2FkLmh0bWwifSwNCiAgICBbInN0YXJ0cy13aXRoIiwgIiRDb250ZW50LVR5cGUiLCAiaW1hZ2UvIl0sDQogICAgeyJ4LWFtei1tZXRhLXV1aWQiOiAiMTQzNjUxMjM2NTEyNzQifSwNCiAgICB7IngtYW16LXNlcnZlci1zaWRlLWVuY3J5cHRpb24iOiAiQUVTMjU2In0sDQogICAgWyJzdGFydHMtd2l0aCIsICIkeC1hbXotbWV0YS10YWciLCAiIl0sDQoNCiAgICB7IngtYW16LWNyZWRlbnRpYWwiOiAiQUtJQUlPU0ZPRE5ON0VYQU1QTEUvMjAxNTEyMjkvdXMtZWFzdC0xL3MzL2F3czRfcmVxdWVzdCJ9LA0KICAgIHsieC1hbXotYWxnb3JpdGhtIjogIkFXUzQtSE1BQy1TSEEyNTYifSwNCiAgICB7IngtYW16LWRhdGUiOiAiMjAxNTEyMjlUMDAwMDAwWiIgfQ0KICBdDQp9';

it('signs as S3 does', () => {
  const key = signingKey(credentials.secretAccessKey, '20151229', 'us-east-1');
  expect(sign(key, POLICY).toString('hex')).toBe('8afdbf4008c03f22c2cd3cdb72e4afbb1f6a588f3255ac628749a66d7f09699e');
});

it('makes the fields of a form, with a policy that names each of them', () => {
  const fields = signPostPolicy({
    credentials: { ...credentials, sessionToken: 'token' },
    region: 'eu-central-1',
    now: new Date('2026-11-27T08:00:00.123Z'),
    expiresIn: 300,
    bucket: 'uploads',
    conditions: [['starts-with', '$key', 'checkpoint-data/demo/run/']],
  });
  const { policy = '', 'x-amz-signature': signature, ...signed } = fields;
  expect(signed).toEqual({
    'x-amz-algorithm': 'AWS4-HMAC-SHA256',
    'x-amz-credential': 'AKIAIOSFODNN7EXAMPLE/20261127/eu-central-1/s3/aws4_request',
    'x-amz-date': '20261127T080000Z',
    'x-amz-security-token': 'token',
  });
  expect(JSON.parse(Buffer.from(policy, 'base64').toString())).toEqual({
    expiration: '2026-11-27T08:05:00.123Z',
    conditions: [
      { bucket: 'uploads' },
      ['starts-with', '$key', 'checkpoint-data/demo/run/'],
      ...Object.entries(signed).map(([name, value]) => ({ [name]: value })),
    ],
  });
  expect(signature).toBe(
    sign(signingKey(credentials.secretAccessKey, '20261127', 'eu-central-1'), policy).toString('hex'),
  );
});
