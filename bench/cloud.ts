import { readFile } from 'node:fs/promises';
import { setTimeout } from 'node:timers/promises';
import { GetLogEventsCommand } from '@aws-sdk/client-cloudwatch-logs';
import { GetObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import {
  DescribeExecutionCommand,
  GetExecutionHistoryCommand,
  type HistoryEvent,
  ListExecutionsCommand,
  StartExecutionCommand,
} from '@aws-sdk/client-sfn';
import { ListCommandsCommand, SSMClient } from '@aws-sdk/client-ssm';
import { logStoreOver } from '../aws/log-store.ts';
import { getObject } from '../aws/objects.ts';
import { RunHistory } from '../aws/run-history.ts';
import { retryNotes } from '../cli/account/retry.ts';
import { followRun, type RunEnd, type RunEvent } from '../cli/runs/follow.ts';
import { toMessages } from '../core/logs/batching.ts';
import { archiveUri, logStream, OUTPUTS, RUN_MACHINE, WATCH_MACHINE } from '../core/names.ts';
import type { SpecInput } from '../core/spec/spec.ts';
import { RUN_STATES } from '../core/workflow/states.ts';
import { type Clients, localClients, ssmSettings } from '../local/cloud/clients.ts';
import type { LocalState } from '../local/cloud/state.ts';
import { RunRecord } from '../local/demo/summary.ts';

/** The measurements of one run. Times in milliseconds. */
export interface MeasuredRun {
  readonly states: readonly { readonly state: string; readonly ms: number }[];
  readonly total: number;
  /** SendCommand calls from the start of Sync code to the end of Confirm PID. */
  readonly roundTrips: number;
  /** From the execution's start until CloudWatch had the first line of the training. */
  readonly firstLine: number;
  readonly events: { readonly run: number; readonly watches: number };
  readonly trainLog: string;
  /** Epoch milliseconds. */
  readonly startedAt: number;
}

/** Times in epoch milliseconds. */
export interface WatchedRun {
  readonly runId: string;
  readonly status: string;
  /** The first entry of each state. */
  readonly entered: ReadonlyMap<string, number>;
  readonly endedAt: number;
}

const LOOK_MS = 500;

/** Starts runs in a running local cloud and measures them by the answers of its services. */
export class BenchCloud {
  readonly #clients: Clients;
  readonly #ssm: SSMClient;
  readonly #state: LocalState;

  constructor(state: LocalState) {
    this.#state = state;
    this.#clients = localClients(state);
    this.#ssm = new SSMClient(ssmSettings(state));
  }

  close(): void {
    this.#clients.destroy();
    this.#ssm.destroy();
  }

  /** Runs an archive to its end. @throws if the run fails, since its times mean nothing then */
  async run(archive: string, spec: SpecInput, signal: AbortSignal): Promise<MeasuredRun> {
    const { runId, executionArn, end, record, events, logGroup } = await this.#follow(archive, spec, signal);
    if (end.status !== 'SUCCEEDED') throw new Error(`A run of the bench failed: ${end.error}: ${end.cause}`);
    return {
      states: record.durations(end.endedAt).map(({ state, seconds }) => ({ state, ms: seconds * 1_000 })),
      total: end.endedAt - end.startedAt,
      roundTrips: await this.#commandsBetween(
        timeOf(events, 'entered', RUN_STATES.sync),
        timeOf(events, 'exited', RUN_STATES.confirm),
      ),
      events: await this.#countEvents(executionArn, this.#output(OUTPUTS.machine), runId),
      ...(await this.#trainLog(logGroup, runId, end)),
      startedAt: end.startedAt,
    };
  }

  /**
   * Runs an archive to any end, without reading its log meanwhile, which would slow the emulator down.
   * @param look called twice a second
   */
  async watch(
    archive: string,
    spec: SpecInput,
    signal: AbortSignal,
    look: (runId: string) => Promise<void> = async () => undefined,
  ): Promise<WatchedRun> {
    const { runId, executionArn } = await this.#start(archive, spec);
    const history = new RunHistory(this.#clients.sfn, executionArn);
    const entered = new Map<string, number>();
    while (!history.ended) {
      await setTimeout(LOOK_MS, undefined, { signal });
      await look(runId);
      for (const { kind, state, at } of await history.read(signal))
        if (kind === 'entered' && !entered.has(state)) entered.set(state, at);
    }
    const { status, stopDate } = await this.#clients.sfn.send(new DescribeExecutionCommand({ executionArn }));
    return { runId, entered, status: status ?? '', endedAt: stopDate?.getTime() ?? Number.NaN };
  }

  /** The log of a training in CloudWatch, page by page. Times in epoch ms. */
  async *logPages(runId: string): AsyncGenerator<{ message: string; ingested: number }[]> {
    const logGroupName = this.#output(OUTPUTS.logGroup);
    const logStreamName = logStream(runId, 'train');
    let nextToken: string | undefined;
    for (;;) {
      const page = await this.#clients.logs.send(
        new GetLogEventsCommand({ logGroupName, logStreamName, startFromHead: true, nextToken }),
      );
      yield (page.events ?? []).map(({ message, ingestionTime }) => ({
        message: message ?? '',
        ingested: ingestionTime ?? Number.NaN,
      }));
      if (page.nextForwardToken === undefined || page.nextForwardToken === nextToken) return;
      nextToken = page.nextForwardToken;
    }
  }

  /** Sends log as the functions do, while nothing else runs. @returns milliseconds */
  async send(log: Uint8Array): Promise<number> {
    const { logs } = this.#clients;
    const store = logStoreOver({ logs, once: logs, now: Date.now }, this.#output(OUTPUTS.logGroup));
    const { messages } = toMessages(log, { final: true });
    const began = performance.now();
    await store.put(`bench-${crypto.randomUUID()}/alone`, messages, Date.now());
    return performance.now() - began;
  }

  async object(Key: string): Promise<Buffer> {
    const object = await this.#clients.s3.send(new GetObjectCommand({ Bucket: this.#output(OUTPUTS.bucket), Key }));
    return Buffer.from((await object.Body?.transformToByteArray()) ?? []);
  }

  /** null: there is none of this key. */
  async textOf(key: string): Promise<string | null> {
    return (
      (await getObject(this.#clients.s3, { bucket: this.#output(OUTPUTS.bucket), key }))?.Body?.transformToString() ??
      null
    );
  }

  async #start(archive: string, spec: SpecInput) {
    const bucket = this.#output(OUTPUTS.bucket);
    const key = `archives/bench/${crypto.randomUUID()}.tar.gz`;
    await this.#clients.s3.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: await readFile(archive) }));
    const instance = this.#state.instanceId ?? '';
    const input: SpecInput = { instance, ...spec, archive: archiveUri({ bucket, key, versionId: null }) };
    const runId = `bench-${crypto.randomUUID()}`;
    const stateMachineArn = this.#output(OUTPUTS.machine);
    const start = new StartExecutionCommand({ stateMachineArn, name: runId, input: JSON.stringify(input) });
    return { runId, executionArn: (await this.#clients.sfn.send(start)).executionArn ?? '' };
  }

  async #follow(archive: string, spec: SpecInput, signal: AbortSignal) {
    const { runId, executionArn } = await this.#start(archive, spec);
    const record = new RunRecord();
    const events: RunEvent[] = [];
    const logGroup = this.#output(OUTPUTS.logGroup);
    const show = (event: RunEvent) => {
      record.add(event);
      events.push(event);
    };
    const end = await followRun(
      this.#clients,
      { executionArn, runId, logGroup },
      { show, notes: retryNotes(console.error) },
      signal,
    );
    return { runId, executionArn, end, record, events, logGroup };
  }

  async #commandsBetween(from: number, to: number): Promise<number> {
    const { Commands } = await this.#ssm.send(new ListCommandsCommand({}));
    const times = (Commands ?? []).map((command) => command.RequestedDateTime?.getTime() ?? 0);
    return times.filter((time) => time >= from && time <= to).length;
  }

  async #trainLog(logGroupName: string, runId: string, { startedAt }: RunEnd) {
    const logStreamName = logStream(runId, 'train');
    const { events } = await this.#clients.logs.send(
      new GetLogEventsCommand({ logGroupName, logStreamName, startFromHead: true }),
    );
    const trainLog = (events ?? []).map((event) => event.message ?? '').join('');
    return { trainLog, firstLine: (events?.[0]?.ingestionTime ?? Number.NaN) - startedAt };
  }

  async #countEvents(executionArn: string, machine: string, runId: string) {
    const stateMachineArn = machine.replace(RUN_MACHINE, WATCH_MACHINE);
    const { executions } = await this.#clients.sfn.send(new ListExecutionsCommand({ stateMachineArn }));
    // A nested watch's name starts with the run's key, which starts with a prefix of the run's id.
    const watches = (executions ?? []).filter((one) => one.name?.startsWith(runId.slice(0, 40)));
    let watched = 0;
    for (const one of watches) watched += (await this.#history(one.executionArn ?? '')).length;
    return { run: (await this.#history(executionArn)).length, watches: watched };
  }

  async #history(executionArn: string): Promise<HistoryEvent[]> {
    const { events } = await this.#clients.sfn.send(
      new GetExecutionHistoryCommand({ executionArn, maxResults: 1_000 }),
    );
    return events ?? [];
  }

  #output(name: string): string {
    return this.#state.deployed?.outputs[name] ?? '';
  }
}

function timeOf(events: readonly RunEvent[], kind: 'entered' | 'exited', state: string): number {
  for (const shown of events)
    if (shown.kind === 'state' && shown.event.kind === kind && shown.event.state === state) return shown.event.at;
  throw new Error(`The run's history has no ${state} ${kind}.`);
}
