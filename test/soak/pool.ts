import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Definitions } from './definitions.ts';
import type { Level } from './levels.ts';
import type { Order, Result } from './worker.ts';

const WORKER = fileURLToPath(new URL('worker.ts', import.meta.url));

/** Plays seeds in several processes and calls `onResult` for each. Rejects if a process dies. */
export async function playAll(
  about: { readonly definitions: Definitions; readonly level: Level; readonly workers: number },
  seeds: readonly number[],
  onResult: (result: Result) => void,
): Promise<void> {
  const left = [...seeds];
  const { definitions, level } = about;
  const workers = Array.from({ length: Math.min(about.workers, seeds.length) }, async () => {
    const child = fork(WORKER, { execArgv: ['--import', 'tsx'] });
    try {
      send(child, { definitions, level });
      for (let seed = left.shift(); seed !== undefined; seed = left.shift()) onResult(await playOne(child, seed));
    } finally {
      child.kill();
    }
  });
  await Promise.all(workers);
}

function playOne(child: ChildProcess, seed: number): Promise<Result> {
  return new Promise((resolve, reject) => {
    const died = () => reject(new Error(`the process that played seed ${seed} died`));
    child.once('exit', died);
    child.once('message', (result) => {
      child.off('exit', died);
      resolve(result as Result);
    });
    send(child, { seed });
  });
}

function send(child: ChildProcess, order: Order): void {
  child.send(order);
}
