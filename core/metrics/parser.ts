import { stripVTControlCharacters } from 'node:util';
import {
  type KerasBar,
  readEpochBar,
  readKerasBar,
  readUltralyticsAll,
  readUltralyticsHead,
  readUltralyticsRow,
} from './bars.ts';
import { readCatBoost, readRound } from './boosting.ts';
import type { CustomMetrics } from './custom.ts';
import { readBoth, readLine } from './pairs.ts';
import { isMetricName, MAX_SERIES, type Point, type Reading, type Readings } from './point.ts';
import { readJson, readPythonDict } from './records.ts';
import { type Segment, SegmentSplitter } from './segments.ts';
import { type Count, findCount, findPart, StepCounter } from './steps.ts';
import { BoxReader, TableReader } from './tables.ts';
import { isMeasure } from './values.ts';

/** Control characters, which escape sequences may leave; tabs separate values. */
const CONTROLS = /[^\P{Cc}\t]/gu;
/** A line that has nothing but an epoch: the values on the lines behind it are of that epoch. */
const EPOCH_ALONE = /^[-=*#\s]*Epochs?\s*[:#]?\s*\[?\s*(\d{1,15})(?:\s*(?:\/|of)\s*(\d{1,15}))?\s*\]?[-=*#:.\s]*$/i;
/** The result of a validation, on a line without an epoch; not one of its batches. */
const VALIDATION = /^\s*(?:test|val|valid|validation|eval|evaluation|dev)\b(?!.{0,12}\[\s*\d+\/)|^ \* +\w/i;
/** Many blanks in a row make expressions slow, and mean no more than two. */
const BLANKS = /\s{100,}/g;
const WEIGHTY = /\d|nan|inf/i;

export interface ParserOptions {
  /** Byte of the log that the first chunk begins with. */
  readonly offset?: number;
  readonly attempt?: number;
  /** Compiled by the caller: what reads none does without the engine. */
  readonly custom?: CustomMetrics;
  /** The epoch that was under way before the first chunk. */
  readonly epoch?: number | null;
}

/** Reads the values of metrics from the log of a job. Its points do not depend on how the log is cut into chunks. */
export class MetricsParser {
  readonly #splitter: SegmentSplitter;
  readonly #custom: CustomMetrics | null;
  readonly #attempt: number;
  readonly #names = new Set<string>();
  /** How many values a series has that come without a step. */
  readonly #counts = new Map<string, number>();
  #epoch: number | null;
  /** Of the bars of Keras: the lines of its epoch are complete, and a bar behind them is of something else. */
  #kerasTotal: number | null = null;
  #kerasClosed = false;
  /** The full bar on the line that is being read. */
  #kerasBar: KerasBar | null = null;
  /** The line of the epoch says of how many. */
  #hasEpochs = false;
  /** The last epoch that a line has beside other things. */
  #lineEpoch: number | null = null;
  readonly #steps = new StepCounter();
  readonly #tables = new TableReader();
  readonly #boxes = new BoxReader();
  #losses: readonly string[] | null = null;
  #validatedEpoch: number | null = null;
  /** Whether there are more series than are kept. */
  hasMoreSeries = false;

  constructor(options: ParserOptions = {}) {
    this.#splitter = new SegmentSplitter(options.offset ?? 0);
    this.#custom = options.custom ?? null;
    this.#attempt = options.attempt ?? 1;
    this.#epoch = options.epoch ?? null;
  }

  /** Lines that were skipped for their length. */
  get skippedLines(): number {
    return this.#splitter.skipped;
  }

  /** The epoch that is under way where the log says so on a line of its own. */
  get epoch(): number | null {
    return this.#epoch;
  }

  push(chunk: Uint8Array): Point[] {
    return this.#splitter.push(chunk).flatMap((segment) => this.#read(segment));
  }

  /** The points of an unfinished line, when nothing comes any more. */
  end(): Point[] {
    return this.#splitter.end().flatMap((segment) => this.#read(segment));
  }

  #read(segment: Segment): Point[] {
    const line = stripVTControlCharacters(segment.text).replace(CONTROLS, '').replace(BLANKS, '  ').trimEnd();
    const points: Point[] = [];
    const box = this.#boxes.read(line);
    if (box !== null) this.#take(box, segment.offset, points);
    else if (WEIGHTY.test(line)) {
      const custom = this.#custom?.read(line) ?? [];
      const count = custom.length > 0 ? findCount(line) : null;
      if (count !== null) this.#takeCounted(this.#underEpoch(count), custom, segment.offset, points);
      else this.#take({ step: this.#epoch, readings: custom }, segment.offset, points);
      this.#takeLine(line, segment.offset, points);
    } else this.#observe(line);
    if (segment.endsLine) this.#endKerasLine();
    return points;
  }

  #takeLine(line: string, offset: number, points: Point[]): void {
    const isOther = ({ name }: Reading) => !this.#custom?.names.has(name);
    const found = this.#readLine(line);
    if (found !== null) {
      this.#take({ ...found, readings: found.readings.filter(isOther) }, offset, points);
      return;
    }
    const counted = readLine(line);
    if (counted !== null) {
      this.#lineEpoch = counted.count.epoch ?? this.#lineEpoch;
      this.#takeCounted(this.#underEpoch(counted.count), counted.readings.filter(isOther), offset, points);
      return;
    }
    const count = this.#epochOf(line);
    if (count === null) return;
    const readings = readBoth(count.rest).filter((reading) => isMeasure(reading.name) && isOther(reading));
    this.#takeCounted(count, readings, offset, points);
  }

  /** Without a count of its own a line is of the epoch above it, or a part of that. */
  #epochOf(line: string): Count | null {
    const part = findPart(line) ?? { step: null, total: null, rest: line };
    if (this.#epoch !== null) return { epoch: this.#epoch, hasEpochs: this.#hasEpochs, ...part };
    if (this.#lineEpoch !== null && VALIDATION.test(line)) return { epoch: this.#lineEpoch, hasEpochs: false, ...part };
    return part.step === null ? null : { epoch: null, hasEpochs: false, ...part };
  }

  /** Of `Batch 10/100` the epoch may be on a line above. */
  #underEpoch(count: Count): Count {
    if (count.epoch !== null || this.#epoch === null) return count;
    return { ...count, epoch: this.#epoch, hasEpochs: this.#hasEpochs };
  }

  #takeCounted(count: Count, readings: readonly Reading[], offset: number, points: Point[]): void {
    for (const reading of readings)
      this.#take({ step: this.#steps.stepOf(reading.name, count), readings: [reading] }, offset, points);
  }

  #take({ step, readings }: Readings, offset: number, points: Point[]): void {
    for (const { name, value } of readings) {
      if (!this.#admit(name)) continue;
      const at = step ?? this.#count(name);
      if (!Number.isFinite(at)) continue;
      const measured = typeof value === 'number' ? { value } : { value: null, gap: value };
      points.push({ name, step: at, ...measured, offset, attempt: this.#attempt });
    }
  }

  #admit(name: string): boolean {
    if (this.#names.has(name)) return true;
    if (!isMetricName(name)) return false;
    if (this.#names.size >= MAX_SERIES) {
      this.hasMoreSeries = true;
      return false;
    }
    this.#names.add(name);
    return true;
  }

  #count(name: string): number {
    const count = (this.#counts.get(name) ?? 0) + 1;
    this.#counts.set(name, count);
    return count;
  }

  /** A line without a number. */
  #observe(line: string): void {
    this.#tables.read(line);
    this.#losses = readUltralyticsHead(line) ?? this.#losses;
  }

  /** null: the line has none of the forms of frameworks. */
  #readLine(line: string): Readings | null {
    const record = readJson(line) ?? readPythonDict(line);
    if (record !== null) return record;
    const alone = EPOCH_ALONE.exec(line);
    if (alone !== null) return this.#openEpoch(Number(alone[1]), alone[2] !== undefined);
    return (
      readRound(line) ??
      readCatBoost(line) ??
      this.#tables.read(line) ??
      this.#readUltralytics(line) ??
      this.#readKeras(readKerasBar(line)) ??
      readEpochBar(line)
    );
  }

  #openEpoch(epoch: number, hasEpochs: boolean): Readings {
    this.#epoch = epoch;
    this.#hasEpochs = hasEpochs;
    this.#kerasTotal = null;
    this.#kerasClosed = false;
    this.#kerasBar = null;
    return NOTHING;
  }

  #readUltralytics(line: string): Readings | null {
    if (this.#losses === null) return null;
    const row = readUltralyticsRow(line, this.#losses);
    if (row !== null) {
      this.#validatedEpoch = row.step;
      return row;
    }
    const all = readUltralyticsAll(line);
    if (all === null) return null;
    // After the last epoch the best model is validated once more: that is not of an epoch.
    const step = this.#validatedEpoch;
    this.#validatedEpoch = null;
    return step === null ? NOTHING : { step, readings: all };
  }

  #readKeras(bar: KerasBar | null): Readings | null {
    if (bar === null) return null;
    this.#kerasTotal ??= bar.total;
    const isOurs = bar.total === this.#kerasTotal && (!this.#kerasClosed || bar.isValidated);
    if (this.#epoch === null || !isOurs || bar.done !== bar.total) return NOTHING;
    this.#kerasBar = bar;
    return { step: this.#epoch, readings: bar.readings };
  }

  /** What is drawn after the end of an epoch's last line is of an evaluation. */
  #endKerasLine(): void {
    if (this.#kerasBar !== null) this.#kerasClosed = true;
    this.#kerasBar = null;
  }
}

const NOTHING: Readings = { step: null, readings: [] };
