import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CommanderError } from 'commander';
import { AwsError, classify, errorName } from '../aws/errors.ts';
import { ERRORS, RunError } from '../core/errors.ts';
import { REPORT_TO, VERSION } from '../core/version.ts';
import { translateAwsError } from './account/aws-errors.ts';
import { CliError, EXIT, setUpError } from './errors.ts';
import { printError } from './terminal/terminal.ts';

/** Codes of errors of the machine, not of this program: no space, no permission, too many open files. */
const SYSTEM = ['EACCES', 'EPERM', 'EROFS', 'ENOSPC', 'EDQUOT', 'EMFILE', 'ENFILE'];

/** Prints what went wrong and what to do about it, and sets the exit code. */
export function fail(error: unknown): void {
  if (error instanceof CommanderError) {
    // Commander has printed it. Help and the version, when asked for, are not errors.
    process.exitCode = error.exitCode === 0 ? EXIT.succeeded : EXIT.usage;
    return;
  }
  const known = explain(error);
  if (known === null) {
    reportFault(error);
    return;
  }
  printError(process.stderr, known.message, known.next === '' ? null : known.next);
  process.exitCode = known.exitCode;
}

interface Explained {
  readonly message: string;
  readonly next: string;
  readonly exitCode: number;
}

/** An error that the user can resolve; null for a defect of this program. */
export function explain(error: unknown): Explained | null {
  if (error instanceof CliError) return error;
  if (!(error instanceof Error)) return null;
  if (errorName(error) === 'InvalidSpec') return { message: error.message, next: '', exitCode: EXIT.usage };
  // Errors of the local cloud and of archives.
  if ('next' in error && typeof error.next === 'string')
    return { message: error.message, next: error.next, exitCode: EXIT.runFailed };
  if (error instanceof AwsError || '$metadata' in error || classify(error) !== 'other')
    return translateAwsError(error, 'A call to AWS');
  if (error instanceof RunError) return setUpError(error.message, ERRORS[error.name].next);
  if ('code' in error && SYSTEM.includes(String(error.code)))
    return setUpError(error.message, 'Check the permissions of that path and the space on its disk.');
  return null;
}

/** Prints where to report a defect of this program, and what to attach. */
function reportFault(error: unknown): void {
  const summary = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  const details = [
    `runctl ${VERSION}, Node ${process.version}, ${process.platform} ${process.arch}`,
    error instanceof Error ? error.stack : summary,
    ...(error instanceof Error && error.cause !== undefined ? [`Cause: ${String(error.cause)}`] : []),
  ].join('\n');
  const kept = process.env.RUNCTL_DEBUG ? details : keep(details);
  printError(process.stderr, `This is a defect of runctl: ${summary}`, `${REPORT}\n${kept}`);
  process.exitCode = EXIT.ownFault;
}

const REPORT = `Report it to ${REPORT_TO}, with the command that you ran and the details.`;

/** Writes the details to a file that only this user can read: messages may quote private data. */
function keep(details: string): string {
  try {
    const file = join(mkdtempSync(join(tmpdir(), 'runctl-fault-')), 'details.txt');
    writeFileSync(file, `${details}\n`, { mode: 0o600 });
    return `Details: ${file}`;
  } catch {
    return details; // A file cannot be written.
  }
}
