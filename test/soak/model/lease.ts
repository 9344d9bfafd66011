import type { LeaseHolder, QueuePlace } from '../../../core/protocol/answers.ts';

export interface ModelRun {
  readonly id: string;
  readonly key: string;
  readonly arn: string;
}

interface Ticket extends ModelRun {
  readonly arrivedAt: number;
  readonly renewedAt: number;
  readonly ttl: number;
}

/** As instance/runner/jobs/lease.py: which run may use the instance. Times are epoch seconds. */
export class ModelLease {
  holder: (ModelRun & { readonly since: number }) | null = null;
  readonly tickets = new Map<string, Ticket>();
  /** A boot counts as a renewal of all tickets. */
  bootedAt = 0;
  private readonly now: () => number;
  private readonly noteUse: (key: string) => void;

  constructor(now: () => number, noteUse: (key: string) => void = () => undefined) {
    this.now = now;
    this.noteUse = noteUse;
  }

  isHolder(key: string): boolean {
    return this.holder?.key === key;
  }

  /** null: the run has the instance now. */
  async take(
    run: ModelRun,
    ended: readonly string[],
    clear: (key: string) => Promise<boolean>,
    ttl: number | null,
  ): Promise<{ holder: LeaseHolder | null; queue: QueuePlace | null } | null> {
    const before = this.holder;
    if (before && ended.includes(before.arn) && before.key !== run.key && (await clear(before.key)))
      this.drop(before.key);
    const tickets = this.valid(ended);
    const mine = tickets.find(({ key }) => key === run.key);
    const others = tickets.filter((ticket) => ticket !== mine);
    const ahead = mine === undefined ? others : others.filter((ticket) => compare(ticket, mine) < 0);
    if (this.isHolder(run.key) || (this.holder === null && ahead.length === 0)) {
      if (this.holder === null) {
        this.holder = { id: run.id, key: run.key, arn: run.arn, since: this.now() };
        this.noteUse(run.key);
      }
      this.leave(run.key);
      return null;
    }
    const holder = this.holder && { run: this.holder.id, arn: this.holder.arn, since: this.holder.since };
    if (ttl === null) {
      this.leave(run.key);
      return { holder, queue: null };
    }
    const last = others.at(-1);
    const late = mine === undefined && last !== undefined && last.arrivedAt > this.now();
    const arrivedAt = mine?.arrivedAt ?? (late ? last.arrivedAt + 0.001 : this.now());
    this.tickets.set(run.key, { ...run, arrivedAt, renewedAt: this.now(), ttl });
    const next = ahead.slice(0, 3).map(({ id, arn }) => ({ run: id, arn }));
    return { holder, queue: { place: ahead.length + 1, length: others.length + 1, since: arrivedAt, ahead: next } };
  }

  /** The valid tickets, oldest first. Expired ones are removed. */
  valid(ended: readonly string[] = []): Ticket[] {
    for (const ticket of this.tickets.values()) {
      if (ended.includes(ticket.arn) || this.now() > Math.max(ticket.renewedAt, this.bootedAt) + ticket.ttl)
        this.tickets.delete(ticket.key);
    }
    return [...this.tickets.values()].sort(compare);
  }

  leave(key: string): void {
    this.tickets.delete(key);
  }

  drop(key: string): void {
    if (!this.isHolder(key)) return;
    this.holder = null;
    this.noteUse(key);
  }
}

function compare(one: Ticket, other: Ticket): number {
  return one.arrivedAt - other.arrivedAt || (one.id < other.id ? -1 : one.id > other.id ? 1 : 0);
}
