import type { Account } from '../account/account.ts';
import type { Project } from '../project/project.ts';
import type { Terminal } from '../terminal/terminal.ts';
import { checkAccess, checkStack } from './account.ts';
import { type Finding, ok, skipped } from './finding.ts';
import { checkInside } from './inside.ts';
import { checkInstance } from './instance.ts';

const NEEDS_ACCESS = ['stack', 'bucket', 'documents', 'instance', 'tag', 'role', 'ssm'];
const MARKS = { ok: '✓', warning: '!', failed: '✗', skipped: '-' } as const;
/** The longest name of a check. */
const WIDTH = 'credentials'.length;

/** Everything that a run needs, in the order in which one thing needs the other; each finding as soon as it is known. */
export async function* examine(account: Account, project: Project, signal: AbortSignal): AsyncGenerator<Finding> {
  for await (const finding of checkAccess(account)) {
    yield finding;
    if (finding.state === 'failed') {
      for (const check of [...(finding.check === 'region' ? ['credentials'] : []), ...NEEDS_ACCESS])
        yield skipped(check, `requires ${finding.check}`);
      yield* checkInside(account, null, project.file, signal);
      return;
    }
  }
  yield* checkStack(account);
  yield ok('project', `${project.name.value} (from ${project.name.from})`);
  const instance = yield* checkInstance(account, project.instance);
  yield* checkInside(account, instance, project.file, signal);
}

/** A finding as a person reads it; what mends it stands below, each on a line that can be copied. */
export function showFinding(terminal: Terminal, { check, state, detail, mend }: Finding): void {
  const { green, yellow, red, dim } = terminal.colors;
  const color = { ok: green, warning: yellow, failed: red, skipped: dim }[state];
  terminal.print(`${color(MARKS[state])} ${check.padEnd(WIDTH)}  ${state === 'skipped' ? dim(detail) : detail}`);
  for (const line of mend) terminal.print(`  ${' '.repeat(WIDTH)}  ${color('→')} ${line}`);
}
