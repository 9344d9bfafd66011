import type { Terminal } from './terminal.ts';

/** What a person reads who leaves a run to itself. */
export function sayDetached(terminal: Terminal, runId: string): void {
  terminal.note('');
  terminal.note('Detached: the run goes on.');
  terminal.note(`  come back  runctl logs -f ${runId}`);
  terminal.note(`  stop it    runctl stop ${runId}`);
}
