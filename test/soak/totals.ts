import type { Level } from './levels.ts';
import type { Result } from './worker.ts';
import { type Findings, KINDS } from './world/check.ts';

/** The results of all schedules of a level. */
export class Totals {
  schedules = 0;
  private committed = 0;
  private attempts = 0;
  private resumed = 0;
  private events = 0;
  private readonly counts = new Map<keyof Findings, number>();
  private readonly ends = new Map<string, number>();
  private readonly level: Level;

  constructor(level: Level) {
    this.level = level;
  }

  get found(): number {
    return [...this.counts.values()].reduce((sum, count) => sum + count, 0);
  }

  add({ findings, ends, committed, further, events }: Result): void {
    this.attempts += further.attempts;
    this.resumed += further.resumed;
    this.events = Math.max(this.events, events);
    this.schedules += 1;
    this.committed += committed;
    for (const kind of Object.keys(KINDS) as (keyof Findings)[])
      this.counts.set(kind, (this.counts.get(kind) ?? 0) + findings[kind].length);
    for (const [end, count] of Object.entries(ends)) this.ends.set(end, (this.ends.get(end) ?? 0) + count);
  }

  /** The problems, each with the command that replays its schedule. */
  problemsOf({ seed, findings }: Result): string[] {
    const texts = Object.entries(findings).flatMap(([kind, found]: [string, string[]]) =>
      found.map((text) => `  ${KINDS[kind as keyof Findings]}: ${text.slice(0, 1_000)}`),
    );
    if (texts.length === 0) return [];
    return [`seed ${seed} (npm run soak -- --level ${this.level} --seed ${seed}):`, ...texts];
  }

  summary(): string {
    const counts = Object.entries(KINDS).map(
      ([kind, name]) => `${name} ${this.counts.get(kind as keyof Findings) ?? 0}`,
    );
    const ends = [...this.ends].sort(([, one], [, other]) => other - one).map(([end, count]) => `${end} ${count}`);
    return `${this.level}: ${this.schedules} schedules, ${this.committed} checkpoints committed, ${this.attempts} further attempts, ${this.resumed} of them from a checkpoint, ${this.events} events at most\n  ${counts.join(', ')}\n  runs: ${ends.join(', ')}`;
  }
}
