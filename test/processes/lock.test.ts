import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { withLock } from '../../local/cloud/lock.ts';

const holder = fileURLToPath(new URL('../support/lock-holder.ts', import.meta.url));

let folder: string;
let path: string;
const started: ChildProcess[] = [];
const others: number[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'runctl lock '));
  path = join(folder, 'name.lock');
});
afterEach(() => {
  for (const child of started.splice(0)) child.kill('SIGKILL');
  for (const pid of others.splice(0)) process.kill(pid, 'SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

function start(...args: string[]) {
  const child = spawn(process.execPath, ['--import', 'tsx', holder, path, ...args], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  started.push(child);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const line = async () => String((await lines.next()).value ?? 'ended');
  return { child, line, ended: new Promise<number | null>((resolve) => child.once('exit', resolve)) };
}

/** A process that has the lock, and has started another one. */
async function hold() {
  const one = start('hold');
  const [word, pid] = (await one.line()).split(' ');
  expect(word).toBe('locked');
  others.push(Number(pid));
  return one;
}

const never = () => Promise.reject(new Error('this must not run'));

describe('the lock of a path', () => {
  it('is had by one process at a time, whatever the spelling of the path; the others wait', async () => {
    const first = await hold();
    symlinkSync(folder, join(folder, 'link'));
    const told: string[] = [];
    const second = withLock(
      join(folder, 'link', 'name.lock'),
      () => told.push('waits'),
      async () => told.push('works'),
    );
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(told).toEqual(['waits']);
    first.child.stdin?.end();
    await second;
    expect(told).toEqual(['waits', 'works']);
    expect(await first.ended).toBe(0);
    await withLock(path, never, async () => undefined); // and is free again
  });

  it('is freed by the death of its process, although what that had started lives on', async () => {
    const first = await hold();
    const works = withLock(
      path,
      () => first.child.kill('SIGKILL'),
      async () => 'works',
    );
    expect(await works).toBe('works');
    for (const pid of others) expect(() => process.kill(pid, 0)).not.toThrow();
  });

  it('is no longer awaited after an abort, and is free after an error', async () => {
    const first = await hold();
    const controller = new AbortController();
    await expect(withLock(path, () => controller.abort(), never, controller.signal)).rejects.toThrow(
      'Interrupted while waiting for another process to release the lock.',
    );
    first.child.stdin?.end();
    await first.ended;
    await expect(withLock(path, never, () => Promise.reject(new Error('of the work')))).rejects.toThrow('of the work');
    await withLock(path, never, async () => undefined);
  });

  it('keeps many processes from losing what others write', async () => {
    const file = join(folder, 'count');
    writeFileSync(file, '0');
    const all = Array.from({ length: 8 }, () => start('count', file));
    const here = Array.from({ length: 8 }, () =>
      withLock(
        path,
        () => undefined,
        async () => writeFileSync(file, String(Number(readFileSync(file, 'utf8')) + 1)),
      ),
    );
    await Promise.all([...all.map(({ ended }) => ended), ...here]);
    expect(readFileSync(file, 'utf8')).toBe('16');
  });
});
