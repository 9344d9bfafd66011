import type { Outcome } from '../../core/errors.ts';
import type { Terminal } from './terminal.ts';

/** Green for success only; yellow for what somebody requested, such as a stop. */
export function colorOutcome({ colors }: Pick<Terminal, 'colors'>, outcome: Outcome): string {
  if (outcome === 'succeeded') return colors.green(outcome);
  return outcome === 'stopped' || outcome === 'skipped' ? colors.yellow(outcome) : colors.red(outcome);
}
