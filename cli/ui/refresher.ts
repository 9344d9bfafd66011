import { setTimeout as sleep } from 'node:timers/promises';
import { explain } from '../failure.ts';

/** Why the latest read failed. */
export interface Trouble {
  readonly message: string;
  readonly next: string;
  /** Epoch milliseconds of the first failure in a row. */
  readonly since: number;
}

/**
 * Repeats a read on request: at most once at a time and once in `everyMs`, however many pages ask. Nobody asks, nothing is read.
 */
export class Refresher {
  readonly #read: () => Promise<boolean>;
  readonly #everyMs: number;
  #underWay: Promise<void> | null = null;
  #nextAt = 0;
  #isOver = false;
  /** null: the latest read succeeded. */
  trouble: Trouble | null = null;
  #readAt: number | null = null;

  /** @param read returns whether there is anything left to read later */
  constructor(everyMs: number, read: () => Promise<boolean>) {
    this.#everyMs = everyMs;
    this.#read = read;
  }

  /** Epoch milliseconds when the latest read that succeeded began; null: none has. What changes no more is of now. */
  get readAt(): number | null {
    return this.#isOver ? Date.now() : this.#readAt;
  }

  /** Begins a read when one is due. Waits for the one that is under way, for a limited time: AWS may not answer. */
  async refresh(maxWaitMs: number, now = Date.now()): Promise<void> {
    if (this.#underWay === null && !this.#isOver && now >= this.#nextAt) {
      this.#nextAt = now + this.#everyMs;
      this.#underWay = this.#run(now).finally(() => {
        this.#underWay = null;
      });
    }
    if (this.#underWay !== null) await Promise.race([this.#underWay, sleep(maxWaitMs, undefined, { ref: false })]);
  }

  /** The next request reads, whatever was read before. */
  expire(): void {
    this.#nextAt = 0;
    this.#isOver = false;
  }

  async #run(now: number): Promise<void> {
    try {
      this.#isOver = !(await this.#read());
      this.trouble = null;
      this.#readAt = now;
    } catch (error) {
      const known = explain(error) ?? { message: `This is a defect of runctl: ${String(error)}`, next: '' };
      this.trouble = { message: known.message, next: known.next, since: this.trouble?.since ?? now };
    }
  }
}
