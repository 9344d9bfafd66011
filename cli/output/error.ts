import { CommanderError } from 'commander';
import { EXIT } from '../errors.ts';
import { toJson } from '../terminal/style.ts';
import type { ErrorOutput } from './schemas.ts';

/** Whether the command was asked for JSON; of a command that does not even parse, no option is known. */
export function wantsJson(argv: readonly string[]): boolean {
  const end = argv.indexOf('--');
  return argv.slice(0, end === -1 ? undefined : end).includes('--json');
}

/**
 * What a command with --json prints on standard output when it fails; the text for people is on standard error.
 * @param error explained, where it is known
 * @param exitCode of the command
 */
export function errorOutput(error: unknown, exitCode: number): ErrorOutput {
  const { next } = Object(error) as { next?: unknown };
  const known = typeof next === 'string' && next !== '' ? next : null;
  return { error: { kind: kindOf(exitCode), message: messageOf(error), next: known, exitCode } };
}

export function printErrorJson(out: NodeJS.WritableStream, error: unknown, exitCode: number): void {
  out.write(`${toJson(errorOutput(error, exitCode), 2)}\n`);
}

function kindOf(exitCode: number): ErrorOutput['error']['kind'] {
  if (exitCode === EXIT.usage) return 'usage';
  return exitCode === EXIT.ownFault ? 'fault' : 'set-up';
}

function messageOf(error: unknown): string {
  if (error instanceof CommanderError) return error.message.replace(/^error: /, '');
  const { message } = Object(error) as { message?: unknown };
  return typeof message === 'string' ? message : String(error);
}
