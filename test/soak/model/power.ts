import type { AnswerTo } from '../../../core/protocol/answers.ts';
import type { IdleRequest } from '../../../core/protocol/messages.ts';

/** As MARK_S of instance/runner/jobs/stopping.py. */
const MARK_S = 600;

interface OfBoot {
  readonly bootId: string;
  readonly uptime: number;
}

export interface PowerPorts {
  /** Epoch seconds of a clock that nobody sets. */
  readonly now: () => number;
  readonly bootId: () => string;
  /** Runs that hold the lease or wait for it. */
  readonly waiting: () => readonly string[];
  /** Jobs and finishers that live. */
  readonly living: () => readonly string[];
  /** Who is logged in. */
  readonly people: () => readonly string[];
  /** Runs with a valid ticket. */
  readonly tickets: () => number;
  readonly later: (ms: number, call: () => void) => void;
  readonly shutDown: () => void;
}

/** As instance/runner/jobs/idle.py and stopping.py: whether the instance may be stopped, and its mark. */
export class ModelPower {
  private mark: OfBoot | null = null;
  private use: (OfBoot & { readonly key: string }) | null = null;
  private booted: number;
  private heardAt = 0;
  private after: number | null = null;
  private isWatching = false;
  private readonly ports: PowerPorts;

  constructor(ports: PowerPorts) {
    this.ports = ports;
    this.booted = ports.now();
  }

  boots(): void {
    this.booted = this.ports.now();
    this.isWatching = false;
  }

  /** A request has been handled. @param isOfUser of a run that has the instance or waits for it */
  heard(isOfUser: boolean): void {
    if (isOfUser) this.heardAt = this.ports.now();
    if (this.after === null || this.isWatching) return;
    this.heardAt = this.ports.now();
    this.isWatching = true;
    this.watch(this.ports.bootId());
  }

  /** As jobs/dead_man.py. @param after seconds without use */
  ensure(after: number): void {
    this.after = after;
    this.heard(false);
  }

  private watch(bootId: string): void {
    this.ports.later(15_000, () => {
      if (this.after === null || bootId !== this.ports.bootId()) return;
      if (this.isDue(this.after)) {
        this.mark = this.here();
        this.ports.shutDown();
        return;
      }
      this.watch(bootId);
    });
  }

  private isDue(after: number): boolean {
    const { now, tickets, living, people } = this.ports;
    if (now() - this.heardAt < after || tickets() > 0) return false;
    if (living().length === 0 && people().length === 0) return true;
    this.heardAt = now();
    return false;
  }

  noteUse(key: string): void {
    this.use = { ...this.here(), key };
  }

  get isMarked(): boolean {
    const { mark } = this;
    return mark !== null && mark.bootId === this.ports.bootId() && this.here().uptime - mark.uptime < MARK_S;
  }

  answer(request: IdleRequest): AnswerTo<'idle'> {
    const { verdict, reasons } = this.judge(request);
    if (verdict === 'stopping') this.mark = this.here();
    return { verdict, reasons: [...reasons].slice(0, 10), idleSeconds: this.quiet(), bootId: this.ports.bootId() };
  }

  private judge({ run, quiet, anyRun = false }: IdleRequest): Pick<AnswerTo<'idle'>, 'verdict' | 'reasons'> {
    const { waiting, living, people, bootId } = this.ports;
    if (waiting().length > 0) return { verdict: 'in-use', reasons: waiting() };
    const last = this.use?.bootId === bootId() ? this.use.key : null;
    if (!anyRun && last !== null && last !== run.key) return { verdict: 'in-use', reasons: [last] };
    if (living().length > 0) return { verdict: 'busy', reasons: living() };
    if (this.quiet() < quiet) return { verdict: 'quiet', reasons: [] };
    return people().length > 0 ? { verdict: 'busy', reasons: people() } : { verdict: 'stopping', reasons: [] };
  }

  /** Seconds since a run used the instance, or since its boot. */
  private quiet(): number {
    const { uptime } = this.here();
    return this.use?.bootId === this.ports.bootId() ? uptime - this.use.uptime : uptime;
  }

  private here(): OfBoot {
    return { bootId: this.ports.bootId(), uptime: this.ports.now() - this.booted };
  }
}
