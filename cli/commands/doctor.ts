import type { Command } from 'commander';
import { withContext } from '../context.ts';
import type { Finding } from '../doctor/finding.ts';
import { EXIT } from '../errors.ts';

const HELP = `
Each line is one check, shown as it is done: ✓ well, ! works but could be better, ✗ does not, - hangs on something that does not.
Below a line that is not well stands the command that mends it.

What lies on the instance itself (disk, python3, pip, uv, GPU) is asked by runctl's own SSM document; nothing is changed there.

Examples:
  $ npx runctl doctor                                  the instance that this folder's runs would use
  $ npx runctl doctor --instance i-0123456789abcdef0   another one
  $ npx runctl doctor --json | jq '.findings[] | select(.state == "failed")'

Exit codes: 0 nothing fails, 3 something does.`;

/** Adds `runctl doctor`. */
export function addDoctorCommand(program: Command): void {
  program
    .command('doctor')
    .description('check all that a run needs, and say how to mend what is missing')
    .option('--project <name>', 'whose instance (default: found as `run` finds it)')
    .option('--instance <selector>', 'i-… or tag:Key=value')
    .option('--json', 'one JSON document')
    .addHelpText('after', HELP)
    .action(async (given: { project?: string; instance?: string; json?: boolean }, command: Command) => {
      await withContext(command, async ({ account, terminal, folder, signal }) => {
        const { findProject } = await import('../project/project.ts');
        const { parseSpec } = await import('../../core/spec/spec.ts');
        const { examine, showFinding } = await import('../doctor/doctor.ts');
        const { project, instance } = given;
        const flags = parseSpec({ project, instance }, 'the options');
        const findings: Finding[] = [];
        for await (const finding of examine(account, await findProject(folder, flags), signal)) {
          findings.push(finding);
          if (given.json !== true) showFinding(terminal, finding);
        }
        const failures = findings.filter(({ state }) => state === 'failed').length;
        if (given.json === true) terminal.json({ ok: failures === 0, findings });
        else if (failures > 0) terminal.note(`${failures} of ${findings.length} checks failed.`);
        return failures === 0 ? EXIT.succeeded : EXIT.setUp;
      });
    });
}
