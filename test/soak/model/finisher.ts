import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { logFileName } from '../../../core/names.ts';
import type { CollectedFile } from '../../../core/protocol/answers.ts';
import type { Clock } from '../clock.ts';
import type { Random } from '../random.ts';
import type { ModelJob } from './job.ts';

const ATTEMPTS = 3;

/** A PUT to a presigned URL. Returns the HTTP status, or null if there was no answer. */
export type PutUrl = (url: string, body: Buffer) => number | null;

export interface FinisherPorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly putUrl: PutUrl;
  /** Whether this finisher dies before it is done. */
  readonly dies: () => boolean;
}

/** `<root>/runs/<key>/finish`: the files to upload, and the process that packs and uploads them. */
export class ModelFinisher {
  collected: { files: CollectedFile[]; warnings: string[] } | null = null;
  uploaded: { names: readonly string[]; failed: Record<string, string> } | null = null;
  private readonly bodies = new Map<string, Buffer>();
  private readonly sent = new Set<string>();
  private readonly attempts = { collect: 0, upload: 0 };
  /** Kills the running process. */
  private cancel: (() => void) | null = null;
  private readonly ports: FinisherPorts;

  constructor(ports: FinisherPorts) {
    this.ports = ports;
  }

  kill(): void {
    this.cancel?.();
    this.cancel = null;
  }

  /** Advances the collection. Returns whether it is complete. */
  advanceCollect(jobs: readonly ModelJob[], withOutputs: boolean): boolean {
    return this.advance('collect', this.collected !== null, {
      work: () => this.collect(jobs, withOutputs),
      giveUp: () => {
        this.collected = {
          files: [],
          warnings: [`packing outputs and logs was tried ${ATTEMPTS} times, and died each time`],
        };
      },
    });
  }

  advanceUpload(puts: Readonly<Record<string, string>>): boolean {
    // As _reopen_upload: this request has names that earlier requests lacked.
    if (this.uploaded && Object.keys(puts).some((name) => !this.uploaded?.names.includes(name))) {
      this.uploaded = null;
      this.attempts.upload = 0;
    }
    return this.advance('upload', this.uploaded !== null, {
      work: () => this.upload(puts),
      giveUp: () => {
        const names = (this.collected?.files ?? []).map(({ name }) => name);
        const left = names.filter((name) => !this.sent.has(name));
        const why = `sending it was tried ${ATTEMPTS} times, and did not come to its end`;
        this.uploaded = { names, failed: Object.fromEntries(left.map((name) => [name, why])) };
      },
    });
  }

  private advance(kind: 'collect' | 'upload', done: boolean, ways: { work: () => void; giveUp: () => void }): boolean {
    if (done) return true;
    if (this.cancel) return false;
    if (this.attempts[kind] >= ATTEMPTS) {
      ways.giveUp();
      return true;
    }
    this.attempts[kind] += 1;
    const { clock, random } = this.ports;
    const dies = this.ports.dies();
    this.cancel = clock.timer(random.spread(100, 12_000), () => {
      this.cancel = null;
      if (!dies) ways.work();
    });
    return false;
  }

  private collect(jobs: readonly ModelJob[], withOutputs: boolean): void {
    for (const { name, attempt, log } of jobs)
      if (log.length > 0) this.bodies.set(logFileName(name, attempt), gzipSync(log, { level: 1 }));
    if (withOutputs) this.bodies.set('outputs.tar.gz', gzipSync('outputs', { level: 1 }));
    this.bodies.set('inventory.json', Buffer.from(JSON.stringify({ outputs: [], python: null, packages: {} })));
    const files = [...this.bodies].map(([name, body]) => ({
      name,
      bytes: body.length,
      sha256: createHash('sha256').update(body).digest('hex'),
    }));
    this.collected = { files, warnings: [] };
  }

  private upload(puts: Readonly<Record<string, string>>): void {
    const failed: Record<string, string> = {};
    for (const [name, body] of this.bodies) {
      const url = puts[name];
      if (this.sent.has(name) || url === undefined) continue;
      const statuses = [0, 1, 2].map(() => (this.sent.has(name) ? 200 : this.try(name, url, body)));
      if (!statuses.includes(200)) failed[name] = `S3 answered ${statuses.at(-1) ?? 'nothing'}`;
    }
    this.uploaded = { names: [...Object.keys(puts), ...this.sent], failed };
  }

  private try(name: string, url: string, body: Buffer): number | null {
    const status = this.ports.putUrl(url, body);
    if (status === 200) this.sent.add(name);
    return status;
  }
}
