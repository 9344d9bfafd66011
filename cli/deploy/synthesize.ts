import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { usageError } from '../errors.ts';
import { packageRoot, programArguments, QUIET_CDK } from './installation.ts';

export interface Synthesis {
  /** Where the templates and the assets go. */
  readonly folder: string;
  /** Context of the CDK, beside that of the package's cdk.json. */
  readonly context: Readonly<Record<string, unknown>>;
  readonly env: NodeJS.ProcessEnv;
  /** The CDK keeps fingerprints of assets in the home folder, whatever CDK_HOME says. */
  readonly home: string;
  readonly signal: AbortSignal;
}

/** Exit code of the CDK app for a mistake in its context (lib/app.ts). */
const MISTAKE = 2;
const LINE_LENGTH = 300;

/**
 * Runs the CDK app as the CDK CLI does, in half the time: the stack asks nothing of an account.
 * @throws CliError for a mistake in the context
 */
export async function synthesize({ folder, context, env, home, signal }: Synthesis): Promise<void> {
  signal.throwIfAborted();
  const all = { ...(await contextOf(join(packageRoot, 'cdk.json'))), ...context };
  const child = spawn(process.execPath, programArguments('bin/app.ts', 'app.js'), {
    env: {
      ...env,
      ...QUIET_CDK,
      // The template is checked when the product is built (npm run check:synth); the checker is 9 MB of WebAssembly.
      CDK_VALIDATION: 'false',
      HOME: home,
      CDK_OUTDIR: folder,
      CDK_CONTEXT_JSON: JSON.stringify(all),
    },
    stdio: ['ignore', 'ignore', 'pipe'],
    signal,
    killSignal: 'SIGKILL',
  });
  const [[code], errors] = await Promise.all([once(child, 'close'), text(child.stderr)]);
  if (code === 0) return;
  if (code === MISTAKE)
    throw usageError(
      errors.trim(),
      'Correct it in cdk.json or --context; docs/reference/run-spec.md describes the settings.',
    );
  // Node quotes the line of the error, which is a long one in a bundle.
  const lines = errors.split('\n').map((line) => line.slice(0, LINE_LENGTH));
  throw new Error(`The CDK app ended with exit code ${code}:\n${lines.slice(-20).join('\n')}`);
}

/** The context in a cdk.json; empty without one. @throws CliError when the file is not JSON */
export async function contextOf(file: string): Promise<Record<string, unknown>> {
  let json: string;
  try {
    json = await readFile(file, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return {};
    throw error;
  }
  try {
    return (JSON.parse(json) as { context?: Record<string, unknown> }).context ?? {};
  } catch (error) {
    throw usageError(`${file} is not JSON: ${error instanceof Error ? error.message : error}`, 'Correct the file.');
  }
}
