import { awsError } from '../../support/fakes/sdk-client.ts';
import type { Clock } from '../clock.ts';
import type { Random } from '../random.ts';
import type { Service } from './invocation.ts';

interface Event {
  readonly message: string;
  readonly timestamp: number;
  /** The time from which GetLogEvents returns it. */
  readonly shownAt: number;
}

const BATCH_BYTES = 1_048_576;
const BATCH_EVENTS = 10_000;
const EVENT_BYTES = 262_144;
const PAGE_EVENTS = 10_000;

/** CloudWatch Logs: refuses what AWS refuses, sorts by time, and returns events some time after they were put. */
export class Logs {
  readonly streams = new Map<string, Event[]>();
  /** Calls that AWS would refuse, which are defects of the product. */
  readonly refusals: string[] = [];
  private readonly clock: Clock;
  private readonly random: Random;

  constructor(clock: Clock, random: Random) {
    this.clock = clock;
    this.random = random;
  }

  readonly service: Service = (command, input) => {
    const stream = String(input.logStreamName);
    switch (command) {
      case 'CreateLogStream':
        if (this.streams.has(stream)) throw awsError('ResourceAlreadyExistsException');
        this.streams.set(stream, []);
        return {};
      case 'PutLogEvents':
        return this.put(stream, input.logEvents as { message: string; timestamp: number }[]);
      case 'GetLogEvents':
        return this.get(stream, input);
      default:
        throw new Error(`CloudWatch Logs of the soak knows no ${command}`);
    }
  };

  /** All messages of a stream, in the order in which CloudWatch returns them. */
  text(stream: string): string {
    const events = [...(this.streams.get(stream) ?? [])];
    events.sort((one, other) => one.timestamp - other.timestamp);
    return events.map(({ message }) => message).join('');
  }

  private put(stream: string, events: readonly { message: string; timestamp: number }[]): object {
    const existing = this.streams.get(stream);
    if (!existing) throw awsError('ResourceNotFoundException');
    const sizes = events.map(({ message }) => Buffer.byteLength(message) + 26);
    const bytes = sizes.reduce((sum, size) => sum + size, 0);
    const isWrong =
      events.length === 0 ||
      events.length > BATCH_EVENTS ||
      bytes > BATCH_BYTES ||
      sizes.some((size) => size === 26 || size > EVENT_BYTES) ||
      events.some(({ timestamp }, index) => index > 0 && timestamp < (events[index - 1]?.timestamp ?? 0));
    if (isWrong) {
      this.refusals.push(`PutLogEvents to ${stream}: ${events.length} events, ${bytes} bytes`);
      throw awsError('InvalidParameterException');
    }
    const shownAt = this.clock.now() + this.random.spread(1, 8_000);
    existing.push(...events.map(({ message, timestamp }) => ({ message, timestamp, shownAt })));
    return {};
  }

  private get(stream: string, { startTime, nextToken }: Record<string, unknown>): object {
    const existing = this.streams.get(stream);
    if (!existing) throw awsError('ResourceNotFoundException');
    const page = nextToken === undefined ? 0 : Number(String(nextToken).slice(2));
    // A page may be empty before the end. Only a repeated token marks the end.
    if (page === 0) return { events: [], nextForwardToken: 'f/1' };
    const now = this.clock.now();
    const visible = existing.filter((event) => event.timestamp >= Number(startTime) && event.shownAt <= now);
    visible.sort((one, other) => one.timestamp - other.timestamp);
    const events = visible.slice((page - 1) * PAGE_EVENTS, page * PAGE_EVENTS);
    return { events, nextForwardToken: `f/${events.length > 0 ? page + 1 : page}` };
  }
}
