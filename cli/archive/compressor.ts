import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { compressMember, DEFLATE, gzipMember } from '../../core/archive/members.ts';

/** More threads than this wait for the one that reads. */
const THREADS_MAX = 4;
/** Starting a thread takes as long as compressing about this much. */
const BYTES_PER_THREAD = 2 * 1024 * 1024;

/** Makes gzip members, on several processors. */
export class Compressor {
  private readonly threads: Thread[] = [];
  private readonly count: number;
  private next = 0;

  /** @param bytes about how much there is to compress */
  constructor(bytes: number) {
    this.count = Math.min(THREADS_MAX, availableParallelism(), Math.floor(bytes / BYTES_PER_THREAD));
  }

  async member(content: Buffer): Promise<Buffer> {
    if (this.count === 0) return compressMember(content);
    // Started when they are needed: often all comes from the last archive.
    this.threads[this.next] ??= new Thread();
    const thread = this.threads[this.next] as Thread;
    this.next = (this.next + 1) % this.count;
    return gzipMember(content, await thread.deflate(content));
  }

  async end(): Promise<void> {
    await Promise.all(this.threads.map((thread) => thread.end()));
  }
}

/** A checkout has the source, a package the bundle. */
function workerFile(): URL {
  const source = new URL('./deflate-worker.js', import.meta.url);
  return existsSync(source) ? source : new URL('../../dist/deflate-worker.js', import.meta.url);
}

class Thread {
  private readonly worker = new Worker(workerFile(), { workerData: DEFLATE });
  private readonly waiting: { resolve: (deflated: Uint8Array) => void; reject: (error: Error) => void }[] = [];

  constructor() {
    // A thread answers in the order of its requests.
    this.worker.on('message', (deflated: Uint8Array) => this.waiting.shift()?.resolve(deflated));
    this.worker.on('error', (error) => this.fail(error));
    this.worker.on('exit', () => this.fail(new Error('a thread that compresses has ended')));
  }

  deflate(content: Buffer): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ resolve, reject });
      // A copy: a view would send all of the buffer that it is a part of.
      const copy = new Uint8Array(content);
      this.worker.postMessage(copy, [copy.buffer]);
    });
  }

  async end(): Promise<void> {
    await this.worker.terminate();
  }

  private fail(error: Error): void {
    for (const { reject } of this.waiting.splice(0)) reject(error);
  }
}
