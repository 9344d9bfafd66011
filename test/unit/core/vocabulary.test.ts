import { describe, expect, it } from 'vitest';
import { OUTCOMES } from '../../../core/errors.ts';
import { RUN_STATES } from '../../../core/workflow/states.ts';
import { hasResults, isFailure, PHASES, phaseOf, RUN_WORDS } from '../../../core/workflow/vocabulary.ts';

describe('the words for a run', () => {
  it('are each one word, and mean one thing', () => {
    for (const word of RUN_WORDS) expect(word).toMatch(/^[a-z]+(-[a-z]+)*$/);
    expect(new Set(RUN_WORDS).size).toBe(RUN_WORDS.length);
  });

  it('cover every state of an execution, and those of another version', () => {
    const used = new Set(Object.values(RUN_STATES).map(phaseOf));
    // An execution that has been stopped is in no state.
    expect([...used].sort()).toEqual(
      Object.keys(PHASES)
        .filter((phase) => phase !== 'stopping')
        .sort(),
    );
    expect(phaseOf(null)).toBe('starting');
    expect(phaseOf('A state of tomorrow')).toBe('starting');
  });

  it('say which ends somebody should look into', () => {
    expect(OUTCOMES.filter((outcome) => !isFailure(outcome))).toEqual(['succeeded', 'skipped', 'stopped']);
    expect(OUTCOMES.filter((outcome) => !hasResults(outcome))).toEqual(['rejected', 'skipped']);
  });
});
