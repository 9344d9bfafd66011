import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CloudWatchLogsClient, GetLogEventsCommand } from '@aws-sdk/client-cloudwatch-logs';
import { EventBridgeClient, ListRulesCommand, PutRuleCommand } from '@aws-sdk/client-eventbridge';
import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';
import { GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import {
  DescribeExecutionCommand,
  type DescribeExecutionOutput,
  type HistoryEvent,
  paginateListExecutions,
  SFNClient,
  StartExecutionCommand,
  StopExecutionCommand,
} from '@aws-sdk/client-sfn';
import { SSMClient } from '@aws-sdk/client-ssm';
import { inject } from 'vitest';
import { type JobName, logStream, MANIFEST, OUTPUTS, runFileKey, STOP_FUNCTION } from '../../../core/names.ts';
import { type Manifest, manifestSchema } from '../../../core/outcome/manifest-schema.ts';
import type { Fault } from '../../../local/agent/faults.ts';
import { localSettings, ssmSettings } from '../../../local/cloud/clients.ts';
import { statePaths } from '../../../local/cloud/paths.ts';
import { signedFetch } from '../../../local/cloud/signed-fetch.ts';
import { type LocalState, readState } from '../../../local/cloud/state.ts';
import { processesWith, waitFor } from '../instance/processes.ts';
import { historyOf } from './history.ts';
import { type OwnInstance, ownInstance } from './own-instance.ts';

export interface EndedRun {
  readonly id: string;
  readonly arn: string;
  readonly status: string;
  readonly error: string | undefined;
  /** The cause of a failed run. */
  readonly cause: {
    outcome: string;
    message: string;
    next: string;
    exitCode: number | null;
    lastLines: string[];
    warnings: string[];
  } | null;
  /** The output of Finish run, if the run succeeded. */
  readonly output: { outcome: string; pid: number; warnings: string[] } | null;
  readonly states: string[];
  /** The whole history as text, to search for secrets. */
  readonly history: string;
}

/** Starts and watches runs as a person does, with the AWS SDK's clients. */
export class Cloud {
  private readonly settings: ReturnType<typeof localSettings>;
  private readonly sfn: SFNClient;
  private readonly s3: S3Client;
  private readonly logs: CloudWatchLogsClient;
  private readonly lambda: LambdaClient;
  private readonly events: EventBridgeClient;
  private readonly ssmEndpoint: string;
  readonly ssm: SSMClient;
  private readonly instance: OwnInstance;
  /** The archives of the executions that were listed so far. */
  private readonly archives = new Map<string, string>();
  readonly machine: string;
  readonly bucket: string;
  readonly endpoint: string;
  private readonly logGroup: string;
  private readonly outputs: Readonly<Record<string, string>>;

  private constructor(state: LocalState, instance: OwnInstance) {
    const client = localSettings(state);
    this.settings = client;
    this.instance = instance;
    this.endpoint = state.endpoint;
    this.sfn = new SFNClient(client);
    this.s3 = new S3Client(client);
    this.logs = new CloudWatchLogsClient(client);
    this.lambda = new LambdaClient(client);
    this.events = new EventBridgeClient(client);
    this.ssmEndpoint = state.ssmEndpoint;
    this.ssm = new SSMClient(ssmSettings(state));
    this.outputs = state.deployed?.outputs ?? {};
    this.machine = this.output(OUTPUTS.machine);
    this.bucket = this.output(OUTPUTS.bucket);
    this.logGroup = this.output(OUTPUTS.logGroup);
  }

  /** An output of the stack. */
  output(name: string): string {
    const value = this.outputs[name];
    if (!value) throw new Error(`the stack has no output ${name}`);
    return value;
  }

  /** Another client of this cloud. */
  client<T>(Client: new (settings: typeof this.settings) => T): T {
    return new Client(this.settings);
  }

  /** Connects to a running cloud (default: the shared one) with this test file's own instance; `beside`: another one. */
  static async connect(folder = inject('cloudFolder'), beside = ''): Promise<Cloud> {
    const paths = statePaths(folder);
    const state = await readState(paths);
    if (!state) throw new Error(`there is no local cloud in ${folder}`);
    return new Cloud(state, await ownInstance(state, paths, beside));
  }

  get instanceId(): string {
    return this.instance.id;
  }

  /** The project whose uploads use this file's instance if their spec names none. */
  get project(): string {
    return this.instance.project;
  }

  async put(key: string, body: Uint8Array, spec?: object | string): Promise<string> {
    const Metadata = spec ? { runctl: typeof spec === 'string' ? spec : JSON.stringify(spec) } : {};
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
    const arns: string[] = [];
    const pages = paginateListExecutions({ client: this.sfn }, { stateMachineArn: this.machine });
    for await (const { executions = [] } of pages) arns.push(...executions.map((one) => one.executionArn ?? ''));
    return arns;
  }

  /** The runs of the archive at a key, however they were started. The list of executions also has those of other tests. */
  async runsOf(key: string): Promise<string[]> {
    const arns = await this.executions();
    for (const executionArn of arns) {
      if (this.archives.has(executionArn)) continue;
      const { input } = await this.sfn.send(new DescribeExecutionCommand({ executionArn }));
      this.archives.set(executionArn, String(JSON.parse(input ?? '{}').archive).split('?')[0] ?? '');
    }
    return arns.filter((arn) => this.archives.get(arn) === `s3://${this.bucket}/${key}`);
  }

  /** Waits for the run of an archive that is started elsewhere. */
  async runAppears(key: string): Promise<string> {
    return waitFor(async () => (await this.runsOf(key)).at(0) ?? null, 90);
  }

  /** Sends start-run the event of an upload, as EventBridge may do more than once. */
  async invokeStartRun(key: string): Promise<unknown> {
    return this.invokeStartRunWith({ id: 'again', detail: { bucket: { name: this.bucket }, object: { key } } });
  }

  async invokeStartRunWith(event: object): Promise<unknown> {
    const Payload = JSON.stringify(event);
    const answer = await this.lambda.send(new InvokeCommand({ FunctionName: 'runctl-start-run', Payload }));
    return JSON.parse(Buffer.from(answer.Payload ?? []).toString());
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

  /** What a run was started with. */
  async inputOf(executionArn: string): Promise<unknown> {
    const { input } = await this.sfn.send(new DescribeExecutionCommand({ executionArn }));
    return JSON.parse(input ?? 'null');
  }

  /** The last output of a state. */
  async outputOf(arn: string, state: string): Promise<unknown> {
    return (await this.outputsOf(arn, state)).at(-1) ?? null;
  }

  /** All outputs of a state. */
  async outputsOf(arn: string, state: string): Promise<unknown[]> {
    const exits = (await this.history(arn)).map((event) => event.stateExitedEventDetails);
    return exits.filter((exit) => exit?.name === state).map((exit) => JSON.parse(exit?.output ?? 'null'));
  }

  async history(arn: string): Promise<HistoryEvent[]> {
    return await historyOf(this.sfn, arn);
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
    return join(this.instance.folder, 'home');
  }

  get root(): string {
    return join(this.instance.folder, 'root');
  }

  /** The manifest of a run; waits until it exists. */
  async manifest(arn: string): Promise<Manifest> {
    const Key = runFileKey(arn.split(':').at(-1) ?? '', MANIFEST);
    const look = async () => {
      const body = await this.object(Key);
      return body === null ? null : manifestSchema.parse(JSON.parse(body.toString('utf8')));
    };
    return waitFor(look, 120);
  }

  /** The object at a key of the bucket, or null. */
  async object(Key: string): Promise<Buffer | null> {
    try {
      const object = await this.s3.send(new GetObjectCommand({ Bucket: this.bucket, Key }));
      return Buffer.from((await object.Body?.transformToByteArray()) ?? []);
    } catch (error) {
      if ((error as Error).name === 'NoSuchKey') return null;
      throw error;
    }
  }

  /** Makes stop-run miss the status event of one execution's end. Other events still arrive. */
  async loseEndOf(arn: string): Promise<void> {
    const { Rules } = await this.events.send(new ListRulesCommand({}));
    const rule = Rules?.find(({ EventPattern }) => EventPattern?.includes('ABORTED'));
    if (!rule?.EventPattern) throw new Error('there is no rule for stop-run');
    const pattern = JSON.parse(rule.EventPattern);
    pattern.detail.executionArn = [{ 'anything-but': [arn] }];
    await this.events.send(new PutRuleCommand({ Name: rule.Name, EventPattern: JSON.stringify(pattern) }));
  }

  async invokeStopRun(executionArn: string): Promise<unknown> {
    const Payload = JSON.stringify({ detail: { executionArn } });
    const answer = await this.lambda.send(new InvokeCommand({ FunctionName: STOP_FUNCTION, Payload }));
    return JSON.parse(Buffer.from(answer.Payload ?? []).toString());
  }

  /** Sets the faults of the SSM agent for this file's instance. */
  async faults(...faults: Fault[]): Promise<void> {
    const answer = await signedFetch(`${this.ssmEndpoint}/_runctl/faults`, this.settings.credentials, {
      method: 'POST',
      body: JSON.stringify({ instance: this.instanceId, faults }),
    });
    if (!answer.ok) throw new Error(await answer.text());
  }

  /** Waits until every fault with `times` has occurred that often. */
  async faultsHappened(): Promise<void> {
    await waitFor(async () => {
      const answer = await signedFetch(`${this.ssmEndpoint}/_runctl/faults`, this.settings.credentials);
      const { faults } = (await answer.json()) as { faults: { fault: Fault; left: number | null }[] };
      const own = faults.filter(({ fault }) => fault.instance === this.instanceId);
      return own.every(({ left }) => left === null || left === 0) || null;
    });
  }

  /** The running processes of a run's training. */
  processesOf(arn: string): number[] {
    return processesWith(`RUNCTL_RUN_ID=${arn.split(':').at(-1)}`);
  }

  /** The run that holds the instance, or null. */
  holder(): { run: string } | null {
    const path = join(this.root, 'lease/holder.json');
    return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as { run: string }) : null;
  }

  readHome(name: string): string {
    return readFileSync(join(this.home, name), 'utf8');
  }

  /** A file of a job on the instance. */
  jobFile(runId: string, job: JobName, name: string): string {
    return readFileSync(this.jobPath(runId, job, name), 'utf8');
  }

  jobPath(runId: string, job: JobName, name: string): string {
    return join(this.runFolder(runId), job, name);
  }

  /** The runner's files for a run. */
  runFolder(runId: string): string {
    const key = this.runFolders().find((folder) => folder.startsWith(runId.slice(0, 47)));
    if (key === undefined) throw new Error(`run ${runId} left nothing on the instance`);
    return join(this.root, 'runs', key);
  }

  runFolders(): string[] {
    try {
      return readdirSync(join(this.root, 'runs'));
    } catch {
      return []; // the instance has had no run yet
    }
  }
}
