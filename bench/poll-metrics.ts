import { setTimeout } from 'node:timers/promises';
import type { JobPorts } from '../core/job/job-status.ts';
import { withLatestMetrics } from '../core/job/latest-metrics.ts';
import { type Answers, shipAnswers } from '../core/job/ship-log.ts';
import type { LogStore } from '../core/job/shipping-attempt.ts';
import { MetricsParser } from '../core/metrics/parser.ts';
import { firstTry, jobInput, jobStatus } from '../test/support/fakes/samples.ts';
import { atLeast, type Row, type Section } from './report.ts';

const MB = 1_000_000;
/** What CloudWatch accepts of a stream. */
const MB_A_SECOND = 5;
const VISIT_BYTES = 15 * MB;
const CHUNK_BYTES = 3 * MB;
const PARSED_BYTES = 2 * MB;

const LOGS: Readonly<Record<string, (step: number) => string>> = {
  'name=value lines': (step) => `step=${step} loss=${(1 / (step + 1)).toFixed(6)} acc=0.${step % 1_000}\n`,
  'JSON lines': (step) => `${JSON.stringify({ step, loss: 1 / (step + 1), acc: 0.5, lr: 1e-4 })}\n`,
  'Python dicts': (step) =>
    `{'loss': ${(1 / (step + 1)).toFixed(4)}, 'grad_norm': 1.25, 'learning_rate': 4.9e-05, 'epoch': ${step / 100}}\n`,
  'lines of items': (step) => `Epoch: [${step >> 10}][${step % 1_024}/1024]  Loss 0.${step} (0.5)  Acc@1 76.1 (75.2)\n`,
};

/** Measures how fast logs that are full of metrics are read, and whether reading them delays the log of a poll. */
export async function benchMetrics(say: (line: string) => void): Promise<Section[]> {
  say(`reading metrics of ${Object.keys(LOGS).length} logs`);
  const speeds = Object.entries(LOGS).map(([name, line]): Row => {
    const text = logOf(line, PARSED_BYTES);
    const ms = Math.min(...Array.from({ length: 3 }, () => parseMs(text)));
    return { name, value: text.length / 1_000 / ms, unit: 'MB/s', target: atLeast(5) };
  });
  say(`a visit of Poll logs that sends ${VISIT_BYTES / MB} MB, without and with metrics`);
  const text = logOf(LOGS['name=value lines'] ?? String, VISIT_BYTES);
  const [without, withMetrics] = [await visitMs(text, false), await visitMs(text, true)];
  const rate = (ms: number) => text.length / 1_000 / ms;
  return [
    { title: `Metrics of a log of ${PARSED_BYTES / MB} MB, one core`, rows: speeds },
    {
      title: `Log of a visit of Poll logs, which CloudWatch takes at ${MB_A_SECOND} MB/s`,
      rows: [
        { name: 'without metrics', value: rate(without), unit: 'MB/s', target: null },
        { name: 'with the latest values', value: rate(withMetrics), unit: 'MB/s', target: null },
        { name: 'with, of without', value: without / withMetrics, unit: 'x', target: atLeast(0.9) },
      ],
    },
  ];
}

function logOf(line: (step: number) => string, bytes: number): Buffer {
  const lines: string[] = [];
  for (let size = 0, step = 0; size < bytes; step += 1) size += lines[lines.push(line(step)) - 1]?.length ?? 0;
  return Buffer.from(lines.join(''));
}

/** CPU time, ms. */
function parseMs(text: Buffer): number {
  const began = process.cpuUsage();
  const parser = new MetricsParser();
  for (let at = 0; at < text.length; at += 65_536) parser.push(text.subarray(at, at + 65_536));
  const { user, system } = process.cpuUsage(began);
  return (user + system) / 1_000;
}

const fail = (error: Error) => {
  throw error;
};

/** A visit as the function makes it, with a log that takes its time. */
async function visitMs(text: Buffer, areRead: boolean): Promise<number> {
  const logs: LogStore = {
    put: async (_stream, messages) => {
      const bytes = messages.reduce((sum, message) => sum + message.length, 0);
      await setTimeout(bytes / 1_000 / MB_A_SECOND);
    },
    after: async (_stream, time) => ({ bytes: 0, last: time }),
  };
  async function* answers(): Answers {
    for (let at = 0; at < text.length; at += CHUNK_BYTES) {
      const log = { offset: at, bytes: 0, size: text.length, data: '', put: null };
      yield { status: jobStatus('train', '', { log }), chunk: text.subarray(at, at + CHUNK_BYTES) };
    }
  }
  const input = jobInput();
  const shipping = { runId: input.run.id, context: firstTry, maxLogBytes: Number.MAX_SAFE_INTEGER };
  const visit = (to: Pick<JobPorts, 'logs'>) =>
    shipAnswers(to.logs, answers(), input.step, { ...shipping, isStillRunning: async () => true });
  const began = performance.now();
  if (areRead) await withLatestMetrics({ logs, now: Date.now } as JobPorts, input, visit, fail);
  else await visit({ logs });
  return performance.now() - began;
}
