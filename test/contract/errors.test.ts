import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { ARCHIVE_ERROR_NAMES } from '../../core/archive/errors.ts';
import { ERRORS, isErrorName, OUTCOMES } from '../../core/errors.ts';
import { ENDINGS, PHASES } from '../../core/workflow/vocabulary.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');

function sources(folder: string, ending: string): { path: string; text: string }[] {
  const names = readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' });
  return names
    .filter((name) => name.endsWith(ending))
    .map((name) => ({ path: join(folder, name), text: read(join(folder, name)) }));
}

const all = (text: string, pattern: RegExp) => [...text.matchAll(pattern)].map((match) => match[1] ?? '');
const typescript = [...sources('core', '.ts'), ...sources('aws', '.ts'), ...sources('lambdas', '.ts')].filter(
  ({ path }) => path !== 'core/errors.ts',
);
const python = [
  ...sources('instance/runner', '.py'),
  ...sources('instance/document', '.py'),
  ...sources('instance/document', '.sh'),
];

/** By class, by `name:` of an ending, by the first argument of a named error. */
const thrown = new Set<string>([
  ...typescript.flatMap(({ text }) => all(text, /(?:new RunError|super)\(\s*(?:\w+ \? )?'([A-Z]\w+)'/g)),
  ...typescript.flatMap(({ text }) => all(text, /\? '[A-Z]\w+' : '([A-Z]\w+)', `/g)),
  ...typescript.flatMap(({ text }) => all(text, /override readonly name = '(\w+)'/g)),
  ...typescript.flatMap(({ text }) => all(text, /(?:verdict|judgeJob)\([^()]*?'([A-Z]\w+)'/g)),
  ...typescript.flatMap(({ text }) => all(text, /\bname: '([A-Z]\w+)'/g)),
  ...ARCHIVE_ERROR_NAMES,
]);
const onInstance = new Set<string>([
  ...python.flatMap(({ text }) =>
    all(text, /\b(?:Refusal|Untrusted|InstallError|SyncError|CannotRun|_failure|_error|refuse)\(\s*"([A-Z]\w+)"/g),
  ),
  ...python.flatMap(({ text }) => all(text, /"([A-Z][a-z]\w+)" if /g)),
  ...python.flatMap(({ text }) => all(text, / else "([A-Z][a-z]\w+)"/g)),
  ...python.flatMap(({ text }) => all(text, /\bname = "([A-Z]\w+)"/g)),
  ...python.flatMap(({ text }) => all(text, /"name":\s*"([A-Z]\w+)"/g)),
]);

/** Caught before a run could end with them. */
const NOT_ENDINGS: Readonly<Record<string, string>> = {
  InvalidMetric: 'the command line reports it as a usage error',
  BadCommand: 'the schema of the run spec makes it InvalidSpec',
  InvalidPatch: 'Assemble archive makes it PatchUnusable',
  PartsBroken: 'Finish run makes it a warning: the outcome stays',
  BadExpression: 'the command line tells it, before there is a schedule',
  UnreadableAnswer: 'asked again by the commands adapter, then AgentSilent',
};
/** What the runner says, and what a run ends with because of it. */
const ON_INSTANCE_ONLY: Readonly<Record<string, string>> = {
  BadRequest: 'core/job/instance-commands.ts makes it RunnerBroken: a request that we built was not understood',
  StartFailed: 'a job that could not be started: TrainingFailed, SyncFailed or InstallFailed with its message',
};
describe('error names', () => {
  const table = Object.keys(ERRORS).sort();

  it('are in the table when something in core, aws or lambdas throws them', () => {
    expect([...thrown].filter((name) => !isErrorName(name)).sort()).toEqual(Object.keys(NOT_ENDINGS).sort());
  });

  it('are in the table when the runner answers with them', () => {
    expect([...onInstance].filter((name) => !isErrorName(name)).sort()).toEqual(Object.keys(ON_INSTANCE_ONLY).sort());
  });

  it('are thrown somewhere when they are in the table', () => {
    const known = new Set([...thrown, ...onInstance]);
    expect(table.filter((name) => !known.has(name))).toEqual([]);
  });

  it('are in instance/CONTRACT.md when the runner answers with them', () => {
    const contract = read('instance/CONTRACT.md');
    const own = [...onInstance].filter((name) => name !== 'StartFailed' && name !== 'PythonMissing');
    expect(own.filter((name) => !contract.includes(`\`${name}\``)).sort()).toEqual([]);
  });

  it('of archives are all rejections, never retried', () => {
    for (const name of ARCHIVE_ERROR_NAMES)
      expect(ERRORS[name], name).toMatchObject({ outcome: 'rejected', retried: false });
  });

  it('each say what to do next in one sentence', () => {
    for (const [name, { next }] of Object.entries(ERRORS)) expect(next, name).toMatch(/^[A-Z][^\n]{15,}$/);
  });
});

describe('docs/reference/errors.md', () => {
  const page = read('docs/reference/errors.md');
  const sections = page.split(/^#{2,3} /m).filter((section) => section.includes('**What happened.**'));
  const names = sections.map((section) => section.split('\n')[0] ?? '');

  it('has one section for each error, and none for what is not', () => {
    expect(all(page, /^### (\w+)$/gm).sort()).toEqual(Object.keys(ERRORS).sort());
    expect([...names].sort()).toEqual(Object.keys(ERRORS).sort());
  });

  it.each(sections.map((section, index) => [names[index] ?? '', section]))(
    'says of %s what happened, how to see it, what to do',
    (_, section) => {
      for (const part of ['What happened', 'How to see it', 'What to do']) {
        expect(section).toMatch(new RegExp(`\\*\\*${part}\\.\\*\\* .{10,}`));
      }
    },
  );

  it('has them under the heading of their outcome', () => {
    const groups = page.split(/^## /m).filter((group) => /^### /m.test(group));
    const outcomes = groups.map((group) => [
      ...new Set(all(group, /^### (\w+)$/gm).map((name) => ERRORS[name as keyof typeof ERRORS].outcome)),
    ]);
    expect(outcomes.slice(0, 2)).toEqual([['rejected'], ['instance-unavailable']]);
  });

  /** Word and meaning of each row below a heading of a table. */
  function rowsUnder(heading: string): string[][] {
    const [, table = ''] = new RegExp(`^\\| ${heading} \\|.*\\n((?:\\|.*\\n)+)`, 'm').exec(page) ?? [];
    return [...table.matchAll(/^\| `([\w-]+)` \| ([^|]+) \|/gm)].map(([, word = '', meaning = '']) => [word, meaning]);
  }

  it('explains each word for what a run does, as the vocabulary does', () => {
    expect(rowsUnder('word')).toEqual(Object.entries(PHASES));
  });

  it('is found by the outcome that the command shows', () => {
    expect(rowsUnder('outcome')).toEqual(Object.entries(ENDINGS).map(([word, { meaning }]) => [word, meaning]));
    for (const outcome of OUTCOMES.filter((one) => one !== 'succeeded'))
      expect(page, outcome).toMatch(new RegExp(`^\\| \`${outcome}\` \\|.*\\| .*\\]\\(#`, 'm'));
  });
});
