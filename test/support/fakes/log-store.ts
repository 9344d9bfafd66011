import type { LogStore } from '../../../core/job/shipping-attempt.ts';

interface Event {
  readonly message: string;
  readonly time: number;
}

/** CloudWatch Logs in memory, as strict as the real one. `dieAfterPut` makes the next put throw once it has written. */
export class FakeLogStore implements LogStore {
  readonly streams = new Map<string, Event[]>();
  dieAfterPut = false;
  /** Of the next put, only so many messages are written before it throws. */
  cutNextPutAt: number | null = null;

  async put(stream: string, messages: readonly string[], time: number): Promise<void> {
    const events = this.streams.get(stream) ?? [];
    this.streams.set(stream, events);
    if (messages.length === 0 || messages.includes('')) throw new Error('InvalidParameterException: empty');
    const last = events.at(-1);
    if (last && last.time > time) throw new Error(`events out of order: ${time} after ${last.time}`);
    const written = messages.slice(0, this.cutNextPutAt ?? messages.length);
    events.push(...written.map((message) => ({ message, time })));
    const dies = this.dieAfterPut || this.cutNextPutAt !== null;
    this.dieAfterPut = false;
    this.cutNextPutAt = null;
    if (dies) throw new Error('the Lambda died');
  }

  after(stream: string, time: number): Promise<{ bytes: number; last: number }> {
    const events = this.streams.get(stream)?.filter((event) => event.time > time) ?? [];
    const bytes = events.reduce((sum, event) => sum + Buffer.byteLength(event.message), 0);
    return Promise.resolve({ bytes, last: events.at(-1)?.time ?? time });
  }

  text(stream: string): string {
    return (this.streams.get(stream) ?? []).map((event) => event.message).join('');
  }
}
