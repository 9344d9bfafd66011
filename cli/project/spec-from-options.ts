import type { Command } from 'commander';
import { parseSpec, type SpecInput, specSchema } from '../../core/spec/spec.ts';
import { usageError } from '../errors.ts';
import { FLAGS } from './spec-options.ts';

/**
 * The options as a spec.
 * @param args of the script
 * @throws InvalidSpec naming the key
 */
export function specOf(options: Record<string, unknown>, args: readonly string[] = []): SpecInput {
  const given = Object.fromEntries(
    Object.keys(specSchema.shape).flatMap((key) => {
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
