import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { buffer, text } from 'node:stream/consumers';
import { INSTANCE_TAGS, JOBS, type JobName } from '../../../core/names.ts';
import type { RunnerRequest } from '../../../core/protocol/messages.ts';
import { killQuietly } from '../../support/instance/processes.ts';
import { TestInstance } from '../../support/instance/test-instance.ts';
import type { JobPlan } from '../model/job.ts';
import type { InstanceTruth, JobTruth, Running, SoakInstance, Victim } from './instance.ts';
import type { RunPlan } from './schedule.ts';

const POLL_MS = 20;

/** Serves the bucket's presigned URLs on loopback. */
export class BucketServer {
  private readonly server: Server;

  constructor(serve: (method: 'GET' | 'PUT', url: string, content: Buffer) => { status: number; body: Buffer | null }) {
    this.server = createServer((request, response) => {
      void buffer(request)
        .then((content) => {
          const { status, body } = serve(request.method === 'PUT' ? 'PUT' : 'GET', request.url ?? '', content);
          const range = body && status === 200 ? rangeOf(body, request.headers.range) : null;
          const sent = range?.bytes ?? body;
          // As S3 does; without it, Node sends chunks.
          response.setHeader('Content-Length', sent?.length ?? 0);
          if (range) response.setHeader('Content-Range', range.header);
          response.writeHead(range ? 206 : status).end(sent ?? undefined);
        })
        .catch(() => response.destroy()); // the sender was killed
    });
  }

  async open(): Promise<string> {
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.server.close(resolve));
    // Only now, because a connection that is opened before would stay open.
    this.server.closeAllConnections();
    await closed;
  }
}

/** What a GET with the header Range gets; null: it has none. */
function rangeOf(body: Buffer, range: string | undefined): { header: string; bytes: Buffer } | null {
  const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(range ?? '') ?? [];
  if (first === undefined || last === undefined) return null;
  const bytes = body.subarray(Number(first), Number(last) + 1);
  return { header: `bytes ${first}-${Number(first) + bytes.length - 1}/${body.length}`, bytes };
}

export interface RealInstancePorts {
  readonly runs: readonly RunPlan[];
  /** The ratio of the schedule's time to the processes' time. */
  readonly scale: number;
  readonly onStart: (runId: string, job: JobName) => void;
}

/** The instance of level (b): the real runner and real processes. */
export class RealInstance implements SoakInstance {
  readonly here = new TestInstance({});
  private readonly reportedStarts = new Set<string>();
  private readonly polling: NodeJS.Timeout;
  private readonly ports: RealInstancePorts;

  constructor(ports: RealInstancePorts) {
    this.ports = ports;
    const { here } = this;
    mkdirSync(join(here.home, 'plans'));
    for (const { id, jobs } of ports.runs) this.plan(id, jobs.train);
    this.polling = setInterval(() => this.poll(), POLL_MS);
  }

  /** Sets what the training of a run does. */
  plan(runId: string, train: JobPlan): void {
    const { scale } = this.ports;
    const { onTerm } = train;
    const real = {
      ...train,
      output: train.output.map(({ at, text: written }) => ({ at: at / scale, text: written })),
      lasts: train.lasts / scale,
      onTerm: typeof onTerm === 'string' ? onTerm : { ...onTerm, after: onTerm.after / scale },
    };
    writeFileSync(join(this.here.home, 'plans', `${runId}.json`), JSON.stringify(real));
  }

  get tags(): Record<string, string> {
    const { root, home, user } = this.here;
    return { [INSTANCE_TAGS.root]: root, [INSTANCE_TAGS.home]: home, [INSTANCE_TAGS.user]: user };
  }

  execute(request: RunnerRequest): Running {
    const command = this.here.command(JSON.stringify(request));
    let isKilled = false;
    const output = text(command.stdout).then((printed) => (isKilled ? new Promise<never>(() => undefined) : printed));
    command.stderr.resume();
    const kill = () => {
      isKilled = true;
      if (command.pid !== undefined) killQuietly(-command.pid);
    };
    return { output, kill };
  }

  strike(runId: string, job: JobName, victim: Victim): void {
    const identity = this.marker(runId, job, 'identity.json') as Identity | null;
    if (!identity || this.marker(runId, job, 'exit.json')) return;
    if (victim === 'supervisor' || victim === 'both') killQuietly(identity.supervisor.pid);
    if (victim !== 'supervisor') killQuietly(-identity.pid);
  }

  powerOff(): void {
    throw new Error('real processes share the machine with the soak: it does not go down');
  }

  truth(): InstanceTruth {
    const journal = this.journal();
    const jobs = new Map<string, JobTruth[]>();
    for (const key of this.list('runs')) {
      const id = key.slice(0, -17);
      const started = JOBS.filter((job) => this.list(join('runs', key)).includes(job));
      jobs.set(
        id,
        started.map((job) =>
          this.jobTruth(
            id,
            job,
            journal.filter(([run]) => run === id),
          ),
        ),
      );
    }
    const now = Date.now() / 1_000;
    const tickets = this.list('lease/queue').map((name) => this.read(join('lease/queue', name)) as unknown as Ticket);
    return {
      holder: ((this.read('lease/holder.json') as { run?: string } | null)?.run ?? null) as string | null,
      tickets: tickets.filter(({ renewedAt, ttl }) => now < renewedAt + ttl).map(({ run }) => run),
      jobs,
      overlaps: journal.filter(([, what]) => what === 'overlap').map(([run]) => `${run} trained beside another`),
      doubledAttempts: [],
      living: this.here.processes().map((pid) => `process ${pid}`),
    };
  }

  async remove(): Promise<void> {
    clearInterval(this.polling);
    await this.here.remove();
  }

  private jobTruth(run: string, job: JobName, journal: readonly (readonly string[])[]): JobTruth {
    const exit = this.marker(run, job, 'exit.json') as unknown as JobTruth['exit'];
    const hasStarted = this.marker(run, job, 'identity.json') !== null;
    const end = journal.find(([, what]) => what === 'exit' || what === 'signal');
    const recorded = end
      ? { code: end[1] === 'exit' ? Number(end[2]) : null, signal: end[1] === 'signal' ? (end[2] ?? null) : null }
      : null;
    // A killed process does not write its end to the journal.
    const killed = exit && (job !== 'train' || exit.code === null) ? { code: exit.code, signal: exit.signal } : null;
    return {
      job,
      attempt: 1,
      starts: job === 'train' ? journal.filter(([, what]) => what === 'start').length : Number(hasStarted),
      exit,
      end: job === 'train' ? (recorded ?? killed) : killed,
      log: this.bytes(join(this.folder(run, job), 'log')) ?? Buffer.alloc(0),
    };
  }

  private poll(): void {
    for (const key of this.list('runs')) {
      for (const job of JOBS) {
        const id = key.slice(0, -17);
        if (this.reportedStarts.has(`${id} ${job}`) || this.marker(id, job, 'identity.json') === null) continue;
        this.reportedStarts.add(`${id} ${job}`);
        this.ports.onStart(id, job);
      }
    }
  }

  private journal(): string[][] {
    const lines = this.bytes(join(this.here.home, 'journal'))?.toString('utf8').split('\n') ?? [];
    return lines.map((line) => line.split(' '));
  }

  /** A run's folder is named `<id>-<16 hex digits>`. */
  private folder(run: string, job: JobName): string {
    const key = this.list('runs').find((name) => name.slice(0, -17) === run) ?? run;
    return join(this.here.root, 'runs', key, job);
  }

  private marker(run: string, job: JobName, name: string): Record<string, unknown> | null {
    return parse(this.bytes(join(this.folder(run, job), name)));
  }

  private read(name: string): Record<string, unknown> | null {
    return parse(this.bytes(join(this.here.root, name)));
  }

  private list(folder: string): string[] {
    try {
      return readdirSync(join(this.here.root, folder)).filter((name) => !name.startsWith('.'));
    } catch {
      return []; // Nothing has been written there yet.
    }
  }

  private bytes(path: string): Buffer | null {
    try {
      return readFileSync(path);
    } catch {
      return null; // The same.
    }
  }
}

interface Identity extends Record<string, unknown> {
  readonly pid: number;
  readonly supervisor: { readonly pid: number };
}

interface Ticket {
  readonly run: string;
  readonly renewedAt: number;
  readonly ttl: number;
}

function parse(bytes: Buffer | null): Record<string, unknown> | null {
  return bytes && (JSON.parse(bytes.toString('utf8')) as Record<string, unknown>);
}
