import { RE2JS } from 're2js';
import { isMetricName, type Reading } from './point.ts';
import { parseValue } from './values.ts';

/** A metric that a person describes: the first group of the expression is the value. */
export interface MetricDefinition {
  readonly name: string;
  readonly regex: string;
}

/** As SageMaker has them. */
export const MAX_DEFINITIONS = 40;
export const MAX_REGEX_CHARACTERS = 500;
/**
 * Of the programs that all expressions are compiled into. The engine takes at most 140 ns for each instruction and character, measured, so a
 * line of 4 KB takes a second at most, whatever it has. `loss is ([0-9.]+)` has 15; of a repetition each counts.
 */
export const MAX_INSTRUCTIONS = 2_000;

export interface CustomMetrics {
  readonly names: ReadonlySet<string>;
  readonly read: (line: string) => readonly Reading[];
}

/** A definition that cannot be used. */
export class InvalidMetric extends Error {
  override readonly name = 'InvalidMetric';
}

/** An expression that cannot be used. */
export interface BadRegex {
  /** Among the definitions. */
  readonly index: number;
  /** Predicate of "the regex". */
  readonly problem: string;
}

/** The expressions that cannot be used, of not more and not longer ones than are allowed. Stops where they are too large together. */
export function badRegexes(definitions: readonly Pick<MetricDefinition, 'regex'>[]): BadRegex[] {
  const bad: BadRegex[] = [];
  let instructions = 0;
  for (const [index, { regex }] of definitions.entries()) {
    const pattern = compile(regex);
    if (typeof pattern === 'string') bad.push({ index, problem: pattern });
    else instructions += pattern.programSize();
    if (instructions > MAX_INSTRUCTIONS) return [...bad, { index, problem: TOO_LARGE }];
  }
  return bad;
}

const TOO_LARGE = `makes the expressions too large: they may have ${MAX_INSTRUCTIONS} instructions together, and a repetition such as {100} counts as often`;

/** What is wrong with a text as the name of a metric, or null: predicate of "the name". */
export function badMetricName(name: string): string | null {
  if (isMetricName(name)) return null;
  return `is ${JSON.stringify(name.slice(0, 80))}; a metric has 1 to 64 of the characters A-Z a-z 0-9 _ . / @ - and spaces inside`;
}

/**
 * Compiles definitions with RE2, which takes time in proportion to the line: the text is the job's, and the expression may be anybody's.
 * @throws InvalidMetric
 */
export function compileMetrics(definitions: readonly MetricDefinition[]): CustomMetrics {
  if (definitions.length > MAX_DEFINITIONS)
    throw new InvalidMetric(`there are ${definitions.length} metrics; ${MAX_DEFINITIONS} are allowed`);
  for (const { name, regex } of definitions) {
    const problem = badMetricName(name);
    if (problem !== null) throw new InvalidMetric(`the name ${problem}`);
    if (regex.length > MAX_REGEX_CHARACTERS)
      throw new InvalidMetric(`the regex of ${name} has more than ${MAX_REGEX_CHARACTERS} characters`);
  }
  const [bad] = badRegexes(definitions);
  if (bad !== undefined) throw new InvalidMetric(`the regex of ${definitions[bad.index]?.name} ${bad.problem}`);
  const compiled = definitions.map(({ name, regex }) => ({ name, pattern: RE2JS.compile(regex) }));
  const read = (line: string): Reading[] => {
    const readings: Reading[] = [];
    for (const { name, pattern } of compiled) {
      const matcher = pattern.matcher(line);
      const value = matcher.find() ? parseValue((matcher.group(1) ?? '').trim()) : null;
      if (value !== null) readings.push({ name, value });
    }
    return readings;
  };
  return { names: new Set(compiled.map(({ name }) => name)), read };
}

/** @returns what is wrong with it: predicate of "the regex" */
function compile(regex: string): RE2JS | string {
  let pattern: RE2JS;
  try {
    pattern = RE2JS.compile(regex);
  } catch (error) {
    return `is not one that RE2 accepts: ${(error as Error).message}`;
  }
  return pattern.groupCount() < 1 ? 'has no group for the value; put it in parentheses: loss is ([0-9.]+)' : pattern;
}

/** Both; of a name that both have, the second alone. */
export function joinMetrics(first: CustomMetrics | null, second: CustomMetrics): CustomMetrics {
  if (first === null) return second;
  const read = (line: string) => [
    ...first.read(line).filter(({ name }) => !second.names.has(name)),
    ...second.read(line),
  ];
  return { names: new Set([...first.names, ...second.names]), read };
}

/**
 * What a run's spec says about its metrics, wherever that was read. Anybody may have written it, so what cannot be used is left out.
 * @param spec of a manifest, of a snapshot, or the input of an execution
 */
export function definitionsIn(spec: unknown): MetricDefinition[] {
  const { metrics } = Object(spec) as { metrics?: unknown };
  if (!Array.isArray(metrics)) return [];
  return metrics.slice(0, MAX_DEFINITIONS).flatMap((item: unknown) => {
    const { name, regex } = Object(item) as Partial<Record<keyof MetricDefinition, unknown>>;
    const isText = typeof name === 'string' && typeof regex === 'string';
    return isText && regex.length <= MAX_REGEX_CHARACTERS ? [{ name, regex }] : [];
  });
}

/** The metrics that a run's spec describes; null: none that can be used. */
export function metricsOfSpec(spec: unknown): CustomMetrics | null {
  const definitions = definitionsIn(spec);
  if (definitions.length === 0) return null;
  try {
    return compileMetrics(definitions);
  } catch (error) {
    if (error instanceof InvalidMetric) return null; // Verify archive refuses such a spec.
    throw error;
  }
}
