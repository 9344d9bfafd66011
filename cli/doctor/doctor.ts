import type { Account } from '../account/account.ts';
import type { Project } from '../project/project.ts';
import type { Terminal } from '../terminal/terminal.ts';
import { checkAccess, checkStack } from './account.ts';
import { type Check, ok, skipped } from './check.ts';
import { checkInside } from './inside.ts';
import { checkInstance } from './instance.ts';
import { checkRequirements } from './requirements.ts';

const NEEDS_ACCESS = ['stack', 'bucket', 'documents', 'instance', 'tag', 'role', 'ssm'];
const MARKS = { ok: '✓', warning: '!', failed: '✗', skipped: '-' } as const;
/** The longest name of a check. */
const WIDTH = 'credentials'.length;

/** Checks everything that a run needs, in the order of dependence; yields each check as soon as it is done. */
export async function* runChecks(
  account: Account,
  folder: string,
  project: Project,
  signal: AbortSignal,
): AsyncGenerator<Check> {
  for await (const check of checkAccess(account)) {
    yield check;
    if (check.state === 'failed') {
      for (const name of [...(check.name === 'region' ? ['credentials'] : []), ...NEEDS_ACCESS])
        yield skipped(name, `requires ${check.name}`);
      yield* checkInside(account, null, project.file, signal);
      return;
    }
  }
  yield* checkStack(account);
  yield ok('project', `${project.name.value} (from ${project.name.from})`);
  yield await checkRequirements(folder, project.file);
  const instance = yield* checkInstance(account, project.instance);
  yield* checkInside(account, instance, project.file, signal);
}

/** Prints a check, and below it how to fix it, each command on a line that can be copied. */
export function printCheck(terminal: Terminal, { name, state, detail, fix }: Check): void {
  const { green, yellow, red, dim } = terminal.colors;
  const color = { ok: green, warning: yellow, failed: red, skipped: dim }[state];
  terminal.print(`${color(MARKS[state])} ${name.padEnd(WIDTH)}  ${state === 'skipped' ? dim(detail) : detail}`);
  for (const line of fix) terminal.print(`  ${' '.repeat(WIDTH)}  ${color('→')} ${line}`);
}
