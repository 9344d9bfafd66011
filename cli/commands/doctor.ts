import type { Command } from 'commander';
import { withContext } from '../context.ts';
import type { Check } from '../doctor/check.ts';
import { EXIT } from '../errors.ts';
import type { DoctorOutput } from '../output/schemas.ts';

const HELP = `
Each line is one check: ✓ passed, ! works with limitations, ✗ failed, - skipped because a check that it depends on failed.
The lines below a failed check show the commands that fix it.

The checks of disk, python3, pip, uv and GPU send one SSM command to the instance. It changes nothing there.

Examples:
  runctl doctor                                  check the instance that the runs of this folder use
  runctl doctor --instance i-0123456789abcdef0   check another instance
  runctl doctor --json | jq '.checks[] | select(.state == "failed")'

Exit codes: 0 no check failed, 3 a check failed.`;

/** Adds `runctl doctor`. */
export function addDoctorCommand(program: Command): void {
  program
    .command('doctor')
    .description('check everything a run needs, and show how to fix what is missing')
    .option('--project <name>', 'check the instance of this project (default: as for `run`)')
    .option('--instance <selector>', 'check this instance: i-… or tag:Key=value')
    .option('--json', 'print one JSON document')
    .addHelpText('after', HELP)
    .action(async (given: { project?: string; instance?: string; json?: boolean }, command: Command) => {
      await withContext(command, async ({ account, terminal, folder, signal }) => {
        const { findProject } = await import('../project/project.ts');
        const { parseSpec } = await import('../../core/spec/spec.ts');
        const { printCheck, runChecks } = await import('../doctor/doctor.ts');
        const { project, instance } = given;
        const flags = parseSpec({ project, instance }, 'the options');
        const checks: Check[] = [];
        for await (const check of runChecks(account, folder, await findProject(folder, flags), signal)) {
          checks.push(check);
          if (given.json !== true) printCheck(terminal, check);
        }
        const failures = checks.filter(({ state }) => state === 'failed').length;
        const output: DoctorOutput = {
          ok: failures === 0,
          checks: checks.map((check) => ({ ...check, fix: [...check.fix] })),
        };
        if (given.json === true) terminal.json(output);
        else if (failures > 0) terminal.note(`${failures} of ${checks.length} checks failed.`);
        return failures === 0 ? EXIT.succeeded : EXIT.setUp;
      });
    });
}
