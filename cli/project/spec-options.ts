import { type Command, Option } from 'commander';
import { specJsonSchema } from '../../core/spec/json-schema.ts';
import { parseSpec, type SpecInput } from '../../core/spec/spec.ts';
import { usageError } from '../errors.ts';

interface Property {
  readonly type: 'string' | 'array' | 'object';
  readonly description: string;
  readonly enum?: readonly string[];
}

/** Given after `--`, not as an option. */
const AFTER_DASHES = 'args';
/** Options that are not called as their key is: one of many is given at a time. */
const FLAGS: Partial<Record<string, string>> = { secrets: 'secret' };
const { properties } = specJsonSchema() as { properties: Record<keyof SpecInput, Property> };

/** Gives a command an option for each key of the run spec: `maxDuration` is `--max-duration`. */
export function addSpecOptions(command: Command, keys = Object.keys(properties) as (keyof SpecInput)[]): Command {
  for (const key of keys) if (key !== AFTER_DASHES) command.addOption(specOption(key, properties[key]));
  return command;
}

/**
 * The options as a spec.
 * @param args of the script
 * @throws InvalidSpec naming the key
 */
export function specOf(options: Record<string, unknown>, args: readonly string[] = []): SpecInput {
  const given = Object.fromEntries(
    Object.keys(properties).flatMap((key) => {
      const option = FLAGS[key] ?? key;
      return option in options ? [[key, options[option]]] : [];
    }),
  );
  return parseSpec({ ...given, ...(args.length > 0 ? { args } : {}) }, 'the options');
}

/**
 * The words after `--`: the arguments of the script.
 * @throws CliError for a word before `--`, which commander does not distinguish from them
 */
export function scriptArguments(command: Command, words: readonly string[]): string[] {
  let program = command;
  while (program.parent) program = program.parent;
  const raw = (program as Command & { rawArgs: string[] }).rawArgs;
  const dashes = raw.indexOf('--');
  const count = dashes === -1 ? 0 : raw.length - dashes - 1;
  const [stray] = words.slice(0, words.length - count);
  if (stray !== undefined)
    throw usageError(
      `${JSON.stringify(stray)} is not an option.`,
      `To name the script, use --script ${stray}. Arguments of the script follow --, for example: runctl ${command.name()} -- --epochs 3`,
    );
  return words.slice(words.length - count);
}

function specOption(key: string, { type, description, enum: choices }: Property): Option {
  const flag = `--${(FLAGS[key] ?? key).replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
  if (key === 'secrets')
    return new Option(`${flag} <NAME=reference>`, `${description} Repeat for more.`).argParser(collectSecret);
  if (type === 'object')
    return new Option(`${flag} <NAME=value>`, `${description} Can be repeated.`).argParser(collectPair);
  if (type === 'array') return new Option(`${flag} <value>`, `${description} Can be repeated.`).argParser(collect);
  const option = new Option(`${flag} <value>`, description);
  return choices ? option.choices(choices) : option;
}

function collect(value: string, before: readonly string[] = []): string[] {
  return [...before, value];
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
