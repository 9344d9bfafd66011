/** The time of a schedule. Milliseconds since the epoch. */
export interface Clock {
  now(): number;
  sleep(ms: number): Promise<void>;
  /** Calls back once, unless cancelled before. Returns a function that cancels. */
  timer(ms: number, call: () => void): () => void;
  /** Stops the clock for work that takes real time only, until the returned function is called. */
  hold(): () => void;
  /** Lets time pass until `met`, until no timer is left, or until `horizon`. Returns whether it was met. */
  run(met: () => boolean, horizon: number): Promise<boolean>;
}

interface Entry {
  readonly at: number;
  readonly order: number;
  call: (() => void) | null;
}

/** Virtual time: it stands still until all work of one moment is done, then jumps to the next timer. */
export class VirtualClock implements Clock {
  private time: number;
  private order = 0;
  private held = 0;
  private readonly heap: Entry[] = [];

  constructor(start: number) {
    this.time = start;
  }

  now(): number {
    return this.time;
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => void this.timer(ms, resolve));
  }

  timer(ms: number, call: () => void): () => void {
    const entry: Entry = { at: this.time + Math.max(0, ms), order: this.order, call };
    this.order += 1;
    this.push(entry);
    return () => {
      entry.call = null;
    };
  }

  hold(): () => void {
    this.held += 1;
    return () => {
      this.held -= 1;
    };
  }

  async run(met: () => boolean, horizon: number): Promise<boolean> {
    for (;;) {
      // Promises settle before immediates run. Afterwards, all pending work waits for a timer.
      do await new Promise((resolve) => setImmediate(resolve));
      while (this.held > 0);
      if (met()) return true;
      const next = this.pop();
      if (next === null) return false;
      if (next.at > horizon) {
        this.push(next);
        this.time = horizon;
        return false;
      }
      this.time = next.at;
      next.call?.();
    }
  }

  private push(entry: Entry): void {
    const { heap } = this;
    let at = heap.push(entry) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(entry, heap[parent] as Entry)) break;
      heap[at] = heap[parent] as Entry;
      at = parent;
    }
    heap[at] = entry;
  }

  private pop(): Entry | null {
    for (;;) {
      const first = this.heap[0];
      if (first === undefined) return null;
      const last = this.heap.pop() as Entry;
      if (this.heap.length > 0) this.sink(last);
      if (first.call !== null) return first;
    }
  }

  private sink(entry: Entry): void {
    const { heap } = this;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1] as Entry, heap[child] as Entry)) child += 1;
      if (!isBefore(heap[child] as Entry, entry)) break;
      heap[at] = heap[child] as Entry;
      at = child;
    }
    heap[at] = entry;
  }
}

function isBefore(one: Entry, other: Entry): boolean {
  return one.at < other.at || (one.at === other.at && one.order < other.order);
}

/** Real ms between two checks of a condition. */
const LOOK_MS = 5;

/** Accelerated real time: one of its seconds is `1 / scale` real seconds. */
export class ScaledClock implements Clock {
  private readonly scale: number;
  private readonly epoch: number;
  private readonly began = performance.now();

  constructor(scale: number, epoch: number) {
    this.scale = scale;
    this.epoch = epoch;
  }

  now(): number {
    return Math.floor(this.epoch + (performance.now() - this.began) * this.scale);
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => void this.timer(ms, resolve));
  }

  timer(ms: number, call: () => void): () => void {
    const timeout = setTimeout(call, ms / this.scale);
    return () => clearTimeout(timeout);
  }

  hold(): () => void {
    return () => undefined;
  }

  async run(met: () => boolean, horizon: number): Promise<boolean> {
    while (!met()) {
      if (this.now() >= horizon) return false;
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
    return true;
  }
}
