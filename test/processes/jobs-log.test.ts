import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { logBytes, type TestInstance, type TestRun, useInstances, waitFor } from '../support/instance/test-instance.ts';

const instance = useInstances();
const ANSWER_BYTES = 23_500;

async function ran(box: TestInstance, script: string): Promise<TestRun> {
  box.write('train.py', script);
  const run = box.giveLease(box.run());
  await box.start(run, { train: {} });
  return run;
}

/** Reads the log as Watch training does: from where the last answer ended, at once again while more is waiting. */
async function drain(box: TestInstance, run: TestRun): Promise<{ bytes: Buffer; polls: number }> {
  const chunks: Buffer[] = [];
  for (let offset = 0, polls = 1; ; polls += 1) {
    const reply = await box.send<Awaited<ReturnType<TestInstance['poll']>>>({
      ...box.common('poll', run),
      job: 'train',
      offset,
    });
    expect(Buffer.byteLength(reply.stdout)).toBeLessThanOrEqual(ANSWER_BYTES + 1);
    const { log, state } = reply.answer;
    chunks.push(logBytes(reply.answer));
    offset = log.offset + log.bytes;
    if (state !== 'running' && offset === log.size) return { bytes: Buffer.concat(chunks), polls };
  }
}

describe('the log', () => {
  it.each([
    ['blank lines and no newline at the end', 'sys.stdout.write("a\\n\\n\\nb")'],
    ['NUL, binary and invalid UTF-8', 'sys.stdout.buffer.write(bytes(range(256)) * 40 + b"\\xff\\xc3")'],
    ['characters of several bytes', 'sys.stdout.write("ü€😀" * 20_000)'],
    [
      'stdout and stderr in the order written',
      'os.write(1, b"one\\n"); os.write(2, b"two\\n"); os.write(1, b"three\\n")',
    ],
    ['what cannot be compressed', 'sys.stdout.buffer.write(os.urandom(300_000))'],
    ['one line of 5 MB', 'sys.stdout.write("x" * 5_000_000)'],
    ['nothing', 'pass'],
  ])('comes over byte for byte: %s', async (_, script) => {
    const box = instance();
    const run = await ran(box, `import os, sys\n${script}\n`);
    const { bytes } = await drain(box, run);
    expect(bytes.equals(box.logOf(run, 'train'))).toBe(true);
  });

  it('has the times at which the instance saw it, in polls that want them and at the end', async () => {
    const box = instance();
    const run = await ran(
      box,
      `import sys, time
for number in range(4):
    print(number, time.time(), flush=True)
    time.sleep(1.1)
print("end")
`,
    );
    await box.ended(run, 'train');
    expect((await box.poll(run, 'train')).log).not.toHaveProperty('times');
    const { log } = await box.poll(run, 'train', { times: true });
    const times = log.times ?? [];
    expect(times.at(-1)?.[0]).toBe(log.size);
    const lines = box.logOf(run, 'train').toString().trimEnd().split('\n');
    let end = 0;
    for (const line of lines.slice(0, -1)) {
      end += line.length + 1;
      const written = Number(line.split(' ')[1]) * 1_000;
      const [, seen = 0] = times.find(([reached]) => reached >= end) ?? [];
      // Never earlier than the line; how much later is up to the machine, here a minute.
      expect(seen - written).toBeGreaterThan(-2);
      expect(seen - written).toBeLessThan(60_000);
    }
    expect(new Set(times.map(([, at]) => at)).size).toBeGreaterThan(3);
    const [middle] = times[1] ?? [0];
    expect((await box.poll(run, 'train', { times: true, offset: middle })).log.times).toEqual(times.slice(2));
    expect(await box.poll(run, 'train', { times: 1 })).toMatchObject({ ok: false, error: { name: 'BadRequest' } });
  });

  it('of many times comes in parts that have the times of all their bytes', async () => {
    const box = instance();
    const run = await ran(box, 'for number in range(1000): print("%09d" % number)\n');
    await box.ended(run, 'train');
    const records = Buffer.alloc(16 * 1_000);
    for (let number = 0; number < 1_000; number += 1) {
      records.writeBigUInt64BE(BigInt((number + 1) * 10), number * 16);
      records.writeBigUInt64BE(BigInt(1_700_000_000_000 + number), number * 16 + 8);
    }
    writeFileSync(join(box.jobFolder(run, 'train'), 'log-times'), records);
    const { log } = await box.poll(run, 'train', { times: true, offset: 15 });
    expect(log).toMatchObject({ offset: 15, bytes: 10 * 201 - 15 });
    expect(log.times?.[0]).toEqual([20, 1_700_000_000_001]);
    expect(log.times?.length).toBe(200);
  });

  it('of a burst is drained while it is written', async () => {
    const box = instance();
    const line = 'f"epoch {i} step {i * 7} loss {1 / (i + 1):.6f} accuracy {i / 100000:.4f} lr 3e-4\\n"';
    const run = await ran(box, `import sys\nfor i in range(60_000): sys.stdout.write(${line})\n`);
    const { bytes, polls } = await drain(box, run);
    expect(bytes.equals(box.logOf(run, 'train'))).toBe(true);
    // A log like this packs to a third or better: an answer carries more than 40 KB of it.
    expect(bytes.length / polls).toBeGreaterThan(40_000);
  });

  it('has what was written while the process exited before the outcome is known', async () => {
    const box = instance();
    const run = await ran(box, 'import os\nos.write(1, b"y" * 100_000 + b"the end\\n")\nos._exit(5)\n');
    const ended = await box.until(run, 'train', ({ state }) => state !== 'running');
    expect(ended).toMatchObject({ exit: { code: 5 }, log: { size: 100_008 } });
  });

  it('is returned from the requested offset, up to the requested size', async () => {
    const box = instance();
    const run = await ran(box, 'print("0123456789" * 100)\n');
    await box.ended(run, 'train');
    const part = await box.poll(run, 'train', { offset: 995, maxBytes: 4 });
    expect(part.log).toMatchObject({ offset: 995, bytes: 4, size: 1_001 });
    expect(logBytes(part).toString()).toBe('5678');
    const end = await box.poll(run, 'train', { offset: 1_001 });
    expect(end.log).toMatchObject({ offset: 1_001, bytes: 0, size: 1_001 });
    expect(logBytes(end)).toHaveLength(0);
  });

  it('has a tail of at most 20 lines and 4 KB, fit to be shown', async () => {
    const box = instance();
    const script = `import sys
for i in range(100): print("line", i)
sys.stdout.write("\\r 10%\\r 50%\\r100%\\n")
sys.stdout.buffer.write(b"\\x1b[31mred\\x00\\xff\\ttab\\n\\n")
`;
    const run = await ran(box, script);
    const { tail } = await box.ended(run, 'train');
    expect(tail).toHaveLength(20);
    expect(tail?.slice(-3)).toEqual(['line 99', '100%', '\\x1b[31mred\\x00\\xff\ttab']);
    const long = await ran(box, 'print("first")\nprint("€" * 3_000 + "!")\n');
    const cut = (await box.ended(long, 'train')).tail ?? [];
    expect(cut).toHaveLength(1);
    expect(Buffer.byteLength(cut[0] ?? '')).toBeLessThanOrEqual(4_096);
    expect(cut[0]).toMatch(/^€+!$/);
  });

  it('that the training truncates is detected, marked, and continued without repeating a byte', async () => {
    const box = instance();
    const run = await ran(
      box,
      `import os, time
print("before " * 100, flush=True)
while not os.path.exists("cut"): time.sleep(0.05)
os.ftruncate(1, 0)
print("after", flush=True)
time.sleep(300)
`,
    );
    const first = await box.until(run, 'train', ({ log }) => log.size === 701);
    box.write('cut', '');
    const seen = first.log.offset + first.log.bytes;
    const rest = await waitFor(async () => {
      const next = await box.poll(run, 'train', { offset: seen });
      return next.log.bytes > 0 ? next : null;
    }, 20);
    expect(rest.log.offset).toBe(701);
    expect(logBytes(rest).toString().split('\n').sort()).toEqual([
      '',
      '[runctl] the job truncated its log: 701 bytes before this point are lost',
      'after',
    ]);
    expect((await box.poll(run, 'train')).log.offset).toBe(701);
  });

  it('that the training replaces is put back whole, and marked', async () => {
    const box = instance();
    const run = await ran(
      box,
      `import os, time
print("before", flush=True)
while not os.path.exists("replaced"): time.sleep(0.05)
print("after", flush=True)
`,
    );
    await box.until(run, 'train', ({ log }) => log.size === 7);
    const log = join(box.jobFolder(run, 'train'), 'log');
    writeFileSync(`${log}.mine`, 'forged');
    renameSync(`${log}.mine`, log);
    await box.until(run, 'train', (status) => logBytes(status).includes('restored'), 20);
    box.write('replaced', '');
    const ended = await box.ended(run, 'train');
    expect(logBytes(ended).toString()).toBe(
      'before\n[runctl] this log was replaced or removed; it was restored\nafter\n',
    );
  });
});
