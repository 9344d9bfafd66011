import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { keepUnsettled } from '../../../core/job/shipping-attempt.ts';
import { UnreadableAnswer } from '../../../core/protocol/read-answer.ts';
import type { JobSnapshot, StepContext } from '../../../core/workflow/data.ts';
import { FakeLogStore } from '../../support/fakes/log-store.ts';
import { ENTERED, exit, firstTry, jobStatus, jobStep, secondTry } from '../../support/fakes/samples.ts';
import { shipAnswer } from '../../support/fakes/ship-answer.ts';

const STREAM = 'demo-1/train';

/** One look at a log that has grown to `log`; the answer begins where the step so far ends. */
function look(logs: FakeLogStore, log: Uint8Array, step: JobSnapshot | null, context: StepContext, ended = false) {
  const offset = step?.cursor.offset ?? 0;
  const part = log.subarray(offset);
  const status = jobStatus('train', part, {
    ...(ended ? { state: 'exited' as const, exit: exit() } : {}),
    log: { offset, bytes: part.length, size: log.length, data: gzipSync(part).toString('base64'), put: null },
  });
  return shipAnswer(status, step, options(logs, context));
}

function options(logs: FakeLogStore, context: StepContext, maxLogBytes = 1_000_000) {
  return { context, logs, maxLogBytes };
}

/** What a poll that met a silent instance hands on. */
function giveUp(step: JobSnapshot, context: StepContext): JobSnapshot {
  return { ...step, cursor: keepUnsettled(step.cursor, context) };
}

const later = (entries: number): StepContext => ({
  enteredAt: new Date(ENTERED + entries * 1000).toISOString(),
  retryCount: 0,
});

describe('shipLog', () => {
  it('ships what is new and moves the cursor', async () => {
    const logs = new FakeLogStore();
    const first = await look(logs, Buffer.from('one\n'), null, firstTry);
    expect(first.cursor).toEqual({ offset: 4, eventTime: ENTERED });
    const second = await look(logs, Buffer.from('one\ntwo\n'), first, later(1));
    expect(logs.text(STREAM)).toBe('one\ntwo\n');
    expect(second.cursor).toEqual({ offset: 8, eventTime: ENTERED + 1000 });
  });

  it('gives later events a later time, even when two states were entered in the same millisecond', async () => {
    const logs = new FakeLogStore();
    const first = await look(logs, Buffer.from('one\n'), null, firstTry);
    const second = await look(logs, Buffer.from('one\ntwo\n'), first, firstTry);
    expect(second.cursor.eventTime).toBe(ENTERED + 1);
  });

  it('puts what follows behind all visits of a function that died, each of which had a later time', async () => {
    const logs = new FakeLogStore();
    const first = await look(logs, Buffer.from('one\n'), null, firstTry);
    const second = await look(logs, Buffer.from('one\ntwo\n'), first, firstTry);
    await look(logs, Buffer.from('one\ntwo\nthree\n'), second, firstTry);
    // Its retry begins where the dead one began; the fake refuses events out of order.
    await look(logs, Buffer.from('one\ntwo\nthree\nfour\n'), null, secondTry);
    expect(logs.text(STREAM)).toBe('one\ntwo\nthree\nfour\n');
  });

  it('neither loses nor doubles when the Lambda died after writing, also when the log has grown since', async () => {
    const logs = new FakeLogStore();
    logs.dieAfterPut = true;
    await expect(look(logs, Buffer.from('one\ntw'), null, firstTry)).rejects.toThrow('died');
    const step = await look(logs, Buffer.from('one\ntwo\nthree\n'), null, secondTry);
    expect(logs.text(STREAM)).toBe('one\ntwo\nthree\n');
    expect(step.cursor.offset).toBe(14);
  });

  it('writes everything when the attempt before died without writing', async () => {
    const logs = new FakeLogStore();
    await look(logs, Buffer.from('one\n'), null, secondTry);
    expect(logs.text(STREAM)).toBe('one\n');
  });

  it('writes no empty batch when a retry finds all of it there', async () => {
    const logs = new FakeLogStore();
    logs.dieAfterPut = true;
    await expect(look(logs, Buffer.from('one\n'), null, firstTry)).rejects.toThrow('died');
    const step = await look(logs, Buffer.from('one\n'), null, secondTry);
    expect(logs.text(STREAM)).toBe('one\n');
    expect(step.cursor).toEqual({ offset: 4, eventTime: ENTERED });
  });

  it('ships the log byte for byte through any truncations, crashes and abandoned polls', async () => {
    const turn = fc.record({
      grown: fc.nat({ max: 40 }),
      dies: fc.constantFrom('no', 'after', 'half-way'),
      givesUp: fc.boolean(),
    });
    const text = fc
      .string({ unit: 'grapheme', maxLength: 120 })
      .map((one) => one.replaceAll('\0', '').replaceAll(' ', '\n'));
    await fc.assert(
      fc.asyncProperty(text, fc.array(turn, { maxLength: 8 }), async (whole, turns) => {
        const log = Buffer.from(whole);
        const logs = new FakeLogStore();
        let step: JobSnapshot | null = null;
        let size = 0;
        for (const [entry, { grown, dies, givesUp }] of turns.entries()) {
          size = Math.min(log.length, size + grown);
          const context = later(entry);
          logs.dieAfterPut = dies === 'after';
          logs.cutNextPutAt = dies === 'half-way' ? 1 : null;
          const next: JobSnapshot | null = await look(logs, log.subarray(0, size), step, context).catch(() => null);
          logs.dieAfterPut = false;
          logs.cutNextPutAt = null;
          const retry = { ...context, retryCount: 1 };
          if (next !== null) step = next;
          else if (givesUp && step !== null) step = giveUp(step, retry);
          else step = await look(logs, log.subarray(0, size), step, retry);
        }
        await look(logs, log, step, later(turns.length), true);
        expect(logs.text(STREAM)).toBe(whole);
      }),
      { numRuns: 500 },
    );
  });

  it('continues correctly when the attempt that crashed had a longer chunk than the next ones', async () => {
    const logs = new FakeLogStore();
    const log = Buffer.from('one\ntwo\nthree\nfour\n');
    logs.dieAfterPut = true;
    await expect(look(logs, log.subarray(0, 14), null, firstTry)).rejects.toThrow('died');
    const first = await look(logs, log.subarray(0, 4), null, secondTry);
    expect(first.cursor).toEqual({ offset: 4, eventTime: 0, unsettled: 4 });
    const second = await look(logs, log.subarray(0, 8), first, later(1));
    const third = await look(logs, log, second, later(2));
    expect(logs.text(STREAM)).toBe('one\ntwo\nthree\nfour\n');
    expect(third.cursor).toEqual({ offset: 19, eventTime: ENTERED + 2_000 });
  });

  it('stops at maxLogBytes with one line that says so, through a death as well, and follows the job to its end', async () => {
    const logs = new FakeLogStore();
    const log = Buffer.from('0123456789'.repeat(10));
    const short = (step: JobSnapshot | null, size: number, context: StepContext, ended = false) => {
      const part = log.subarray(step?.cursor.offset ?? 0, size);
      const status = jobStatus('train', part, {
        ...(ended ? { state: 'exited' as const, exit: exit() } : {}),
        log: {
          offset: step?.cursor.offset ?? 0,
          bytes: step?.logFull ? 0 : part.length,
          size,
          data: step?.logFull ? '' : gzipSync(part).toString('base64'),
          put: null,
        },
      });
      return shipAnswer(status, step, options(logs, context, 25));
    };
    const first = await short(null, 20, firstTry);
    expect(first.logFull).toBe(false);
    logs.dieAfterPut = true;
    await expect(short(first, 60, later(1))).rejects.toThrow('died');
    const second = await short(first, 60, { ...later(1), retryCount: 1 });
    expect(second).toMatchObject({ logFull: true, more: false, ended: false, cursor: { offset: 25 } });
    const third = await short(second, 100, later(2), true);
    expect(third).toMatchObject({ logFull: true, more: false, ended: true, ok: true });
    const text = logs.text(STREAM);
    expect(text.startsWith(`${log.subarray(0, 25)}\n[runctl] `)).toBe(true);
    expect(text.split('maxLogBytes').length).toBe(2);
    expect(text.endsWith('\n')).toBe(true);
  });

  it('ships a piece that came by way of S3', async () => {
    const logs = new FakeLogStore();
    const log = { offset: 0, bytes: 4, size: 9, data: '', put: 'a'.repeat(64) };
    const status = jobStatus('train', '', { log });
    const step = await shipAnswer(status, null, { ...options(logs, firstTry), chunk: Buffer.from('one\n') });
    expect(step).toMatchObject({ more: true, backlog: 5, cursor: { offset: 4 } });
    expect(logs.text(STREAM)).toBe('one\n');
  });

  it('holds back an incomplete character until the next poll', async () => {
    const logs = new FakeLogStore();
    const log = Buffer.from('é');
    const first = await look(logs, log.subarray(0, 1), null, firstTry);
    expect(first.cursor.offset).toBe(0);
    expect(logs.text(STREAM)).toBe('');
    await look(logs, log, first, later(1));
    expect(logs.text(STREAM)).toBe('é');
  });

  it('ends only when the whole log is shipped, and polls again at once until then', async () => {
    const logs = new FakeLogStore();
    const part = { offset: 0, bytes: 2, size: 4, data: gzipSync('a\n').toString('base64'), put: null };
    const status = jobStatus('train', '', { state: 'exited', exit: exit(), log: part });
    const step = await shipAnswer(status, null, options(logs, firstTry));
    expect(step).toMatchObject({ ended: false, more: true, wait: 0, ok: true });
    expect(await look(logs, Buffer.from('a\nb\n'), step, later(1), true)).toMatchObject({ ended: true, more: false });
  });

  it.each([
    ['exited', 0, true, true],
    ['exited', 1, true, false],
    ['vanished', null, true, false],
    ['stopped', 0, true, false],
    ['running', null, false, false],
    ['absent', null, false, false],
    ['refused', null, false, false],
    ['busy', null, false, false],
  ] as const)('%s with code %s: ended %s, ok %s', async (state, code, ended, ok) => {
    const status = jobStatus('train', '', { state, exit: code === null ? null : exit({ code }) });
    const step = await shipAnswer(status, null, options(new FakeLogStore(), firstTry));
    expect(step).toMatchObject({ ended, ok });
  });

  it('waits longer the longer the job has lasted, by the clock of the instance', async () => {
    const wait = async (startedAt: number | null) => {
      const status = jobStatus('train', '', { startedAt, now: 1000 });
      return (await shipAnswer(status, null, options(new FakeLogStore(), firstTry))).wait;
    };
    expect([await wait(990), await wait(800), await wait(100), await wait(null)]).toEqual([2, 10, 20, 2]);
  });

  it('keeps what was confirmed, and forgets a silence once there is an answer', async () => {
    const before = jobStep('train', { confirmed: true, silentSince: 5, pollFailures: 3 });
    const step = await look(new FakeLogStore(), Buffer.from('x'), before, firstTry);
    expect(step).toMatchObject({ confirmed: true, silentSince: null, pollFailures: 3 });
  });

  it.each([
    ['of another length', { offset: 0, bytes: 5, size: 9, data: gzipSync('ab').toString('base64'), put: null }],
    ['that is no gzip', { offset: 0, bytes: 5, size: 9, data: Buffer.from('abcde').toString('base64'), put: null }],
    [
      'that is cut',
      { offset: 0, bytes: 2, size: 9, data: gzipSync('ab').subarray(0, 15).toString('base64'), put: null },
    ],
  ])('ships nothing of a log %s', async (_, log) => {
    const logs = new FakeLogStore();
    const follow = shipAnswer(jobStatus('train', '', { log }), null, options(logs, firstTry));
    await expect(follow).rejects.toThrow(UnreadableAnswer);
    expect(logs.streams.size).toBe(0);
  });

  it('continues after a job has truncated its log', async () => {
    const logs = new FakeLogStore();
    const before = jobStep('train', { cursor: { offset: 100, eventTime: 5 } });
    const log = { offset: 300, bytes: 2, size: 302, data: gzipSync('ab').toString('base64'), put: null };
    const step = await shipAnswer(jobStatus('train', '', { log }), before, options(logs, firstTry));
    expect(step.cursor.offset).toBe(302);
    expect(step.more).toBe(false);
  });

  it('keeps its place when an answer has no log at all', async () => {
    const before = jobStep('train', { cursor: { offset: 100, eventTime: 5 } });
    const step = await shipAnswer(jobStatus('train', ''), before, options(new FakeLogStore(), firstTry));
    expect(step.cursor.offset).toBe(100);
  });
});
