import jsonata from 'jsonata';
import { describe, expect, it } from 'vitest';
import { evaluate, QueryError } from './asl/expressions.ts';

const bindings = {
  step: { state: 'running', cursor: { offset: 7 }, more: false, reason: null, tail: ['a', 'b'] },
  lists: [{ id: 1 }, { id: 2 }],
  one: [{ id: 1 }],
};

describe('an expression of a definition', () => {
  it.each(['$step.state', '$step.cursor.offset', '$step.more', '$step.reason', '$step.tail', '$lists.id', '$one.id'])(
    '%s gives what JSONata gives',
    async (source) => {
      // JSONata adds properties to its lists. Only their JSON matters.
      const asJson = (value: unknown) => JSON.parse(JSON.stringify(value)) as unknown;
      const ours = await evaluate(`{% ${source} %}`, bindings);
      expect(asJson(ours)).toEqual(asJson(await jsonata(source).evaluate(undefined, bindings)));
    },
  );

  it('that gives nothing is an error, and text without one stays', async () => {
    await expect(async () => await evaluate('{% $step.nowhere %}', bindings)).rejects.toThrow(QueryError);
    expect(await evaluate({ a: ['$step.state', { b: '{% $step.cursor.offset + 1 %}' }] }, bindings)).toEqual({
      a: ['$step.state', { b: 8 }],
    });
  });
});
