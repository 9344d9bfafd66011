import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CloudWatchLogsClient, GetLogEventsCommand } from '@aws-sdk/client-cloudwatch-logs';
import {
  DisableRuleCommand,
  EnableRuleCommand,
  EventBridgeClient,
  ListRulesCommand,
} from '@aws-sdk/client-eventbridge';
import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';
import { GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import {
  DescribeExecutionCommand,
  type DescribeExecutionOutput,
  GetExecutionHistoryCommand,
  type HistoryEvent,
  ListExecutionsCommand,
  SFNClient,
  StartExecutionCommand,
  StopExecutionCommand,
} from '@aws-sdk/client-sfn';
import { inject } from 'vitest';
import { type Manifest, manifestSchema } from '../../core/manifest-schema.ts';
import { type JobName, logStream, MANIFEST, OUTPUTS, runFileKey, STOP_FUNCTION } from '../../core/names.ts';
import type { Fault } from '../../local/agent/faults.ts';
import { dummyCredentials } from '../../local/credentials.ts';
import { statePaths } from '../../local/paths.ts';
import { readState } from '../../local/state.ts';
import { processesWith, waitFor } from '../instance/processes.ts';

export interface EndedRun {
  readonly id: string;
  readonly arn: string;
  readonly status: string;
  readonly error: string | undefined;
  /** Of a failed run. */
  readonly cause: {
    outcome: string;
    message: string;
    next: string;
    exitCode: number | null;
    lastLines: string[];
    warnings: string[];
  } | null;
  /** Of Finish run, in a run that succeeded. */
  readonly output: { outcome: string; pid: number; warnings: string[] } | null;
  readonly states: string[];
  /** The whole history as text: to look for what must not be in it. */
  readonly history: string;
}

/** What a person does with a run, through clients that we did not write. */
export class Cloud {
  private readonly settings: { endpoint: string; region: string; credentials: typeof dummyCredentials };
  private readonly folder: string;
  private readonly sfn: SFNClient;
  private readonly s3: S3Client;
  private readonly logs: CloudWatchLogsClient;
  private readonly lambda: LambdaClient;
  private readonly events: EventBridgeClient;
  private readonly ssmEndpoint: string;
  readonly machine: string;
  readonly bucket: string;
  readonly instanceId: string;
  readonly endpoint: string;
  private readonly logGroup: string;

  private constructor(state: NonNullable<Awaited<ReturnType<typeof readState>>>, folder: string) {
    const client = { endpoint: state.endpoint, region: state.region, credentials: dummyCredentials };
    this.settings = client;
    this.folder = folder;
    this.endpoint = state.endpoint;
    this.sfn = new SFNClient(client);
    this.s3 = new S3Client(client);
    this.logs = new CloudWatchLogsClient(client);
    this.lambda = new LambdaClient(client);
    this.events = new EventBridgeClient(client);
    this.ssmEndpoint = state.ssmEndpoint;
    const output = (name: string): string => {
      const value = state.deployed?.outputs[name];
      if (!value) throw new Error(`the stack has no output ${name}`);
      return value;
    };
    this.machine = output(OUTPUTS.machine);
    this.bucket = output(OUTPUTS.bucket);
    this.logGroup = output(OUTPUTS.logGroup);
    this.instanceId = state.instanceId ?? '';
  }

  /** Another client of this cloud. */
  client<T>(Client: new (settings: typeof this.settings) => T): T {
    return new Client(this.settings);
  }

  static async connect(): Promise<Cloud> {
    const folder = inject('cloudFolder');
    const state = await readState(statePaths(folder));
    if (!state) throw new Error('there is no local cloud: global-setup.ts brings it up');
    return new Cloud(state, folder);
  }

  async put(key: string, body: Uint8Array, spec?: object): Promise<string> {
    const Metadata = spec ? { runctl: JSON.stringify(spec) } : {};
    const put = new PutObjectCommand({ Bucket: this.bucket, Key: key, Body: body, Metadata });
    await this.s3.send(put);
    return `s3://${this.bucket}/${key}`;
  }

  async start(spec: object, name?: string): Promise<string> {
    const input = JSON.stringify(spec);
    const started = await this.sfn.send(new StartExecutionCommand({ stateMachineArn: this.machine, input, name }));
    return started.executionArn ?? '';
  }

  async stop(arn: string): Promise<void> {
    await this.sfn.send(new StopExecutionCommand({ executionArn: arn }));
  }

  async executions(): Promise<string[]> {
    const list = await this.sfn.send(new ListExecutionsCommand({ stateMachineArn: this.machine }));
    return (list.executions ?? []).map((execution) => execution.executionArn ?? '');
  }

  /** Sends start-run the event of an upload, as EventBridge may do more than once. */
  async invokeStartRun(key: string): Promise<unknown> {
    const event = { id: 'again', detail: { bucket: { name: this.bucket }, object: { key } } };
    const Payload = JSON.stringify(event);
    const answer = await this.lambda.send(new InvokeCommand({ FunctionName: 'runctl-start-run', Payload }));
    return JSON.parse(Buffer.from(answer.Payload ?? []).toString());
  }

  /** Waits for an execution that something else starts. */
  async appears(test: (arn: string) => boolean): Promise<string> {
    return waitFor(async () => (await this.executions()).find(test) ?? null, 90);
  }

  async finished(arn: string): Promise<EndedRun> {
    const describe = async (): Promise<DescribeExecutionOutput | null> => {
      const seen = await this.sfn.send(new DescribeExecutionCommand({ executionArn: arn }));
      return seen.status === 'RUNNING' ? null : seen;
    };
    const seen = await waitFor(describe, 240);
    const events = await this.history(arn);
    return {
      id: seen.name ?? '',
      arn,
      status: seen.status ?? '',
      error: seen.error,
      cause: seen.cause ? JSON.parse(seen.cause) : null,
      output: seen.status === 'SUCCEEDED' ? JSON.parse(seen.output ?? 'null') : null,
      states: events.flatMap((event) => event.stateEnteredEventDetails?.name ?? []),
      history: JSON.stringify(events),
    };
  }

  /** Waits until a run has entered a state. */
  async entered(arn: string, state: string): Promise<void> {
    const look = async () => {
      const events = await this.history(arn);
      return events.some((event) => event.stateEnteredEventDetails?.name === state) || null;
    };
    await waitFor(look, 60);
  }

  /** What a state gave when it was left last. */
  async outputOf(arn: string, state: string): Promise<unknown> {
    const exits = (await this.history(arn)).map((event) => event.stateExitedEventDetails);
    const last = exits.findLast((exit) => exit?.name === state);
    return last?.output ? JSON.parse(last.output) : null;
  }

  private async history(arn: string): Promise<HistoryEvent[]> {
    const events: HistoryEvent[] = [];
    let nextToken: string | undefined;
    do {
      const page = await this.sfn.send(
        new GetExecutionHistoryCommand({ executionArn: arn, nextToken, maxResults: 1000 }),
      );
      events.push(...(page.events ?? []));
      nextToken = page.nextToken;
    } while (nextToken);
    return events;
  }

  /** The messages of a job's stream, concatenated. */
  async log(runId: string, job: JobName): Promise<string> {
    const messages: string[] = [];
    let nextToken: string | undefined;
    for (;;) {
      const page = await this.logs.send(
        new GetLogEventsCommand({
          logGroupName: this.logGroup,
          logStreamName: logStream(runId, job),
          startFromHead: true,
          nextToken,
        }),
      );
      messages.push(...(page.events ?? []).map((event) => event.message ?? ''));
      if (page.nextForwardToken === nextToken) return messages.join('');
      nextToken = page.nextForwardToken;
    }
  }

  /** The instance's disk. */
  get home(): string {
    return join(statePaths(this.folder).instance, 'home');
  }

  /** The manifest of a run, once it is there. */
  async manifest(arn: string): Promise<Manifest> {
    const Key = runFileKey(arn.split(':').at(-1) ?? '', MANIFEST);
    const look = async () => {
      const body = await this.object(Key);
      return body === null ? null : manifestSchema.parse(JSON.parse(body.toString('utf8')));
    };
    return waitFor(look, 120);
  }

  /** What lies at a key of the bucket, or null. */
  async object(Key: string): Promise<Buffer | null> {
    try {
      const object = await this.s3.send(new GetObjectCommand({ Bucket: this.bucket, Key }));
      return Buffer.from((await object.Body?.transformToByteArray()) ?? []);
    } catch (error) {
      if ((error as Error).name === 'NoSuchKey') return null;
      throw error;
    }
  }

  /** Switches the rule that tells stop-run of ended executions off and on. */
  async tellStopRun(told: boolean): Promise<void> {
    const { Rules } = await this.events.send(new ListRulesCommand({}));
    const Name = Rules?.find((rule) => rule.EventPattern?.includes('ABORTED'))?.Name;
    if (Name === undefined) throw new Error('there is no rule for stop-run');
    await this.events.send(told ? new EnableRuleCommand({ Name }) : new DisableRuleCommand({ Name }));
  }

  async invokeStopRun(executionArn: string): Promise<unknown> {
    const Payload = JSON.stringify({ detail: { executionArn } });
    const answer = await this.lambda.send(new InvokeCommand({ FunctionName: STOP_FUNCTION, Payload }));
    return JSON.parse(Buffer.from(answer.Payload ?? []).toString());
  }

  /** Switches faults of the SSM agent on; none: off. */
  async faults(...faults: Fault[]): Promise<void> {
    const answer = await fetch(`${this.ssmEndpoint}/_runctl/faults`, {
      method: 'POST',
      body: JSON.stringify({ faults }),
    });
    if (!answer.ok) throw new Error(await answer.text());
  }

  /** Processes of a run's training that live. */
  processesOf(arn: string): number[] {
    return processesWith(`RUNCTL_RUN_ID=${arn.split(':').at(-1)}`);
  }

  /** Who holds the instance, or null. */
  holder(): { run: string } | null {
    const path = join(statePaths(this.folder).instance, 'root/lease/holder.json');
    return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as { run: string }) : null;
  }

  readHome(name: string): string {
    return readFileSync(join(this.home, name), 'utf8');
  }

  /** A file of a job on the instance. */
  jobFile(runId: string, job: JobName, name: string): string {
    const runs = join(statePaths(this.folder).instance, 'root', 'runs');
    const key = readdirSync(runs).find((folder) => folder.startsWith(runId.slice(0, 47)));
    if (key === undefined) throw new Error(`run ${runId} left nothing on the instance`);
    return readFileSync(join(runs, key, job, name), 'utf8');
  }

  runFolders(): string[] {
    try {
      return readdirSync(join(statePaths(this.folder).instance, 'root', 'runs'));
    } catch {
      return []; // No run has touched the instance yet.
    }
  }
}
