const TICK_MS = 2_000;
/** In a file or a pipe a line a tick would be too much. */
const PIPE_TICKS = 5;

export interface Progress {
  /** What is being measured from now on. */
  say(what: string): void;
  stop(): void;
}

/** Says on a stream what is being measured, and while that lasts, for how long: nobody should wonder whether it hangs. */
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
