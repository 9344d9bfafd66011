import type { CloudWatchLogsClient } from '@aws-sdk/client-cloudwatch-logs';
import { AttemptsParser } from '../../core/metrics/attempts-parser.ts';
import { metricsOfSpec } from '../../core/metrics/custom.ts';
import { headlinesIn } from '../../core/metrics/headline.ts';
import { MetricsParser } from '../../core/metrics/parser.ts';
import type { JobName } from '../../core/names.ts';
import type { Manifest } from '../../core/outcome/manifest-schema.ts';
import { AttemptsLog } from '../logs/attempts-log.ts';
import { textFeed } from '../logs/byte-feed.ts';
import { QUIET_READS } from '../logs/job-log.ts';
import { openWholeLog } from '../logs/whole-log.ts';
import type { RunStore } from '../runs/store.ts';
import { LogTail } from './log-tail.ts';
import { MetricCurves } from './metric-curves.ts';

/** Reads the log of one job from its beginning on: its last lines for the page, and the metrics in all of it. */
export class JobReader {
  readonly tail = new LogTail();
  readonly metrics: MetricCurves;
  readonly #spec: () => unknown;
  #parser: AttemptsParser | null = null;
  readonly #log: AttemptsLog;
  readonly #run: { readonly id: string; readonly job: JobName };
  readonly #store: Pick<RunStore, 'open'>;
  #hasBegun = false;
  #quiet = 0;
  #isWhole = false;

  /** @param spec of the run, as it is known at the first read: the metrics that it describes, and those that come first */
  constructor(
    sources: {
      readonly logs: Pick<CloudWatchLogsClient, 'send'>;
      readonly logGroup: string;
      readonly store: Pick<RunStore, 'open'>;
    },
    run: { readonly id: string; readonly job: JobName },
    spec: () => unknown = () => null,
  ) {
    this.#run = run;
    this.#spec = spec;
    this.metrics = new MetricCurves(() => headlinesIn(spec()));
    this.#store = sources.store;
    const streams = { group: sources.logGroup, runId: run.id, job: run.job };
    this.#log = AttemptsLog.from(sources.logs, streams, 1);
  }

  /**
   * Reads what there is behind what was read.
   * @param isOver the run has ended. @returns whether more may come
   */
  async read(isOver: boolean, manifest: Pick<Manifest, 'logs'> | null, signal: AbortSignal): Promise<boolean> {
    if (this.#isWhole) return false;
    // What is in S3 is the whole log, in one request.
    if (isOver && !this.#hasBegun && (await this.#readWhole(manifest, signal))) return false;
    const any = await this.#readNew(signal);
    this.#quiet = any || !isOver ? 0 : this.#quiet + 1;
    if (this.#quiet >= QUIET_READS) this.#end();
    return !this.#isWhole;
  }

  async #readNew(signal: AbortSignal): Promise<boolean> {
    for (let any = false; ; ) {
      const { messages, atEnd } = await this.#log.next(signal);
      any ||= messages.length > 0;
      this.#hasBegun ||= any;
      this.tail.add(messages);
      for (const { text } of messages) this.#parse(Buffer.from(text), this.#log.attempt);
      if (atEnd) return any;
    }
  }

  async #readWhole(manifest: Pick<Manifest, 'logs'> | null, signal: AbortSignal): Promise<boolean> {
    const { id, job } = this.#run;
    const attempts = manifest?.logs.filter((log) => log.job === job).map(({ attempt }) => attempt) ?? [];
    for (const attempt of attempts.length === 0 ? [1] : attempts) {
      const chunks = await openWholeLog(this.#store, { id, manifest }, { job, attempt }, signal);
      if (chunks === null) return this.#hasBegun;
      this.#hasBegun = true;
      const feed = textFeed(async (messages) => this.tail.add(messages));
      for await (const chunk of chunks) {
        this.#parse(chunk, attempt);
        await feed.push(chunk, Date.now(), signal);
      }
      await feed.end(Date.now(), signal);
    }
    this.#end();
    return true;
  }

  #parse(chunk: Uint8Array, attempt: number): void {
    this.#parser ??= new AttemptsParser(
      (one) => new MetricsParser({ custom: metricsOfSpec(this.#spec()), attempt: one }),
    );
    this.metrics.add(this.#parser.push(chunk, attempt));
  }

  #end(): void {
    this.tail.end();
    this.metrics.add(this.#parser?.end() ?? []);
    this.#isWhole = true;
  }
}
