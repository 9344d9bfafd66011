import type { MetricsParser } from './parser.ts';
import type { Point } from './point.ts';

/** Reads the metrics in the logs of a run's attempts, one after the other. */
export class AttemptsParser {
  readonly #create: (attempt: number) => MetricsParser;
  #attempt = 1;
  #parser: MetricsParser;
  #before = { hasMoreSeries: false, skippedLines: 0 };

  constructor(create: (attempt: number) => MetricsParser) {
    this.#create = create;
    this.#parser = create(1);
  }

  push(chunk: Uint8Array, attempt: number): Point[] {
    const rest = attempt === this.#attempt ? [] : this.#begin(attempt);
    return [...rest, ...this.#parser.push(chunk)];
  }

  end(): Point[] {
    return this.#parser.end();
  }

  get hasMoreSeries(): boolean {
    return this.#before.hasMoreSeries || this.#parser.hasMoreSeries;
  }

  get skippedLines(): number {
    return this.#before.skippedLines + this.#parser.skippedLines;
  }

  #begin(attempt: number): Point[] {
    const rest = this.#parser.end();
    this.#before = { hasMoreSeries: this.hasMoreSeries, skippedLines: this.skippedLines };
    this.#attempt = attempt;
    this.#parser = this.#create(attempt);
    return rest;
  }
}
