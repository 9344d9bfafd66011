import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { maxLogBytesToRequest } from '../../../core/job/log-chunks.ts';
import type { JobSnapshot, StepContext } from '../../../core/workflow/data.ts';
import { FakeLogStore } from '../../support/fakes/log-store.ts';
import { ENTERED, exit, jobStatus, jobStep } from '../../support/fakes/samples.ts';
import { shipAnswer } from '../../support/fakes/ship-answer.ts';

const STREAM = 'demo-1/train';
const MARKER = /\n\[runctl\] This job has written maxLogBytes of log\.[^\n]*\n$/;
const entry = (number: number, retryCount = 0): StepContext => ({
  enteredAt: new Date(ENTERED + number * 1_000).toISOString(),
  retryCount,
});

/** A look that is answered with at most `most` bytes of the log. */
function look(
  logs: FakeLogStore,
  log: Uint8Array,
  step: JobSnapshot | null,
  options: { context: StepContext; limit: number; most?: number; ended?: boolean },
) {
  const offset = step?.cursor.offset ?? 0;
  const part = log.subarray(offset, offset + maxLogBytesToRequest(step, options.most ?? log.length));
  const status = jobStatus('train', part, {
    ...(options.ended ? { state: 'exited' as const, exit: exit() } : {}),
    log: { offset, bytes: part.length, size: log.length, data: gzipSync(part).toString('base64'), put: null },
  });
  const { context, limit: maxLogBytes } = options;
  return shipAnswer(status, step, { context, logs, maxLogBytes });
}

describe('maxLogBytes', () => {
  it('is no limit for a log of exactly as many bytes', async () => {
    const logs = new FakeLogStore();
    const step = await look(logs, Buffer.from('0123'), null, { context: entry(0), limit: 4, ended: true });
    expect(step).toMatchObject({ logFull: false, ended: true });
    expect(logs.text(STREAM)).toBe('0123');
  });

  it('cuts inside a character without a replacement character, and loses nothing before it', async () => {
    const logs = new FakeLogStore();
    await look(logs, Buffer.from('abé and more'), null, { context: entry(0), limit: 3 });
    const text = logs.text(STREAM);
    expect(text).toMatch(MARKER);
    expect(text.replace(MARKER, '')).toBe('ab\\xc3');
  });

  it('sends nothing after the limit of a log that the job has truncated', async () => {
    const logs = new FakeLogStore();
    const before = jobStep('train', { cursor: { offset: 10, eventTime: 5 } });
    const log = { offset: 300, bytes: 400, size: 700, data: gzipSync('x'.repeat(400)).toString('base64'), put: null };
    const options = { context: entry(0), logs, maxLogBytes: 200 };
    const step = await shipAnswer(jobStatus('train', '', { log }), before, options);
    expect(step).toMatchObject({ logFull: true, more: false });
    expect(logs.text(STREAM)).toMatch(/^\n\[runctl\] [^\n]*\n$/);
    expect(step.cursor.offset).toBeGreaterThanOrEqual(10);
  });

  it('gives the first bytes and one marker, whatever attempts died and however long their pieces were', async () => {
    const turn = fc.record({ most: fc.integer({ min: 1, max: 30 }), dies: fc.constantFrom('no', 'after', 'half-way') });
    const property = fc.asyncProperty(
      fc.integer({ min: 0, max: 60 }),
      fc.integer({ min: 1, max: 60 }),
      fc.array(turn, { maxLength: 12 }),
      async (size, limit, turns) => {
        const log = Buffer.from('0123456\n9'.repeat(7)).subarray(0, size);
        const logs = new FakeLogStore();
        let step: JobSnapshot | null = null;
        for (const [number, { most, dies }] of turns.entries()) {
          logs.dieAfterPut = dies === 'after';
          logs.cutNextPutAt = dies === 'half-way' ? 1 : null;
          const first: JobSnapshot | null = await look(logs, log, step, {
            context: entry(number),
            limit,
            most: 30,
          }).catch(() => null);
          logs.dieAfterPut = false;
          logs.cutNextPutAt = null;
          // The retry is answered with a piece of another length.
          step = first ?? (await look(logs, log, step, { context: entry(number, 1), limit, most }));
        }
        for (let number = turns.length; step === null || !step.ended; number += 1) {
          step = await look(logs, log, step, { context: entry(number), limit, ended: true });
        }
        const text = logs.text(STREAM);
        if (size <= limit) expect(text).toBe(log.toString());
        else {
          expect(text).toMatch(MARKER);
          expect(text.replace(MARKER, '')).toBe(log.subarray(0, limit).toString());
        }
      },
    );
    await fc.assert(property, { numRuns: 1_000 });
  });
});
