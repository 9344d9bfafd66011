import { createHash, createHmac } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { SignatureV4 } from '@smithy/signature-v4';

const ROLE = 'trainer';
const CREDENTIALS = {
  accessKeyId: 'ASIAEXAMPLE000000001',
  secretAccessKey: 'secret/of+the=role',
  sessionToken: 'session+token/of==the role',
};

/** The SHA-256 and HMAC that the SDK's signer needs. */
export class Sha256 {
  private readonly hash: ReturnType<typeof createHash>;
  constructor(secret?: string | ArrayBuffer | ArrayBufferView) {
    this.hash =
      secret === undefined
        ? createHash('sha256')
        : (createHmac('sha256', bytes(secret)) as unknown as ReturnType<typeof createHash>);
  }
  update(data: string | ArrayBuffer | ArrayBufferView): void {
    this.hash.update(bytes(data));
  }
  digest(): Promise<Uint8Array> {
    return Promise.resolve(this.hash.digest());
  }
  reset(): void {}
}

function bytes(data: string | ArrayBuffer | ArrayBufferView): Buffer {
  if (typeof data === 'string') return Buffer.from(data);
  return ArrayBuffer.isView(data) ? Buffer.from(data.buffer, data.byteOffset, data.byteLength) : Buffer.from(data);
}

/** One answer of a service: a value, or an error by its name. */
export type Stored = { readonly value: string } | { readonly answer: object } | Refusal;
interface Refusal {
  readonly error: string;
  readonly message?: string;
  readonly status?: number;
  /** How many times to return the error, before the value. */
  readonly times?: number;
  readonly value?: string;
}

/**
 * An instance metadata service, Systems Manager and Secrets Manager on loopback. Both services refuse
 * requests whose signature differs
 * from that of the SDK's signer.
 */
export class FakeServices {
  /** By `ssm:<name>` and `secretsmanager:<name>`. */
  readonly stored = new Map<string, Stored>();
  readonly requests: { readonly target: string; readonly body: Record<string, unknown>; readonly region: string }[] =
    [];
  role: string | null = ROLE;
  /** The status of `api/token`; default 200. */
  tokenStatus = 200;
  private readonly server = createServer((request, response) => {
    this.answer(request, response).catch((error: unknown) => response.destroy(error as Error));
  });

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    return this.url;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** The variables that the SSM agent of a local cloud sets for commands. */
  get environment(): Record<string, string> {
    return {
      AWS_SSM_REGION_NAME: 'eu-central-1',
      AWS_ENDPOINT_URL: this.url,
      AWS_EC2_METADATA_SERVICE_ENDPOINT: this.url,
    };
  }

  close(): void {
    this.server.close();
    this.server.closeAllConnections();
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await text(request);
    if (request.url?.startsWith('/latest/') === true) this.answerMetadata(request, response);
    else await this.answerService(request, body, response);
  }

  private answerMetadata(request: IncomingMessage, response: ServerResponse): void {
    const path = request.url?.slice('/latest/'.length) ?? '';
    if (path === 'api/token') {
      const isRight = request.method === 'PUT' && request.headers['x-aws-ec2-metadata-token-ttl-seconds'] !== undefined;
      response.statusCode = isRight ? this.tokenStatus : 400;
      response.end('the-session');
    } else if (request.headers['x-aws-ec2-metadata-token'] !== 'the-session') {
      response.writeHead(401).end();
    } else if (path === 'meta-data/placement/region') {
      response.end('ap-south-1');
    } else if (path === 'meta-data/iam/security-credentials/' && this.role !== null) {
      response.end(this.role);
    } else if (path === `meta-data/iam/security-credentials/${this.role}`) {
      const { accessKeyId: AccessKeyId, secretAccessKey: SecretAccessKey, sessionToken: Token } = CREDENTIALS;
      response.end(JSON.stringify({ Code: 'Success', AccessKeyId, SecretAccessKey, Token }));
    } else {
      response.writeHead(404).end();
    }
  }

  private async answerService(request: IncomingMessage, body: string, response: ServerResponse): Promise<void> {
    const { headers } = request;
    const target = String(headers['x-amz-target']);
    const input = JSON.parse(body) as Record<string, unknown>;
    const [, region = '', service = ''] =
      /Credential=[^/]+\/\d{8}\/([^/]+)\/([^/]+)\//.exec(headers.authorization ?? '') ?? [];
    this.requests.push({ target, body: input, region });
    if ((await sign(request, body, region, service)) !== headers.authorization)
      return refuse(response, { error: 'InvalidSignatureException', message: 'The signature does not match.' });
    const stored = this.stored.get(`${service}:${String(input.Name ?? input.SecretId)}`);
    if (stored === undefined)
      return refuse(response, { error: service === 'ssm' ? 'ParameterNotFound' : 'ResourceNotFoundException' });
    if ('answer' in stored) return send(response, 200, stored.answer);
    if ('error' in stored) {
      if (stored.times === undefined || this.requests.length <= stored.times) return refuse(response, stored);
    }
    const value = stored.value ?? '';
    send(response, 200, service === 'ssm' ? { Parameter: { Value: value } } : { SecretString: value });
  }
}

/** The `authorization` header of the SDK's signer for this request. */
async function sign(request: IncomingMessage, body: string, region: string, service: string): Promise<string> {
  const signer = new SignatureV4({ credentials: CREDENTIALS, region, service, sha256: Sha256, applyChecksum: false });
  const names = /SignedHeaders=([^,]+)/.exec(request.headers.authorization ?? '')?.[1]?.split(';') ?? [];
  const kept = names.filter((name) => name !== 'x-amz-date' && name !== 'x-amz-security-token');
  const time = String(request.headers['x-amz-date']);
  const { headers } = await signer.sign(
    {
      method: request.method ?? '',
      protocol: 'http:',
      hostname: '127.0.0.1',
      path: request.url ?? '',
      query: {},
      headers: Object.fromEntries(kept.map((name) => [name, String(request.headers[name])])),
      body,
    },
    { signingDate: new Date(time.replace(/(....)(..)(..T..)(..)(..Z)/, '$1-$2-$3:$4:$5')) },
  );
  return headers.authorization ?? '';
}

function refuse(response: ServerResponse, { error, message = '', status = 400 }: Refusal): void {
  send(response, status, { __type: error, message });
}

function send(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/x-amz-json-1.1' }).end(JSON.stringify(body));
}
