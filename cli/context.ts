import type { Command } from 'commander';
import { errorName } from '../aws/errors.ts';
import type { Account, AccountOptions } from './account/account.ts';
import type { ExitCode } from './errors.ts';
import type { Terminal } from './terminal/terminal.ts';

/** What every command works with. */
export interface Context {
  readonly account: Account;
  readonly terminal: Terminal;
  /** Aborted by the first Ctrl-C (or TERM, HUP). The command then removes its temporary files and ends. */
  readonly signal: AbortSignal;
  /** The current folder, absolute. */
  readonly folder: string;
}

/** What work needs that asks nothing and prints no result: the page of `runctl ui` shows its notes. */
export interface WorkContext extends Pick<Context, 'account' | 'signal' | 'folder'> {
  readonly terminal: Pick<Terminal, 'note' | 'warn' | 'working'>;
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
/** The exit code that shells use for a program ended by SIGINT. */
const INTERRUPTED = 130;

/**
 * Runs a command's work with its context, and cleans up after it.
 * @param work returns the exit code
 */
export async function withContext(command: Command, work: (context: Context) => Promise<ExitCode>): Promise<void> {
  // Node 20.20 is supported; the SDK's warning about 2027 would mix with the output.
  process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= 'true';
  // Loaded here, with the clients of all services: `--help` does without them.
  const [{ Account }, { Terminal }] = await Promise.all([
    import('./account/account.ts'),
    import('./terminal/terminal.ts'),
  ]);
  const account = new Account(command.optsWithGlobals<AccountOptions>());
  const terminal = new Terminal({ out: process.stdout, err: process.stderr, in: process.stdin, env: process.env });
  const controller = new AbortController();
  const stop = () => controller.abort();
  for (const name of SIGNALS) process.on(name, stop);
  // The reader has closed the pipe (`runctl logs | head`): end as after Ctrl-C.
  process.stdout.on('error', stop);
  try {
    process.exitCode = await work({ account, terminal, signal: controller.signal, folder: process.cwd() });
  } catch (error) {
    // A prompt reads the keyboard itself and reports Ctrl-C by an error of this name.
    if (!controller.signal.aborted && errorName(error) !== 'ExitPromptError') throw error;
    process.exitCode = INTERRUPTED;
  } finally {
    for (const name of SIGNALS) process.off(name, stop);
    account.destroy();
  }
}
