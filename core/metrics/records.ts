import { isMetricName, type Reading, type Readings, type Value } from './point.ts';
import { EPOCH_KEYS, isMeasure, isNoise, isSetting, parseValue, STEP_KEYS, stepOf, toValue } from './values.ts';

/** Lines that carry one record: a JSON object, or a Python dict as the Trainer of Hugging Face prints it. */

/** @returns null for a line that is not a JSON object */
export function readJson(line: string): Readings | null {
  const start = line.indexOf('{');
  if (start === -1 || !line.endsWith('}')) return null;
  const text = line.slice(start);
  if (!OBJECT.test(text)) return null;
  const parsed = parseJson(text);
  return parsed === null ? null : fromKeys(numbersOf(parsed, ''));
}

/** How an object begins: to try what is none costs more than to read what is one. */
const OBJECT = /^\{\s*["}]/;
/** Python's json.dumps writes NaN and Infinity, which JSON does not have. */
const PYTHON_NUMBERS = /([:[,]\s*)(-?(?:NaN|Infinity))(?=\s*[,}\]])/g;

function parseJson(text: string): object | null {
  const ofPython = /NaN|Infinity/.test(text) ? [text.replace(PYTHON_NUMBERS, '$1"\u0000$2"')] : [];
  for (const candidate of [text, ...ofPython]) {
    try {
      return JSON.parse(candidate) as object;
    } catch {
      // Tried with the numbers of Python; otherwise it is not JSON.
    }
  }
  return null;
}

const COUNTS: ReadonlySet<string> = new Set([...STEP_KEYS, ...EPOCH_KEYS]);

/** Numbers of a record, and of the records in it, whose keys are joined by `/`. */
function numbersOf(record: object, prefix: string): Map<string, Value> {
  const found = new Map<string, Value>();
  for (const [key, value] of Object.entries(record)) {
    if (typeof value === 'number') found.set(prefix + key, toValue(value));
    else if (typeof value === 'string' && value.startsWith('\0')) {
      const gap = parseValue(value.slice(1));
      if (gap !== null) found.set(prefix + key, gap);
    } else if (typeof value === 'string' && (isMeasure(key) || COUNTS.has(key))) {
      // fairseq writes its numbers as strings.
      const number = parseValue(value);
      if (number !== null) found.set(prefix + key, number);
    } else if (prefix === '' && typeof value === 'object' && value !== null && !Array.isArray(value))
      for (const [name, inner] of numbersOf(value, `${key}/`)) found.set(name, inner);
  }
  return found;
}

const ENTRY = /(['"])([^'"]{1,80})\1\s*:\s*('[^']*'|"[^"]*"|[^,{}[\]()]+(?:\([^()]*\))?)\s*(?:,\s*|$)/y;

/** @returns null for a line that has no flat dict at its end */
export function readPythonDict(line: string): Readings | null {
  if (!line.endsWith('}')) return null;
  const start = line.lastIndexOf('{');
  if (start === -1) return null;
  const body = line.slice(start + 1, -1).trim();
  const keys = new Map<string, Value>();
  ENTRY.lastIndex = 0;
  while (ENTRY.lastIndex < body.length) {
    const entry = ENTRY.exec(body);
    if (entry === null) return null;
    // The Trainer of Transformers 5 prints its numbers as strings.
    const value = parseValue(unquoted((entry[3] ?? '').trim()));
    if (value !== null) keys.set(entry[2] ?? '', value);
  }
  return keys.size === 0 ? null : fromKeys(keys);
}

function unquoted(text: string): string {
  return text.startsWith("'") || text.startsWith('"') ? text.replace(/^(['"])(.*)\1$/, '$2') : text;
}

/** A record without a step counts only where its numbers are measures of a model. */
function fromKeys(keys: Map<string, Value>): Readings {
  const step = stepOf(keys);
  // Without a step the settings of a run are a record, too.
  if (step === null && !areMeasures([...keys.keys()])) return { step, readings: [] };
  const readings: Reading[] = [];
  for (const [name, value] of keys) {
    const last = name.slice(name.lastIndexOf('/') + 1);
    if (!isMetricName(name) || isNoise(last) || (step === null && !isMeasure(name))) continue;
    readings.push({ name, value });
  }
  return { step, readings };
}

function areMeasures(names: readonly string[]): boolean {
  return !names.some(isSetting) && names.some((name) => isMeasure(name) && !isRate(name));
}

const isRate = (name: string) => /^(?:lr|learning_rate)$/i.test(name);
