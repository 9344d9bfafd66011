import { createHash } from 'node:crypto';
import { seriesOf } from '../../../core/checkpoints/keys.ts';
import type { KeeperReport, SentCheckpoint, SpotNotice } from '../../../core/protocol/answers.ts';
import type { CheckpointGrant, CheckpointsRequest } from '../../../core/protocol/messages.ts';
import type { Clock } from '../clock.ts';
import type { Random } from '../random.ts';
import { filesAt, type SavedFile } from './checkpoint-files.ts';
import type { ModelJob } from './job.ts';

const LOOK_MS = 5_000;
const QUIET_MS = 5_000;
const RETRY_MS = 2_000;
const GRANT_MS = 270_000;
const DRAIN_MS = 60_000;
const MOST_STARTS = 50;
const MOST_REPORTED = 8;

export interface KeeperPorts {
  readonly clock: Clock;
  readonly random: Random;
  /** Whether the training has ended, and nothing can write any more. */
  readonly isOver: () => boolean;
  /** Whether the run's folder is there, and the run has the instance. */
  readonly isWanted: () => boolean;
  /** What the instance metadata service says. */
  readonly notice: () => SpotNotice | null;
  /** The supervisor reads spot.json. */
  readonly onNotice: (notice: SpotNotice) => void;
  /** A POST. Returns whether S3 took it. */
  readonly post: (grant: CheckpointGrant, key: string, body: Buffer) => boolean;
  readonly faults: () => { readonly dies: number; readonly diskFull: number; readonly lies: number };
}

interface Task {
  readonly seq: number;
  readonly file: SavedFile;
  readonly since: number;
  /** In how many parts it is sent. */
  readonly parts: number;
  /** Contents of the parts that were sent, by key. */
  readonly sent: Map<string, Buffer>;
}

/** What survives a keeper that is killed. */
interface State {
  readonly next: number;
  readonly units: readonly SentCheckpoint[];
  readonly newest: ReadonlyMap<string, number>;
  readonly done: ReadonlyMap<string, SavedFile['save']>;
}

const md5 = (bytes: Buffer) => createHash('md5').update(bytes).digest('hex');

/** The folder `keeper` of a training, and the process that works in it: as instance/runner/checkpoints and jobs/keep.py. */
export class ModelKeeper {
  private state: State;
  private task: Task | null = null;
  private report: KeeperReport | null = null;
  private grant: (CheckpointGrant & { readonly receivedAt: number }) | null = null;
  private starts = 0;
  private process: KeeperProcess | null = null;
  /** When a poll found that the training has vanished: drain.json. */
  private vanishedAt: number | null = null;
  private isSuperseded = false;
  /** spot.json. */
  notice: SpotNotice | null = null;

  constructor(
    private readonly job: ModelJob,
    request: CheckpointsRequest,
    readonly ports: KeeperPorts,
  ) {
    this.state = { next: request.firstSeq, units: [], newest: new Map(), done: new Map() };
  }

  /** A poll with a right to send. */
  poll(grant: CheckpointGrant, isRunning: boolean): KeeperReport {
    if (this.report?.state === 'done') {
      return { ...this.report, units: this.report.units.filter(({ seq }) => seq > grant.committed) };
    }
    this.grant = { ...grant, receivedAt: this.ports.clock.now() };
    const empty: KeeperReport = { state: 'watching', units: [], uploading: null, warnings: [], notice: null };
    if (this.process?.alive) return this.report ?? empty;
    if (!this.isSuperseded && (isRunning || this.mayDrain()) && this.starts < MOST_STARTS) {
      this.starts += 1;
      this.process = new KeeperProcess(this);
      return this.report ?? empty;
    }
    return { ...(this.report ?? empty), state: 'done' };
  }

  kill(): void {
    this.process?.kill();
  }

  /** A job of a later attempt is started. */
  end(): void {
    this.isSuperseded = true;
    this.grant = null;
    this.kill();
  }

  private mayDrain(): boolean {
    const now = this.ports.clock.now();
    if (!this.job.exit) this.vanishedAt ??= now;
    const endedAt = this.job.exit ? this.job.exit.endedAt * 1_000 : (this.vanishedAt ?? now);
    return now - endedAt < DRAIN_MS;
  }

  validGrant(): CheckpointGrant | null {
    const { grant } = this;
    return grant && this.ports.clock.now() - grant.receivedAt < GRANT_MS ? grant : null;
  }

  files(): Map<string, SavedFile> {
    const { identity, process, plan } = this.job;
    if (identity === null || process === null) return new Map();
    const now = process.endedAt ?? this.ports.clock.now();
    return filesAt(plan.saves ?? [], now - identity.startedAt * 1_000);
  }

  readState(): State {
    return this.state;
  }
  readTask(): Task | null {
    return this.task;
  }
  readReport(): KeeperReport | null {
    return this.report;
  }

  /** On a full disk nothing is written. */
  save(state: State): void {
    if (!this.isFull()) this.state = state;
  }
  saveTask(task: Task | null): void {
    if (task === null || !this.isFull()) this.task = task;
  }
  saveReport(report: KeeperReport): void {
    if (!this.isFull()) this.report = report;
  }

  private isFull(): boolean {
    return this.ports.random.chance(this.ports.faults().diskFull);
  }
}

/** The process. It dies only where the clock can stop it: between two steps. */
class KeeperProcess {
  alive = true;
  private next: number;
  private units: SentCheckpoint[];
  private readonly newest: Map<string, number>;
  private readonly done: Map<string, SavedFile['save']>;
  private readonly seen = new Map<string, { readonly file: SavedFile; readonly since: number }>();
  private task: Task | null = null;
  private endedAt: number | null = null;
  private cancel = () => {};

  constructor(private readonly folder: ModelKeeper) {
    const { next, units, newest, done } = folder.readState();
    const reported = folder.readReport()?.units ?? [];
    this.next = Math.max(next, ...reported.map(({ seq }) => seq + 1));
    this.units = [...units];
    this.newest = new Map(newest);
    this.done = new Map(done);
    const task = folder.readTask();
    if (task && !this.units.some(({ seq }) => seq === task.seq)) {
      this.next = Math.max(this.next, task.seq + 1);
      this.begin(task);
    }
    this.after(100, () => this.look());
  }

  kill(): void {
    this.alive = false;
    this.cancel();
  }

  private get ports(): KeeperPorts {
    return this.folder.ports;
  }

  private after(ms: number, call: () => void): void {
    const cancel = this.ports.clock.timer(ms, () => {
      if (!this.alive) return;
      if (this.ports.random.chance(this.ports.faults().dies)) this.kill();
      else call();
    });
    const before = this.cancel;
    this.cancel = () => {
      before();
      cancel();
    };
  }

  private look(): void {
    this.cancel = () => {};
    const now = this.ports.clock.now();
    if (!this.ports.isWanted()) {
      this.kill();
      return;
    }
    this.checkNotice();
    if (this.ports.isOver()) this.endedAt ??= now;
    const isOver = this.endedAt !== null;
    for (const [name, file] of this.folder.files()) {
      const known = this.seen.get(name);
      const isSame = known?.file.save === file.save && known.file.changedAt === file.changedAt;
      if (!isSame) this.seen.set(name, { file, since: now });
    }
    if (this.task === null) this.beginNext(now, isOver);
    this.forgetCommitted();
    const isDone = this.endedAt !== null && (this.task === null || now - this.endedAt > DRAIN_MS);
    this.write(isDone ? 'done' : isOver ? 'draining' : 'watching');
    if (isDone) this.kill();
    else this.after(isOver ? 500 : LOOK_MS, () => this.look());
  }

  /** As spot.py: a process of the keeper, which a full disk only delays. */
  private checkNotice(): void {
    const notice = this.ports.notice();
    if (notice === null || this.folder.notice !== null || this.ports.isOver()) return;
    this.folder.notice = notice;
    this.ports.onNotice(notice);
  }

  private beginNext(now: number, isOver: boolean): void {
    const grant = this.folder.validGrant();
    if (grant === null) return;
    const complete = [...this.folder.files().values()].filter((file) => {
      const seen = this.seen.get(file.save.name);
      const isQuiet = isOver || (seen?.file.changedAt === file.changedAt && now - seen.since >= QUIET_MS);
      const before = this.newest.get(seriesOf(file.save.name)) ?? Number.NEGATIVE_INFINITY;
      return file.isWhole && isQuiet && file.changedAt > before && this.done.get(file.save.name) !== file.save;
    });
    const [file] = complete.sort((a, b) => b.changedAt - a.changedAt);
    if (file === undefined) return;
    this.next = Math.max(this.next, grant.committed + 1);
    const parts = this.ports.random.int(1, 3);
    const task: Task = { seq: this.next, file, since: now / 1_000, parts, sent: new Map() };
    this.next += 1;
    this.persist();
    this.folder.saveTask(task);
    this.begin(task);
  }

  private begin(task: Task): void {
    const file = this.folder.files().get(task.file.save.name);
    if (file?.save !== task.file.save) {
      this.folder.saveTask(null); // it cannot be pinned any more
      return;
    }
    this.task = task;
    const { content } = task.file.save;
    const size = Math.ceil(content.length / task.parts);
    const keys = Array.from({ length: task.parts }, (_, index) => [`parts/${index}`, index * size] as const);
    this.sendNext(
      task,
      keys.filter(([key, at]) => at < content.length && !task.sent.has(key)),
      size,
    );
  }

  private sendNext(task: Task, keys: readonly (readonly [string, number])[], size: number): void {
    const [first, ...rest] = keys;
    if (first === undefined) {
      this.finish(task);
      return;
    }
    const [key, at] = first;
    this.after(this.ports.random.spread(50, 20_000), () => {
      // A file that is written into while it is read: what is sent is a mixture.
      const body = Buffer.from(this.isTorn(task) ? `torn ${at}` : task.file.save.content.slice(at, at + size));
      if (this.post(task.seq, key, body)) {
        task.sent.set(key, body);
        this.sendNext(task, rest, size);
      } else this.after(RETRY_MS, () => this.sendNext(task, keys, size));
    });
  }

  /** Only writing into the same file changes what the descriptor reads. */
  private isTorn({ file }: Task): boolean {
    const now = this.folder.files().get(file.save.name);
    return now !== undefined && now.save !== file.save && now.save.how === 'in-place';
  }

  private finish(task: Task): void {
    const { name } = task.file.save;
    const parts = [...task.sent].map(([key, body]) => ({ key, bytes: body.length, etag: md5(body) }));
    const bytes = parts.reduce((sum, part) => sum + part.bytes, 0);
    const { random, faults } = this.ports;
    const lie = random.chance(faults().lies) ? random.pick(['size', 'etag', 'other', 'missing'] as const) : null;
    const claimed = lie === 'size' ? parts.map((part) => ({ ...part, bytes: part.bytes + 1 })) : parts;
    const list = {
      seq: task.seq,
      name,
      files: [{ path: name, bytes: bytes + (lie === 'size' ? 1 : 0), parts: claimed }],
    };
    const data = Buffer.from(JSON.stringify(list));
    if (lie !== 'missing' && !this.post(task.seq, 'files.json', data)) {
      this.after(RETRY_MS, () => this.finish(task));
      return;
    }
    if (lie === 'other') this.post(task.seq, parts[0]?.key ?? '', Buffer.from('something else'));
    this.task = null;
    this.folder.saveTask(null);
    if (this.isTorn(task)) {
      this.persist();
      return;
    }
    const etag = lie === 'etag' ? 'f'.repeat(32) : md5(data);
    this.units.push({
      seq: task.seq,
      name,
      format: 'torch',
      marked: false,
      bytes,
      files: 1,
      modified: task.file.changedAt * 1e6,
      completeSince: task.since,
      seconds: this.ports.clock.now() / 1_000 - task.since,
      listing: { key: 'files.json', bytes: data.length, etag },
    });
    this.newest.set(seriesOf(name), task.file.changedAt);
    this.done.set(name, task.file.save);
    this.persist();
  }

  private post(seq: number, key: string, body: Buffer): boolean {
    const grant = this.folder.validGrant();
    return grant !== null && this.ports.post(grant, `${grant.prefix}${seq}/${key}`, body);
  }

  private forgetCommitted(): void {
    const committed = this.folder.validGrant()?.committed ?? 0;
    const kept = this.units.filter(({ seq }) => seq > committed);
    if (kept.length === this.units.length) return;
    this.units = kept;
    this.persist();
  }

  private persist(): void {
    const { next, units, newest, done } = this;
    this.folder.save({ next, units: [...units], newest: new Map(newest), done: new Map(done) });
  }

  private write(state: KeeperReport['state']): void {
    const { task } = this;
    const { notice } = this.folder;
    const uploading = task && { name: task.file.save.name, bytes: task.file.save.content.length, since: task.since };
    this.folder.saveReport({ state, units: this.units.slice(0, MOST_REPORTED), uploading, warnings: [], notice });
  }
}
