import { MetricsParser } from './parser.ts';
import { MAX_SERIES, type Point } from './point.ts';

/** A metric as it was reported last. */
export type LatestValue = Pick<Point, 'name' | 'step' | 'value' | 'gap'>;

/** What is known of a training's metrics after a poll. */
export interface LatestMetrics {
  readonly values: readonly LatestValue[];
  /** The epoch that is under way, where the log says so on a line of its own. */
  readonly epoch: number | null;
  /** The log that was read ends within a line: the next piece begins with the rest of it. */
  readonly isMidLine: boolean;
}

export const NO_METRICS: LatestMetrics = { values: [], epoch: null, isMidLine: false };

/** Of a longer piece of log only the end is read: the latest values are there. */
const MAX_CHARACTERS = 1_000_000;

/**
 * Takes over the values of a further piece of log. A line that is cut at either end of the piece is not read: half a number is a number.
 * @param messages in the order of the log
 * @param isOverTime asked before each message; the rest of the piece is left out then
 */
export function updateLatest(
  previous: LatestMetrics,
  messages: readonly string[],
  isOverTime: () => boolean,
): LatestMetrics {
  const parser = new MetricsParser({ epoch: previous.epoch });
  const latest = new Map(previous.values.map((value) => [value.name, value]));
  let { isMidLine } = previous;
  const start = startWithin(messages, MAX_CHARACTERS);
  if (start > 0) isMidLine = !endsLine(messages[start - 1]);
  for (const message of messages.slice(start)) {
    if (isOverTime()) break;
    const whole = isMidLine ? afterLine(message) : message;
    isMidLine &&= whole === null;
    for (const { name, step, value, gap } of parser.push(Buffer.from(whole ?? ''))) {
      if (latest.size < MAX_SERIES || latest.has(name))
        latest.set(name, { name, step, value, ...(gap === undefined ? {} : { gap }) });
    }
  }
  const endsMidLine = messages.length === 0 ? previous.isMidLine : !endsLine(messages.at(-1));
  return { values: [...latest.values()], epoch: parser.epoch, isMidLine: endsMidLine };
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
