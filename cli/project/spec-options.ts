import { type Command, Option } from 'commander';
import type { MetricDefinition } from '../../core/metrics/custom.ts';
import type { SpecInput } from '../../core/spec/spec.ts';
// The file, not the schema it is generated from: `--help` must not wait for zod.
import specSchema from '../../runctl.schema.json' with { type: 'json' };
import { usageError } from '../errors.ts';

type Kind = 'string' | 'number' | 'array' | 'object' | 'boolean';

interface Property {
  readonly type?: Kind;
  /** Forms that a file may use; an option has the first. */
  readonly anyOf?: readonly { readonly type: Kind }[];
  readonly description: string;
  readonly enum?: readonly string[];
}

/** Given after `--`, and by the command itself. */
const NO_OPTIONS: readonly string[] = ['args', 'sent'];
/** Options that are not named like their key: each use gives one of several values. */
export const FLAGS: Partial<Record<string, string>> = { secrets: 'secret', metrics: 'metric' };
const properties: Record<keyof SpecInput, Property> = specSchema.properties as Record<keyof SpecInput, Property>;

/** Gives a command an option for each key of the run spec: `maxDuration` is `--max-duration`. */
export function addSpecOptions(command: Command, keys = Object.keys(properties) as (keyof SpecInput)[]): Command {
  for (const key of keys) if (!NO_OPTIONS.includes(key)) command.addOption(specOption(key, properties[key]));
  return command;
}

function specOption(key: string, { anyOf, type = anyOf?.[0]?.type, description, enum: choices }: Property): Option {
  const flag = `--${(FLAGS[key] ?? key).replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
  if (key === 'secrets')
    return new Option(`${flag} <NAME=reference>`, `${description} Can be repeated.`).argParser(collectSecret);
  if (key === 'metrics')
    return new Option(`${flag} <name=regex>`, `${description} Can be repeated.`).argParser(collectMetric);
  if (type === 'object')
    return new Option(`${flag} <NAME=value>`, `${description} Can be repeated.`).argParser(collectPair);
  if (type === 'boolean') return new Option(flag, description);
  if (type === 'array') return new Option(`${flag} <value>`, `${description} Can be repeated.`).argParser(collect);
  if (type === 'number') return new Option(`${flag} <number>`, description).argParser(numberIn(flag));
  const option = new Option(`${flag} <value>`, description);
  return choices ? option.choices(choices) : option;
}

/** The schema says which numbers. */
function numberIn(flag: string): (text: string) => number {
  return (text) => {
    const value = text.trim() === '' ? Number.NaN : Number(text);
    if (Number.isFinite(value)) return value;
    throw usageError(`${flag} ${JSON.stringify(text)} is not a number.`, `Write it like this: ${flag} 5`);
  };
}

function collect(value: string, before: readonly string[] = []): string[] {
  return [...before, value];
}

/** @throws CliError for a text without a name */
export function metricOf(text: string, flag: string): MetricDefinition {
  const equals = text.indexOf('=');
  if (equals < 1)
    throw usageError(
      `${flag} ${JSON.stringify(text)} has no name.`,
      `Write it like this: ${flag} 'score=Score is ([0-9.]+)'`,
    );
  return { name: text.slice(0, equals), regex: text.slice(equals + 1) };
}

function collectMetric(value: string, before: readonly MetricDefinition[] = []): MetricDefinition[] {
  return [...before, metricOf(value, '--metric')];
}

/** Without the words themselves: they may be the secret. */
function collectSecret(value: string, before: Readonly<Record<string, string>> = {}): Record<string, string> {
  const equals = value.indexOf('=');
  if (equals < 1)
    throw usageError(
      'The value of --secret is not NAME=reference.',
      'Write it like this: --secret HF_TOKEN=ssm:/team/hf',
    );
  return { ...before, [value.slice(0, equals)]: value.slice(equals + 1) };
}

function collectPair(value: string, before: Readonly<Record<string, string>> = {}): Record<string, string> {
  const equals = value.indexOf('=');
  if (equals < 1) throw usageError(`${JSON.stringify(value)} is not NAME=value.`, 'For example: --env SEED=1');
  return { ...before, [value.slice(0, equals)]: value.slice(equals + 1) };
}
