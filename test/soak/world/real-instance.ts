import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { buffer, text } from 'node:stream/consumers';
import { INSTANCE_TAGS, type JobName, jobOfAttempt } from '../../../core/names.ts';
import type { CheckpointGrant, RunnerRequest, TrainRequest } from '../../../core/protocol/messages.ts';
import { killQuietly } from '../../support/instance/processes.ts';
import { TestInstance } from '../../support/instance/test-instance.ts';
import type { JobPlan } from '../model/job.ts';
import type { Restored } from '../model/restore.ts';
import type { AttemptWatch } from './attempts.ts';
import type { InstanceTruth, JobTruth, Running, SoakInstance, Victim } from './instance.ts';
import { jobsOf, type RunPlan } from './schedule.ts';

const POLL_MS = 20;

/** Serves the bucket's presigned URLs on loopback. */
export class BucketServer {
  private readonly server: Server;

  constructor(
    serve: (method: 'GET' | 'PUT', url: string, content: Buffer) => { status: number; body: Buffer | null },
    post: (grant: CheckpointGrant, key: string, content: Buffer) => boolean = () => false,
  ) {
    this.server = createServer((request, response) => {
      void buffer(request)
        .then(async (content) => {
          if (request.method === 'POST') {
            const { fields, file } = await formOf(content, request.headers['content-type'] ?? '');
            response.writeHead(post({ fields } as CheckpointGrant, fields.key ?? '', file) ? 204 : 403).end();
            return;
          }
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

async function formOf(content: Buffer, type: string): Promise<{ fields: Record<string, string>; file: Buffer }> {
  const form = await new Response(new Uint8Array(content), { headers: { 'Content-Type': type } }).formData();
  const file = form.get('file');
  const fields = [...form].flatMap(([name, value]) => (typeof value === 'string' ? [[name, value]] : []));
  return {
    fields: Object.fromEntries(fields),
    file: Buffer.from(file instanceof Blob ? await file.arrayBuffer() : new ArrayBuffer(0)),
  };
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
  readonly attempts?: () => AttemptWatch | undefined;
}

/** A job's folder below a run's: `train`, `train-2`. */
const JOB_FOLDER = /^(sync|install|restore|train)(?:-(\d+))?$/;

/** The instance of level (b): the real runner and real processes. */
export class RealInstance implements SoakInstance {
  readonly here = new TestInstance({});
  /** The last request to start a training, by run and attempt. */
  private readonly asked = new Map<string, TrainRequest>();
  private readonly reportedStarts = new Set<string>();
  private readonly polling: NodeJS.Timeout;
  private readonly ports: RealInstancePorts;

  constructor(ports: RealInstancePorts) {
    this.ports = ports;
    const { here } = this;
    mkdirSync(join(here.home, 'plans'));
    for (const run of ports.runs) {
      this.plan(run.id, run.jobs.train);
      for (const at of (run.later ?? []).keys()) this.plan(`${run.id}-${at + 2}`, jobsOf(run, at + 2).train);
    }
    this.polling = setInterval(() => this.poll(), POLL_MS);
  }

  /** Sets what a training does. @param name of the run, and `-` and the attempt, if that has a plan of its own */
  plan(name: string, train: JobPlan): void {
    const { scale } = this.ports;
    const { onTerm } = train;
    const real = {
      ...train,
      output: train.output.map(({ at, text: written }) => ({ at: at / scale, text: written })),
      lasts: train.lasts / scale,
      saves: (train.saves ?? []).map((save) => ({
        ...save,
        at: save.at / scale,
        lasts: save.lasts / scale,
        removedAt: Number.isFinite(save.removedAt) ? save.removedAt / scale : null,
      })),
      onTerm: typeof onTerm === 'string' ? onTerm : { ...onTerm, after: onTerm.after / scale },
    };
    writeFileSync(join(this.here.home, 'plans', `${name}.json`), JSON.stringify(real));
  }

  get tags(): Record<string, string> {
    const { root, home, user } = this.here;
    return { [INSTANCE_TAGS.root]: root, [INSTANCE_TAGS.home]: home, [INSTANCE_TAGS.user]: user };
  }

  execute(request: RunnerRequest): Running {
    if ('train' in request) this.asked.set(`${request.run.id} ${request.attempt ?? 1}`, request.train);
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
    const [last] = this.jobsOf(runId)
      .filter((one) => one.job === job)
      .sort((one, other) => other.attempt - one.attempt);
    if (!last) return;
    const identity = this.marker(runId, last, 'identity.json') as Identity | null;
    if (!identity || this.marker(runId, last, 'exit.json')) return;
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
      jobs.set(
        id,
        this.jobsOf(id).map((one) =>
          this.jobTruth(
            id,
            one,
            journal.filter(([run, attempt]) => run === id && Number(attempt) === one.attempt),
          ),
        ),
      );
    }
    this.reportAttempts(journal);
    const now = Date.now() / 1_000;
    const tickets = this.list('lease/queue').map((name) => this.read(join('lease/queue', name)) as unknown as Ticket);
    return {
      holder: ((this.read('lease/holder.json') as { run?: string } | null)?.run ?? null) as string | null,
      tickets: tickets.filter(({ renewedAt, ttl }) => now < renewedAt + ttl).map(({ run }) => run),
      jobs,
      overlaps: journal.filter(([, , what]) => what === 'overlap').map(([run]) => `${run} trained beside another`),
      // Two attempts that train at once overlap, too.
      doubledAttempts: [],
      living: this.here.processes().map((pid) => `process ${pid}`),
      isReached: true,
    };
  }

  async remove(): Promise<void> {
    clearInterval(this.polling);
    await this.here.remove();
  }

  /** What trainings went on from, as they found it. */
  private reportAttempts(journal: readonly (readonly string[])[]): void {
    const attempts = this.ports.attempts?.();
    for (const [run = '', attempt, what] of attempts ? journal : []) {
      const train = this.asked.get(`${run} ${attempt}`);
      if (what !== 'start' || !train) continue;
      const resumed = journal.find((one) => one[0] === run && one[1] === attempt && one[2] === 'resumed');
      const restored: Restored | null = resumed
        ? { name: resumed[3] ?? '', content: Buffer.from(resumed[4] ?? '', 'hex').toString() }
        : null;
      if (restored) attempts?.restored(run, Number(attempt), restored);
      attempts?.training(run, Number(attempt), train, restored);
    }
  }

  private jobTruth(run: string, one: AttemptJob, journal: readonly (readonly string[])[]): JobTruth {
    const { job, attempt } = one;
    const exit = this.marker(run, one, 'exit.json') as unknown as JobTruth['exit'];
    const hasStarted = this.marker(run, one, 'identity.json') !== null;
    const end = journal.find(([, , what]) => what === 'exit' || what === 'signal');
    const recorded = end
      ? { code: end[2] === 'exit' ? Number(end[3]) : null, signal: end[2] === 'signal' ? (end[3] ?? null) : null }
      : null;
    // A killed process does not write its end to the journal.
    const killed = exit && (job !== 'train' || exit.code === null) ? { code: exit.code, signal: exit.signal } : null;
    return {
      job,
      attempt,
      starts: job === 'train' ? journal.filter(([, , what]) => what === 'start').length : Number(hasStarted),
      exit,
      end: job === 'train' ? (recorded ?? killed) : killed,
      log: this.bytes(join(this.folder(run, one), 'log')) ?? Buffer.alloc(0),
    };
  }

  private poll(): void {
    for (const key of this.list('runs')) {
      const id = key.slice(0, -17);
      for (const one of this.jobsOf(id)) {
        const name = `${id} ${jobOfAttempt(one.job, one.attempt)}`;
        if (this.reportedStarts.has(name) || this.marker(id, one, 'identity.json') === null) continue;
        this.reportedStarts.add(name);
        this.ports.onStart(id, one.job);
      }
    }
  }

  private journal(): string[][] {
    const lines = this.bytes(join(this.here.home, 'journal'))?.toString('utf8').split('\n') ?? [];
    return lines.map((line) => line.split(' '));
  }

  /** A run's folder is named `<id>-<16 hex digits>`. */
  private keyOf(run: string): string {
    return this.list('runs').find((name) => name.slice(0, -17) === run) ?? run;
  }

  private jobsOf(run: string): AttemptJob[] {
    return this.list(join('runs', this.keyOf(run))).flatMap((name) => {
      const [, job, attempt = '1'] = JOB_FOLDER.exec(name) ?? [];
      return job === undefined ? [] : [{ job: job as JobName, attempt: Number(attempt) }];
    });
  }

  private folder(run: string, { job, attempt }: AttemptJob): string {
    return join(this.here.root, 'runs', this.keyOf(run), jobOfAttempt(job, attempt));
  }

  private marker(run: string, job: AttemptJob, name: string): Record<string, unknown> | null {
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

interface AttemptJob {
  readonly job: JobName;
  readonly attempt: number;
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
