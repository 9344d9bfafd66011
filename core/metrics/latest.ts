import type { CustomMetrics } from './custom.ts';
import { MetricsParser } from './parser.ts';
import type { Point } from './point.ts';
import type { ParserState } from './state.ts';

/** A metric as it was reported last. */
export type LatestValue = Pick<Point, 'name' | 'step' | 'value' | 'gap'>;

/** What is known of a training's metrics after a poll. */
export interface LatestMetrics {
  readonly values: readonly LatestValue[];
  /** What the lines so far mean for those behind them. Missing in a snapshot of an older version. */
  readonly state?: ParserState;
  /** The epoch that is under way, in a snapshot of an older version. */
  readonly epoch?: number | null;
  /** The log that was read ends within a line: the next piece begins with the rest of it. */
  readonly isMidLine: boolean;
}

export const NO_METRICS: LatestMetrics = { values: [], isMidLine: false };

/** Of a longer piece of log only the end is read: the latest values are there. */
const MAX_CHARACTERS = 1_000_000;
/** A message may have thousands of progress bars: the time is looked at in between. */
const SLICE_CHARACTERS = 4_096;

/**
 * Takes over the values of a further piece of log. A line that is cut at either end of the piece is not read: half a number is a number.
 * @param messages in the order of the log
 * @param isOverTime asked before each message, and within long ones; the rest of the piece is left out then
 */
export function updateLatest(
  previous: LatestMetrics,
  messages: readonly string[],
  isOverTime: () => boolean,
  custom: CustomMetrics | null = null,
): LatestMetrics {
  const { state = { epoch: previous.epoch ?? null } } = previous;
  const latest = new Map(previous.values.map((value) => [value.name, value]));
  const parser = new MetricsParser({ state, names: latest.keys(), custom });
  let { isMidLine } = previous;
  const start = startWithin(messages, MAX_CHARACTERS);
  if (start > 0) {
    isMidLine = !endsLine(messages[start - 1]);
    parser.skip();
  }
  for (const slice of slicesOf(messages.slice(start))) {
    if (isOverTime()) {
      parser.skip();
      break;
    }
    const whole = isMidLine ? afterLine(slice) : slice;
    isMidLine &&= whole === null;
    for (const { name, step, value, gap } of parser.push(Buffer.from(whole ?? '')))
      latest.set(name, { name, step, value, ...(gap === undefined ? {} : { gap }) });
  }
  const endsMidLine = messages.length === 0 ? previous.isMidLine : !endsLine(messages.at(-1));
  return { values: [...latest.values()], state: parser.state, isMidLine: endsMidLine };
}

function* slicesOf(messages: readonly string[]): Generator<string> {
  for (const message of messages)
    for (let at = 0; at < message.length; ) {
      const slice = message.slice(at, at + SLICE_CHARACTERS);
      // Not between the halves of a character.
      const end = at + slice.length + (/[\ud800-\udbff]$/.test(slice) ? 1 : 0);
      yield message.slice(at, end);
      at = end;
    }
}

function endsLine(message: string | undefined): boolean {
  return message !== undefined && /[\r\n]$/.test(message);
}

/** The first of the messages at the end that have at most so many characters together. */
function startWithin(messages: readonly string[], most: number): number {
  let characters = 0;
  for (let index = messages.length - 1; index >= 0; index -= 1) {
    characters += messages[index]?.length ?? 0;
    if (characters > most) return index + 1;
  }
  return 0;
}

/** What is behind the end of a line that began earlier. null: it does not end here. */
function afterLine(message: string): string | null {
  const end = message.search(/[\r\n]/);
  return end === -1 ? null : message.slice(end + 1);
}
