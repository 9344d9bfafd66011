import type { Terminal } from './terminal.ts';

/** What a person reads who leaves a run to itself. */
export function sayDetached(terminal: Terminal, runId: string): void {
  if (terminal.out.errored) return; // nobody reads any more: runctl logs -f | head
  terminal.note('');
  terminal.note('Detached: the run goes on.');
  terminal.note(`  come back  runctl logs -f ${runId}`);
  terminal.note(`  stop it    runctl stop ${runId}`);
}
