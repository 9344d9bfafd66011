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
import { isMetricName, MAX_SERIES, type Point, type Reading, type Readings, type Value } from './point.ts';
import { readJson, readPythonDict } from './records.ts';
import { type Segment, SegmentSplitter } from './segments.ts';
import { bounded, type ParserState } from './state.ts';
import { type Count, findCount, findPart, StepCounter } from './steps.ts';
import { BoxReader, TableReader } from './tables.ts';
import { isMeasure } from './values.ts';

/** Control characters, which escape sequences have and may leave; tabs separate values. */
const CONTROL = /[^\P{Cc}\t]/u;
const CONTROLS = new RegExp(CONTROL, 'gu');
/** A line that has nothing but an epoch: the values on the lines behind it are of that epoch. */
const EPOCH_ALONE = /^[-=*#\s]*Epochs?\s*[:#]?\s*\[?\s*(\d{1,15})(?:\s*(?:\/|of)\s*(\d{1,15}))?\s*\]?[-=*#:.\s]*$/i;
/** The result of a validation, on a line without an epoch; not one of its batches. */
const VALIDATION = /^\s*(?:test|val|valid|validation|eval|evaluation|dev)\b(?!.{0,12}\[\s*\d+\/)|^ \* +\w/i;
/** Many blanks in a row make expressions slow, and mean no more than two. */
const BLANKS = /\s{100,}/g;
const MANY_BLANKS = 100;
const WEIGHTY = /\d|nan|inf/i;

export interface ParserOptions {
  /** Byte of the log that the first chunk begins with. */
  readonly offset?: number;
  readonly attempt?: number;
  /** Compiled by the caller: what reads none does without the engine. */
  readonly custom?: CustomMetrics | null;
  /** Of the log before the first chunk, which ends with a line. */
  readonly state?: ParserState;
  /** Metrics that the log before the first chunk has. */
  readonly names?: Iterable<string>;
}

/** Reads the values of metrics from the log of a job. Its points do not depend on how the log is cut into chunks. */
export class MetricsParser {
  readonly #splitter: SegmentSplitter;
  readonly #custom: CustomMetrics | null;
  readonly #attempt: number;
  readonly #names: Set<string>;
  /** How many values a series has that come without a step. */
  readonly #counts: Map<string, number>;
  #epoch: number | null;
  /** Of the bars of Keras: the lines of its epoch are complete, and a bar behind them is of something else. */
  #kerasTotal: number | null;
  #kerasClosed: boolean;
  /** There is a full bar on the line that is being read. */
  #kerasDrawn: boolean;
  /** The line of the epoch says of how many. */
  #hasEpochs: boolean;
  /** The last epoch that a line has beside other things. */
  #lineEpoch: number | null;
  readonly #steps: StepCounter;
  readonly #tables: TableReader;
  readonly #boxes: BoxReader;
  #losses: readonly string[] | null;
  #validatedEpoch: number | null;
  /** Whether there are more series than are kept. */
  hasMoreSeries = false;

  constructor(options: ParserOptions = {}) {
    this.#splitter = new SegmentSplitter(options.offset ?? 0);
    this.#custom = options.custom ?? null;
    this.#attempt = options.attempt ?? 1;
    this.#names = new Set(options.names);
    const { state = {} } = options;
    this.#counts = new Map(state.counts);
    this.#epoch = state.epoch ?? null;
    this.#hasEpochs = state.hasEpochs ?? false;
    this.#lineEpoch = state.lineEpoch ?? null;
    this.#kerasTotal = state.keras?.total ?? null;
    this.#kerasClosed = state.keras?.isClosed ?? false;
    this.#kerasDrawn = state.keras?.isDrawn ?? false;
    this.#steps = new StepCounter(state);
    this.#tables = new TableReader(state.table);
    this.#boxes = new BoxReader(state.box);
    this.#losses = state.losses ?? null;
    this.#validatedEpoch = state.validatedEpoch ?? null;
  }

  /** What the lines so far mean for those behind them; of bounded size. An unfinished line is not in it. */
  get state(): ParserState {
    const isKeras = this.#kerasTotal !== null || this.#kerasClosed || this.#kerasDrawn;
    const keras = { total: this.#kerasTotal, isClosed: this.#kerasClosed, isDrawn: this.#kerasDrawn };
    const { state: table } = this.#tables;
    const { state: box } = this.#boxes;
    return bounded({
      ...(this.#epoch === null ? {} : { epoch: this.#epoch }),
      ...(this.#hasEpochs ? { hasEpochs: true } : {}),
      ...(this.#lineEpoch === null ? {} : { lineEpoch: this.#lineEpoch }),
      ...this.#steps.state,
      ...(this.#counts.size > 0 ? { counts: [...this.#counts] } : {}),
      ...(isKeras ? { keras } : {}),
      ...(table === null ? {} : { table }),
      ...(box === null ? {} : { box }),
      ...(this.#losses === null ? {} : { losses: this.#losses }),
      ...(this.#validatedEpoch === null ? {} : { validatedEpoch: this.#validatedEpoch }),
    });
  }

  /** A part of the log is not read. What is known of the lines before stays, except what must be read as a whole. */
  skip(): void {
    this.#boxes.skip();
    this.#kerasDrawn = false;
  }

  /** Lines that were skipped for their length. */
  get skippedLines(): number {
    return this.#splitter.skipped;
  }

  push(chunk: Uint8Array): Point[] {
    return this.#readAll(this.#splitter.push(chunk));
  }

  /** The points of an unfinished line, when nothing comes any more. */
  end(): Point[] {
    return this.#readAll(this.#splitter.end());
  }

  #readAll(segments: readonly Segment[]): Point[] {
    const points: Point[] = [];
    for (const segment of segments) this.#read(segment, points);
    return points;
  }

  #read(segment: Segment, points: Point[]): void {
    const line = clean(segment.text);
    const box = this.#boxes.read(line);
    if (box !== null) this.#take(box, segment.offset, points);
    else if (WEIGHTY.test(line)) {
      if (this.#custom !== null) this.#takeCustom(line, this.#custom, segment.offset, points);
      this.#takeLine(line, segment.offset, points);
    } else this.#observe(line);
    if (segment.endsLine) this.#endKerasLine();
  }

  #takeCustom(line: string, { read }: CustomMetrics, offset: number, points: Point[]): void {
    const readings = read(line);
    if (readings.length === 0) return;
    const count = findCount(line);
    if (count !== null) this.#takeCounted(this.#underEpoch(count), readings, offset, points);
    else this.#take({ step: this.#epoch, readings }, offset, points);
  }

  #takeLine(line: string, offset: number, points: Point[]): void {
    const found = this.#readLine(line);
    if (found !== null) {
      this.#take({ step: found.step, readings: this.#others(found.readings) }, offset, points);
      return;
    }
    const counted = readLine(line);
    if (counted !== null) {
      this.#lineEpoch = counted.count.epoch ?? this.#lineEpoch;
      this.#takeCounted(this.#underEpoch(counted.count), this.#others(counted.readings), offset, points);
      return;
    }
    const count = this.#epochOf(line);
    if (count === null) return;
    const readings = readBoth(count.rest).filter(({ name }) => isMeasure(name));
    this.#takeCounted(count, this.#others(readings), offset, points);
  }

  /** Those that no expression of people gives. */
  #others(readings: readonly Reading[]): readonly Reading[] {
    const names = this.#custom?.names;
    return names === undefined ? readings : readings.filter(({ name }) => !names.has(name));
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
    // Only of metrics that are kept: there may be a million names.
    for (const { name, value } of readings)
      if (this.#admit(name)) this.#add(name, value, this.#steps.stepOf(name, count), offset, points);
  }

  #take({ step, readings }: Readings, offset: number, points: Point[]): void {
    for (const { name, value } of readings) if (this.#admit(name)) this.#add(name, value, step, offset, points);
  }

  #add(name: string, value: Value, step: number | null, offset: number, points: Point[]): void {
    const at = step ?? this.#count(name);
    if (!Number.isFinite(at)) return;
    const attempt = this.#attempt;
    if (typeof value === 'number') points.push({ name, step: at, value, offset, attempt });
    else points.push({ name, step: at, value: null, gap: value, offset, attempt });
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
    this.#kerasDrawn = false;
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
    this.#kerasDrawn = true;
    return { step: this.#epoch, readings: bar.readings };
  }

  /** What is drawn after the end of an epoch's last line is of an evaluation. */
  #endKerasLine(): void {
    if (this.#kerasDrawn) this.#kerasClosed = true;
    this.#kerasDrawn = false;
  }
}

/** The line as people see it. */
function clean(text: string): string {
  const visible = CONTROL.test(text) ? stripVTControlCharacters(text).replace(CONTROLS, '') : text;
  return (visible.length < MANY_BLANKS ? visible : visible.replace(BLANKS, '  ')).trimEnd();
}

const NOTHING: Readings = { step: null, readings: [] };
