import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  CreateDocumentCommand,
  GetCommandInvocationCommand,
  type GetCommandInvocationCommandOutput,
  SendCommandCommand,
  SSMClient,
} from '@aws-sdk/client-ssm';
import getPort from 'get-port';
import { newCredentials } from '../../../local/cloud/credentials.ts';
import { clientVariables } from '../../../local/cloud/environment.ts';
import { killInstanceProcesses } from '../../../local/cloud/instance-processes.ts';
import { signedFetch } from '../../../local/cloud/signed-fetch.ts';

/** Ids that are unique to this test process, because processes are found and killed by their instance's id. */
export const running = anInstanceId();
export const stopped = anInstanceId();
const main = fileURLToPath(new URL('../../../local/agent/main.ts', import.meta.url));

/** The key of the agent's cloud. */
export const agentCredentials = newCredentials();

export function anInstanceId(): string {
  return `i-${randomBytes(9).toString('hex').slice(0, 17)}`;
}

/** The agent in a separate process, with an emulator that has two instances and one parameter. */
export class AgentProcess {
  readonly client: SSMClient;
  readonly endpoint: string;
  readonly folder: string;
  readonly #child: ChildProcess;
  readonly #upstream: Upstream;

  private constructor(endpoint: string, folder: string, child: ChildProcess, upstream: Upstream) {
    this.endpoint = endpoint;
    this.folder = folder;
    this.#child = child;
    this.#upstream = upstream;
    this.client = new SSMClient({
      endpoint,
      region: 'us-east-1',
      credentials: agentCredentials,
      maxAttempts: 1,
    });
  }

  static async start(agentCommand?: string): Promise<AgentProcess> {
    const folder = await mkdtemp(join(tmpdir(), 'runctl agent '));
    const upstream = await startUpstream();
    const port = await getPort({ host: '127.0.0.1' });
    const endpoint = `http://127.0.0.1:${port}`;
    const options = {
      port,
      upstream: `http://127.0.0.1:${(upstream.server.address() as AddressInfo).port}`,
      region: 'us-east-1',
      folder,
      ...(agentCommand === undefined ? {} : { agentCommand }),
    };
    const child = spawn(process.execPath, ['--import', 'tsx', main, JSON.stringify(options)], {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: {
        ...process.env,
        ...clientVariables({ endpoint, ssmEndpoint: endpoint, credentials: agentCredentials }),
        AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true',
      },
    });
    const agent = new AgentProcess(endpoint, folder, child, upstream);
    await until(
      'the agent answers',
      async () => (await signedFetch(`${endpoint}/_runctl/health`, agentCredentials)).ok,
    );
    return agent;
  }

  async stop(): Promise<void> {
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.kill('SIGTERM');
    await ended;
    this.client.destroy();
    this.#upstream.server.closeAllConnections();
    await new Promise((resolve) => this.#upstream.server.close(resolve));
    await killInstanceProcesses(running);
    await rm(this.folder, { recursive: true, force: true });
  }

  async createDocument(name: string, content: object): Promise<void> {
    await this.client.send(
      new CreateDocumentCommand({ Name: name, Content: JSON.stringify(content), DocumentType: 'Command' }),
    );
  }

  /** Sends a command to the running instance. @returns its id. */
  async send(document: string, parameters: Record<string, string[]> = {}): Promise<string> {
    const { Command } = await this.client.send(
      new SendCommandCommand({ InstanceIds: [running], DocumentName: document, Parameters: parameters }),
    );
    return Command?.CommandId ?? '';
  }

  /** The answer of GetCommandInvocation, or undefined while the invocation does not exist. */
  async invocation(commandId: string): Promise<GetCommandInvocationCommandOutput | undefined> {
    try {
      return await this.client.send(new GetCommandInvocationCommand({ CommandId: commandId, InstanceId: running }));
    } catch (error) {
      if (error instanceof Error && error.name === 'InvocationDoesNotExist') return undefined;
      throw error;
    }
  }

  /** Waits for the end of a command. */
  async ended(commandId: string): Promise<GetCommandInvocationCommandOutput> {
    return await until(`command ${commandId} has ended`, async () => {
      const invocation = await this.invocation(commandId);
      return invocation !== undefined && !['Pending', 'InProgress', 'Cancelling'].includes(invocation.Status ?? '')
        ? invocation
        : undefined;
    });
  }

  /** Stops the running instance, as StopInstances does. */
  stopInstance(): void {
    this.#upstream.states.set(running, 'stopped');
  }

  async faults(...faults: object[]): Promise<void> {
    await this.replaceFaults({ faults });
  }

  /** Replaces the faults of one instance, or of all. */
  async replaceFaults(body: { instance?: string; faults: object[] }): Promise<void> {
    const init = { method: 'POST', body: JSON.stringify(body) };
    const answer = await signedFetch(`${this.endpoint}/_runctl/faults`, agentCredentials, init);
    if (!answer.ok) throw new Error(await answer.text());
  }
}

/** Polls every 20 ms until the answer is truthy; errors are ignored. @throws after 60 s */
export async function until<T>(what: string, ask: () => Promise<T | undefined | false>): Promise<T> {
  const deadline = Date.now() + 60_000;
  let last: unknown;
  while (Date.now() < deadline) {
    try {
      const answer = await ask();
      if (answer !== undefined && answer !== false) return answer;
    } catch (error) {
      last = error;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`Gave up waiting until ${what}.`, { cause: last });
}

interface Upstream {
  readonly server: Server;
  readonly states: Map<string, string>;
}

async function startUpstream(): Promise<Upstream> {
  const states = new Map([
    [running, 'running'],
    [stopped, 'stopped'],
  ]);
  const item = ([id, state]: [string, string]) => `<item><instancesSet><item><instanceId>${id}</instanceId>
    <instanceState><name>${state}</name></instanceState><tagSet><item><key>runctl</key><value>enabled</value></item></tagSet>
    </item></instancesSet></item>`;
  const server = createServer((request, response) => {
    if (request.headers['x-runctl-verify-only'] !== undefined) {
      // Replaces the guard. Its checks are tested elsewhere; here, how the agent uses its answer.
      const admitted = request.headers.authorization?.includes(`Credential=${agentCredentials.accessKeyId}/`) === true;
      response.writeHead(admitted ? 204 : 403).end(admitted ? undefined : 'refused by the guard');
      return;
    }
    if (request.headers['x-amz-target'] === 'AmazonSSM.GetParameter') {
      response.writeHead(200, { 'content-type': 'application/x-amz-json-1.1' });
      response.end(
        JSON.stringify({ Parameter: { Name: request.headers.host, Value: 'from the emulator', Type: 'String' } }),
      );
      return;
    }
    response.writeHead(200, { 'content-type': 'text/xml' });
    response.end(`<DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><reservationSet>
      ${[...states].map(item).join('')}</reservationSet></DescribeInstancesResponse>`);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { server, states };
}
