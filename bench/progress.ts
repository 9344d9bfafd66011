const TICK_MS = 2_000;
/** Ticks are not printed to a file or a pipe. */
const PIPE_TICKS = 5;

export interface Progress {
  /** Shows what is measured from now on. */
  say(what: string): void;
  stop(): void;
}

/** Shows on a stream what is being measured and for how long, so that it does not seem to hang. */
export function showProgress(stream: NodeJS.WriteStream): Progress {
  const began = performance.now();
  const seconds = (since: number) => `${((performance.now() - since) / 1_000).toFixed(0)} s`;
  let current: { what: string; since: number; ticks: number } | null = null;
  const tick = () => {
    if (current === null) return;
    current.ticks += 1;
    const lasts = `[${seconds(began)}] ${current.what}: ${seconds(current.since)}`;
    if (stream.isTTY) stream.write(`\r\x1b[K${lasts}`);
    else if (current.ticks % PIPE_TICKS === 0) stream.write(`${lasts}\n`);
  };
  const timer = setInterval(tick, TICK_MS);
  timer.unref();
  const endLine = () => {
    if (stream.isTTY && current !== null) stream.write('\r\x1b[K');
  };
  return {
    say(what) {
      endLine();
      stream.write(`[${seconds(began)}] ${what}\n`);
      current = { what, since: performance.now(), ticks: 0 };
    },
    stop() {
      endLine();
      current = null;
      clearInterval(timer);
    },
  };
}
