import fc from 'fast-check';
import { expect, it } from 'vitest';
import { leftOutMatcher, noteComment } from '../../core/archive/note.ts';
import { MAX_REMOVALS } from '../../core/archive/removals.ts';
import { python } from '../support/secrets/python.ts';

const names = fc.array(fc.constantFrom('a', 'b', 'é', '\ud83d\ude00', 'a b', ''), { minLength: 1, maxLength: 4 });
const path = names.map((parts) => parts.filter(Boolean).join('/'));

it('the command and the instance agree on what is left out', async () => {
  const cases = fc.sample(
    fc.record({
      leftOut: fc.array(fc.tuple(path, fc.boolean()).map(([name, isFolder]) => (isFolder && name ? `${name}/` : name))),
      name: path,
    }),
    2_000,
  );
  const code = `from sync.note import Note
print(json.dumps([name in Note([comment.encode()]).left_out for comment, name in asked]))`;
  const found = await python<boolean[]>(
    code,
    cases.map(({ leftOut, name }) => [noteComment({ leftOut }), name]),
  );
  expect(cases.filter(({ leftOut, name }, index) => leftOutMatcher(leftOut)(name) !== found[index])).toEqual([]);
  expect(found.filter(Boolean).length).toBeGreaterThan(100);
});

it('the command and the instance have the same limits for removals', async () => {
  const code = `from sync import main
print(json.dumps({"files": main.MAX_REMOVED_FILES, "bytes": main.MAX_REMOVED_BYTES}))`;
  expect(await python(code, [])).toEqual(MAX_REMOVALS);
});
