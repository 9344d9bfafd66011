import { describe, expect, it } from 'vitest';
import { byHeadline, headlineOf, headlinesIn } from '../../../../core/metrics/headline.ts';

const named = (...names: string[]) => names.map((name) => ({ name }));
const first = (names: string[], chosen: string[] = []) => headlineOf(named(...names), chosen)?.name;

describe('the headline metric', () => {
  it.each([
    [['lr', 'acc', 'val_loss', 'loss'], 'loss'],
    [['lr', 'Train Loss', 'val_loss'], 'Train Loss'],
    [['mlm_loss', 'acc', 'eval_loss'], 'eval_loss'],
    [['lr', 'aux_loss'], 'aux_loss'],
    [['lr', 'top1 acc'], 'top1 acc'],
    [['b', 'a'], 'b'],
  ])('of %s is %s, when the spec names none', (names, expected) => {
    expect(first(names)).toBe(expected);
  });

  it('is what the spec names, as soon as the log has it', () => {
    expect(first(['loss', 'score'], ['score'])).toBe('score');
    expect(first(['loss', 'acc', 'score'], ['map', 'acc', 'score'])).toBe('acc');
    expect(first(['loss'], ['score'])).toBe('loss');
    expect(headlineOf([], ['score'])).toBeNull();
  });

  it('is followed by the others in their order', () => {
    const sorted = byHeadline(named('b', 'loss', 'a', 'score'), ['score']);
    expect(sorted.map(({ name }) => name)).toEqual(['score', 'loss', 'b', 'a']);
  });

  it.each([
    [null, []],
    ['loss', []],
    [{ headline: 'loss' }, []],
    [{ headline: ['a', 1, null, '<b>', 'b'] }, ['a', 'b']],
    [{ headline: ['a', 'b', 'c', 'd'] }, ['a', 'b', 'c']],
  ])('is read from %j, which anybody may have written, as %j', (spec, names) => {
    expect(headlinesIn(spec)).toEqual(names);
  });
});
