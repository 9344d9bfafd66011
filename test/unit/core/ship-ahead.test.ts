import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { InstanceCommands } from '../../../core/job/instance-commands.ts';
import type { JobPorts } from '../../../core/job/job-status.ts';
import { pollJob } from '../../../core/job/poll-job.ts';
import { shipLog } from '../../../core/job/ship-log.ts';
import type { Answer } from '../../../core/job/snapshot.ts';
import type { RunnerRequest } from '../../../core/protocol/messages.ts';
import type { JobSnapshot, StepContext } from '../../../core/workflow/data.ts';
import { FakeLogStore } from '../../support/fakes/log-store.ts';
import { ENTERED, exit, firstTry, jobInput, jobStatus, jobStep, watchInput } from '../../support/fakes/samples.ts';
import { shipAnswer } from '../../support/fakes/ship-answer.ts';

const STREAM = 'demo-1/train';
/** So much that chunks are asked for. */
const BACKLOG = 10_000_000;

/** The answer of an instance whose log is this, as far as the chunk that it has PUT reaches. */
function answerAt(log: Uint8Array, offset: number, bytes: number): Answer {
  const chunk = log.subarray(offset, offset + bytes);
  const place = { offset, bytes: chunk.length, size: log.length, data: '', put: 'a'.repeat(64) };
  return { status: jobStatus('train', '', { state: 'exited', exit: exit(), log: place }), chunk };
}

/** One visit that is given the log in chunks of these lengths. */
function visit(logs: FakeLogStore, log: Uint8Array, step: JobSnapshot | null, context: StepContext, chunks: number[]) {
  const [first = 0, ...others] = chunks;
  const { status, chunk } = answerAt(log, step?.cursor.offset ?? 0, first);
  const next = (at: JobSnapshot) => {
    const bytes = others.shift();
    return bytes === undefined || !at.more ? null : answerAt(log, at.cursor.offset, bytes);
  };
  return shipAnswer(status, step, { context, logs, maxLogBytes: 1_000_000, chunk, next });
}

/** Dies in its put number `at`, before or after some of the messages are written. */
class MortalLogStore extends FakeLogStore {
  #puts = 0;
  death: { at: number; written: number } | null = null;

  override put(stream: string, messages: readonly string[], time: number): Promise<void> {
    if (this.death?.at === this.#puts++) this.cutNextPutAt = this.death.written;
    return super.put(stream, messages, time);
  }

  live(death: MortalLogStore['death']): void {
    this.#puts = 0;
    this.death = death;
  }
}

describe('a visit of several chunks', () => {
  it('gives the log byte for byte however the chunks are cut, wherever it dies, and however its retries are answered', async () => {
    const text = fc
      .string({ unit: 'grapheme', minLength: 1, maxLength: 120 })
      .map((one) => one.replaceAll('\0', '').replaceAll(' ', '\n'));
    const attempt = fc.record({
      chunks: fc.array(fc.integer({ min: 4, max: 30 }), { minLength: 1, maxLength: 4 }),
      death: fc.option(fc.record({ at: fc.nat(3), written: fc.nat(4) })),
    });
    await fc.assert(
      fc.asyncProperty(
        text,
        fc.array(fc.array(attempt, { minLength: 1, maxLength: 3 }), { maxLength: 5 }),
        async (whole, visits) => {
          const log = Buffer.from(whole);
          const logs = new MortalLogStore();
          let step: JobSnapshot | null = null;
          for (const [entry, attempts] of visits.entries()) {
            const enteredAt = new Date(ENTERED + entry * 1_000).toISOString();
            let next: JobSnapshot | null = null;
            // A state's last attempt lives, or its run would be over.
            for (const [retryCount, { chunks, death }] of attempts.entries()) {
              logs.live(retryCount === attempts.length - 1 ? null : death);
              next = await visit(logs, log, step, { enteredAt, retryCount }, chunks).catch(() => null);
              if (next !== null) break;
            }
            step = next ?? step;
          }
          logs.live(null);
          const enteredAt = new Date(ENTERED + 1_000_000).toISOString();
          const end = await visit(logs, log, step, { enteredAt, retryCount: 0 }, [log.length]);
          expect(logs.text(STREAM)).toBe(whole);
          expect(end.ended).toBe(true);
        },
      ),
      { numRuns: 1_000 },
    );
  });

  it('carries one time, by which a retry finds all that the visit wrote', async () => {
    const logs = new FakeLogStore();
    const step = await visit(logs, Buffer.from('one\ntwo\nthree\n'), null, firstTry, [4, 4, 6]);
    expect(logs.streams.get(STREAM)?.map(({ time }) => time)).toEqual([ENTERED, ENTERED, ENTERED]);
    expect(step).toMatchObject({ ended: true, cursor: { offset: 14, eventTime: ENTERED } });
  });
});

/** An instance, S3 and CloudWatch between which log goes; what they do stands in `acts`, and sending takes time. */
function world(log: Uint8Array, { chunkBytes = 600_000, askMs = [] as number[], putMs = 0 } = {}) {
  const acts: string[] = [];
  const logs = new FakeLogStore();
  const stored = new Map<string, Uint8Array>();
  let now = 0;
  const commands: InstanceCommands = {
    ask(_instance, _document, request: RunnerRequest) {
      if (request.verb !== 'poll') throw new Error(`nobody expected ${request.verb}`);
      acts.push(`ask ${request.offset}`);
      const part = log.subarray(request.offset, request.offset + Math.min(chunkBytes, request.maxBytes));
      const body = gzipSync(part);
      stored.set(request.put ?? '', body);
      const put = createHash('sha256').update(body).digest('hex');
      now += askMs.shift() ?? 0;
      const place = { offset: request.offset, bytes: part.length, size: log.length, data: '', put };
      return Promise.resolve({ ok: true, ...jobStatus('train', '', { state: 'exited', exit: exit(), log: place }) });
    },
  };
  const put = logs.put.bind(logs);
  logs.put = async (stream, messages, time) => {
    await new Promise(setImmediate);
    await put(stream, messages, time);
    now += putMs;
    acts.push('sent');
  };
  const chunks = {
    presignPut: (key: string) => Promise.resolve(key),
    read: (key: string) => Promise.resolve(stored.get(key) ?? Buffer.alloc(0)),
  };
  const ports: JobPorts = { commands, logs, chunks, hasEnded: () => Promise.resolve(false), now: () => now };
  return { ports, acts, logs };
}

describe('a job with much log waiting', () => {
  const log = Buffer.from('0123456789abcde\n'.repeat(150_000));
  const poll = (ports: JobPorts) =>
    pollJob(ports, watchInput(jobStep('train', { backlog: BACKLOG })), 'train', () => {});

  it('is requested while the current chunk is sent', async () => {
    const { ports, acts, logs } = world(log);
    const step = await poll(ports);
    expect(step).toMatchObject({ ended: true, cursor: { offset: log.length } });
    expect(acts.slice(0, 4)).toEqual(['ask 0', 'ask 600000', 'sent', 'ask 1200000']);
    expect(logs.text(STREAM) === log.toString()).toBe(true);
  });

  it('is abandoned after 12 s, and requested again at once by the next attempt', async () => {
    const { ports, acts } = world(log, { putMs: 5_000 });
    const step = await poll(ports);
    expect(step).toMatchObject({ more: true, wait: 0, cursor: { offset: 1_200_000 } });
    expect(acts.filter((act) => act.startsWith('ask'))).toEqual(['ask 0', 'ask 600000']);
  });

  it('sends nothing of a chunk that came too late: stop-run may be reading by then', async () => {
    const { ports } = world(log, { askMs: [3_000, 9_000] });
    expect(await poll(ports)).toMatchObject({ more: true, cursor: { offset: 600_000 } });
  });

  it.each(['no answer', 'no chunk'] as const)('keeps what was sent when the next chunk brings %s', async (what) => {
    const { ports } = world(log);
    const { commands, chunks } = ports;
    let asked = 0;
    const later = <T>(work: () => Promise<T>) => (asked > 1 ? Promise.reject(new Error('gone')) : work());
    const broken: JobPorts = {
      ...ports,
      commands: {
        ask: (...args) => {
          asked += 1;
          return what === 'no answer' ? later(() => commands.ask(...args)) : commands.ask(...args);
        },
      },
      chunks: chunks && { ...chunks, read: (key) => later(() => chunks.read(key)) },
    };
    expect(await poll(broken)).toMatchObject({ more: true, ended: false, cursor: { offset: 600_000 } });
  });

  it('is not requested ahead by a step without chunks, nor for a short log', async () => {
    const { ports, acts } = world(log);
    const { status } = answerAt(log, 0, 0);
    const inline = {
      ...status,
      log: { ...status.log, bytes: 4, data: gzipSync('abc\n').toString('base64'), put: null },
    };
    const step = await shipLog({ ...ports, chunks: null }, jobInput(), inline, 0);
    expect(step).toMatchObject({ more: true, cursor: { offset: 4 } });
    const little = { ...inline, log: { ...inline.log, size: 400_000 } };
    expect(await shipLog(ports, jobInput(), little, 0)).toMatchObject({ more: true, cursor: { offset: 4 } });
    expect(acts.filter((act) => act.startsWith('ask'))).toEqual([]);
  });
});
