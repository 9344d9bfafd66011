import { ENDINGS, type RunWord } from '../../core/workflow/vocabulary.ts';
import type { Terminal } from './terminal.ts';

const COLORS = { success: 'green', requested: 'yellow', failure: 'red' } as const;

/** The word for a run: green for success only, yellow for what somebody requested, such as a stop, cyan while it lasts. */
export function colorWord({ colors }: Pick<Terminal, 'colors'>, word: RunWord): string {
  return colors[word in ENDINGS ? COLORS[ENDINGS[word as keyof typeof ENDINGS].kind] : 'cyan'](word);
}
