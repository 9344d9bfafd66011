import { RE2JS } from 're2js';
import type { Reading } from './point.ts';
import { isMetricName } from './point.ts';
import { parseValue } from './values.ts';

/** A metric that a person describes: the first group of the expression is the value. */
export interface MetricDefinition {
  readonly name: string;
  readonly regex: string;
}

/** As SageMaker has them. */
export const MAX_DEFINITIONS = 40;
export const MAX_REGEX_CHARACTERS = 500;

export interface CustomMetrics {
  readonly names: ReadonlySet<string>;
  readonly read: (line: string) => readonly Reading[];
}

/** A definition that cannot be used. */
export class InvalidMetric extends Error {
  override readonly name = 'InvalidMetric';
}

/**
 * Compiles definitions with RE2, which takes time in proportion to the line: the text is the job's, and the expression may be anybody's.
 * @throws InvalidMetric
 */
export function compileMetrics(definitions: readonly MetricDefinition[]): CustomMetrics {
  if (definitions.length > MAX_DEFINITIONS)
    throw new InvalidMetric(`metrics has ${definitions.length} items; ${MAX_DEFINITIONS} are allowed`);
  const compiled = definitions.map(({ name, regex }) => {
    if (!isMetricName(name)) throw new InvalidMetric(`${JSON.stringify(name)} is not a name of a metric`);
    if (regex.length > MAX_REGEX_CHARACTERS)
      throw new InvalidMetric(`the regex of ${name} has more than ${MAX_REGEX_CHARACTERS} characters`);
    return { name, pattern: compile(name, regex) };
  });
  const read = (line: string): Reading[] =>
    compiled.flatMap(({ name, pattern }) => {
      const matcher = pattern.matcher(line);
      const value = matcher.find() ? parseValue((matcher.group(1) ?? '').trim()) : null;
      return value === null ? [] : [{ name, value }];
    });
  return { names: new Set(compiled.map(({ name }) => name)), read };
}

function compile(name: string, regex: string): RE2JS {
  let pattern: RE2JS;
  try {
    pattern = RE2JS.compile(regex);
  } catch (error) {
    throw new InvalidMetric(`the regex of ${name} is not one that RE2 accepts: ${(error as Error).message}`);
  }
  if (pattern.groupCount() < 1) throw new InvalidMetric(`the regex of ${name} has no group for the value`);
  return pattern;
}
