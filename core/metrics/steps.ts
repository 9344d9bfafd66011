import type { ParserState, Progress } from './state.ts';

/** The epoch and the count of steps on a line: `epoch 3`, `Epoch [1/5], Step [100/600]`, `Train Epoch: 1 [640/60000 (1%)]`. */

/** A count may have commas between thousands. */
const WHOLE = String.raw`\d{1,3}(?:,\d{3})+|\d{1,15}`;
const COUNT = String.raw`[\s:=#]*[[(]?\s*(${WHOLE})(?:\.0)?(?![\w.])(?:\s*(?:\/|of)\s*(${WHOLE}))?\s*[\])]?`;
/** Of the epochs of a run there is a total, `epochs=10`: no count. */
const EPOCH = new RegExp(
  String.raw`\b(?<![/-])(?:train(?:ing)?\s+)?(?:epoch|ep(?=[\s:=#]*[[(]?\s*\d))(?:\((train|val|test)\))?(?!s)${COUNT}`,
  'i',
);
/** Of every line that EPOCH finds something on, and faster: most lines have none. */
const MAY_HAVE_EPOCH = /\bep/i;
/** timm: `Train: 1 [  50/1251 (  4%)]`. Tutorials of PyTorch: `[1/5][50/1583]` and `[1,  2000]`. */
const TRAIN = new RegExp(String.raw`^Train():\s+(${WHOLE})()(?=\s+\[)`);
const BRACKETS = /^\s*\[()(\d{1,9})(?:\/(\d{1,9})\](?=\s*\[\s*\d+\/)|(?=,\s*\d+\]))/;
const NAMES = 'iteration|iter|step|(?:mini-?)?batch|round|update|episode|generation|timestep';
const STEP = new RegExp(
  String.raw`\b(?<![/-])(?:global[_ ]step|(?:${NAMES})(?:s(?!\s*=))?(?:\((?:train|val|test)\))?)${COUNT}`,
  'i',
);
/** clu: `logging_writer.py:48] [100] loss=0.5`. */
const LOGGED = new RegExp(String.raw`(?<=\.py:\d{1,6}\] )\[(${WHOLE})()\](?=\s)`);
/** fairseq counts batches within an epoch, and updates over epochs. */
const UPDATES = new RegExp(String.raw`(?<![\w/-])num_updates${COUNT}`, 'i');
/** Behind the epoch: `[640/60000 (1%)]`, `[ 10/5005]`, `:    100 / 1000 loss=`, `|   200/ 2983 batches`, `,  2000]`. */
const PART =
  /^(?:[\s,:|]*\[\s*(\d{1,15})\s*\/\s*(\d{1,15})[^\]]{0,16}\]|[\s:|]*(\d{1,15})\s*\/\s*(\d{1,15})(?:\s+batches|(?=\s+[a-z_]+=))|,\s*(\d{1,15})\])/;
const PART_BEFORE = /^\s*\[\s*(\d{1,15})\s*\/\s*(\d{1,15})\s*\](?=\s)/;
const PART_BEHIND = /\s\[\s*(\d{1,15})\s*\/\s*(\d{1,15})[^\]]{0,16}\]\s*$/;

/** Stands for a count that was taken out of a line: nothing in a log has it, and it ends names. */
export const MARK = '\u0001';

export interface Count {
  readonly epoch: number | null;
  /** The line says of how many epochs: then the first one is 1, unless the log has an epoch 0. */
  readonly hasEpochs: boolean;
  readonly step: number | null;
  /** Steps of an epoch. */
  readonly total: number | null;
  /** The line without the counts; marks are in their places. */
  readonly rest: string;
}

const toCount = (text: string | undefined) =>
  text === undefined ? null : Number(text.includes(',') ? text.replaceAll(',', '') : text);

/** null: the line has none. */
export function findCount(line: string): Count | null {
  const epoch = (MAY_HAVE_EPOCH.test(line) ? EPOCH.exec(line) : null) ?? TRAIN.exec(line) ?? BRACKETS.exec(line);
  let rest = epoch === null ? line : cut(line, epoch);
  const counted =
    (rest.includes('num_updates') ? UPDATES.exec(rest) : null) ??
    STEP.exec(rest) ??
    (epoch === null && rest.includes('.py:') ? LOGGED.exec(rest) : null);
  if (counted !== null) rest = cut(rest, counted);
  const found = {
    epoch: toCount(epoch?.[2]),
    hasEpochs: Boolean(epoch?.[3]),
    step: toCount(counted?.[1]),
    total: toCount(counted?.[2] || undefined),
  };
  if (epoch === null) return counted === null ? null : { ...found, rest };
  const start = epoch.index + MARK.length;
  const part = PART.exec(rest.slice(start));
  if (part !== null) rest = rest.slice(0, start) + rest.slice(start + part[0].length);
  // A validation is of its epoch, however many batches it has.
  if (part === null || counted !== null || /^(?:val|test)$/i.test(epoch[1] ?? '')) return { ...found, rest };
  const [step, total] = [part[1] ?? part[3] ?? part[5], part[2] ?? part[4]];
  return { ...found, step: toCount(step), total: toCount(total), rest };
}

/** Of a line that has no word for it: `loss: 2.3  [   64/60000]`, `[10/100] loss: 0.5`. */
export function findPart(line: string): Omit<Count, 'epoch' | 'hasEpochs'> | null {
  const part = line.includes('[') ? (PART_BEHIND.exec(line) ?? PART_BEFORE.exec(line)) : null;
  return part === null ? null : { step: Number(part[1]), total: Number(part[2]), rest: cut(line, part) };
}

const cut = (line: string, { index, 0: text }: RegExpExecArray) =>
  line.slice(0, index) + MARK + line.slice(index + text.length);

/** Counts steps over epochs, for logs that count them within each. */
export class StepCounter {
  #hasEpochZero: boolean;
  readonly #progress: Map<string, Progress>;

  constructor({ hasEpochZero = false, progress = [] }: ParserState = {}) {
    this.#hasEpochZero = hasEpochZero;
    this.#progress = new Map(progress);
  }

  get state(): Pick<ParserState, 'hasEpochZero' | 'progress'> {
    return {
      ...(this.#hasEpochZero ? { hasEpochZero: true } : {}),
      ...(this.#progress.size > 0 ? { progress: [...this.#progress] } : {}),
    };
  }

  /** null: the line has a count that cannot be one. */
  stepOf(name: string, { epoch, hasEpochs, step, total }: Omit<Count, 'rest'>): number | null {
    if (epoch === 0) this.#hasEpochZero = true;
    if (step === null || epoch === null) return step ?? epoch;
    // Without a total nobody knows whether the first epoch is 0.
    if (total !== null) return (epoch - (hasEpochs && !this.#hasEpochZero ? 1 : 0)) * total + step;
    return this.#overEpochs(name, epoch, step);
  }

  /** A count that is lower than in the epoch before begins again with each; otherwise it goes on. */
  #overEpochs(name: string, epoch: number, step: number): number {
    const last = this.#progress.get(name) ?? { epoch, step, interval: 1, before: 0 };
    let { interval, before } = last;
    if (epoch > last.epoch && step <= last.step) before += last.step + (step === 0 ? interval : 0);
    else if (step > last.step) interval = step - last.step;
    this.#progress.set(name, { epoch, step, interval, before });
    return before + step;
  }
}
