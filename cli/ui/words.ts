import type { Outcome } from '../../core/errors.ts';
import { ENDINGS, PHASES, type RunPhase, type RunWord } from '../../core/workflow/vocabulary.ts';

/** How the page shows a word for a run: its color and sign. */
export type WordKind = 'active' | 'waiting' | 'success' | 'failure' | 'requested';

/** @returns `meaning`: the predicate of "the run" */
export function describeWord(word: RunWord): { readonly kind: WordKind; readonly meaning: string } {
  if (word in PHASES) {
    const phase = word as RunPhase;
    return { kind: phase === 'queued' ? 'waiting' : 'active', meaning: PHASES[phase] };
  }
  return ENDINGS[word as Outcome];
}
