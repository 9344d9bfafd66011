import { formatDuration, formatSize } from '../../core/units.ts';

/** Before that, a rate says little. */
const SETTLED_S = 2;

/** What a spinner shows of a transfer: from two seconds on with its rate and the time left. */
export class TransferText {
  private first: { readonly bytes: number; readonly at: number } | null = null;

  /** @param verb such as `Uploading`; @param now ms */
  constructor(
    private readonly verb: string,
    private readonly now: () => number = () => performance.now(),
  ) {}

  /** `Uploading 12.0 MiB of 31.9 MiB, 4.0 MiB/s, 5.0 s left` */
  at(bytes: number, total: number): string {
    this.first ??= { bytes, at: this.now() };
    const text = `${this.verb} ${formatSize(bytes)} of ${formatSize(total)}`;
    const seconds = (this.now() - this.first.at) / 1_000;
    // What had arrived before, as of a download that goes on, says nothing about the rate.
    const rate = (bytes - this.first.bytes) / seconds;
    if (seconds < SETTLED_S || rate <= 0) return text;
    const left = Math.max(total - bytes, 0) / rate;
    return `${text}, ${formatSize(Math.round(rate))}/s, ${formatDuration(left)} left`;
  }
}
