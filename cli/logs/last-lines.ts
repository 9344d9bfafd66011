import type { LogMessage } from './job-log.ts';

const NEWLINE = 0x0a;

/** The messages of the last `count` lines; a message may be a part of a line. */
export function lastLines(messages: readonly LogMessage[], count: number): readonly LogMessage[] {
  let lines = messages.at(-1)?.text.endsWith('\n') === false ? 1 : 0;
  for (let index = messages.length - 1; index >= 0; index -= 1) {
    if (messages[index]?.text.endsWith('\n')) lines += 1;
    if (lines > count) return messages.slice(index + 1);
  }
  return messages;
}

/** Where the last lines begin; after the first newline at the earliest when the bytes begin inside a line. */
export function lastLinesStart(bytes: Uint8Array, lines: number, isInside: boolean): number {
  let end = bytes.at(-1) === NEWLINE ? bytes.length - 1 : bytes.length;
  for (let left = lines; left > 0; left -= 1) {
    const before = end === 0 ? -1 : bytes.lastIndexOf(NEWLINE, end - 1);
    if (before < 0) return isInside ? Math.min(bytes.length, bytes.indexOf(NEWLINE) + 1) : 0;
    end = before;
  }
  return end + 1;
}
