import type { Terminal } from './terminal.ts';

/** Prints how to follow or stop a run that this command no longer follows. */
export function printDetached(terminal: Terminal, runId: string): void {
  if (terminal.out.errored) return; // the reader has closed the pipe: runctl logs -f | head
  terminal.note('');
  terminal.note('Detached. The run continues.');
  terminal.note(`  follow it  runctl logs -f ${runId}`);
  terminal.note(`  stop it    runctl stop ${runId}`);
}
