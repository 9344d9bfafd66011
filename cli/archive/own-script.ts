import { readFile } from 'node:fs/promises';
import { parse as parseToml } from 'smol-toml';
import { commandWords } from '../../core/spec/entry.ts';
import { PACKAGE_FILE } from '../../core/spec/package-file.ts';
import type { SpecInput } from '../../core/spec/spec.ts';
import { type Code, projectNames } from './code.ts';

/**
 * What to say of a command that is a script of the project's own pyproject.toml: of the project only the dependencies are
 * installed, so that it is found on the instance only if the requirements have the project itself (`-e .`).
 */
export async function ownScriptWarning({ listing }: Code, { command }: SpecInput): Promise<string | null> {
  const [program = ''] = command === undefined ? [] : commandWords(command);
  const { names } = projectNames(listing.files, []);
  const file = listing.files[names.indexOf(PACKAGE_FILE)];
  if (program === '' || file === undefined) return null;
  const found = functionOf(await readFile(file.path, 'utf8'), program);
  if (found === null) return null;
  const [module = '', name = ''] = found.split(':');
  const start = `import sys; sys.path[:0] = ['.', 'src']; from ${module} import ${name} as main; sys.exit(main())`;
  return `${program} is a script of ${PACKAGE_FILE}, of which only the dependencies are installed. If the instance does not have it, write in runctl.yaml: command: ["python", "-c", "${start}"]`;
}

/** The function that `[project.scripts]` names: `package.module:function`. */
function functionOf(text: string, program: string): string | null {
  try {
    const { project } = parseToml(text) as { project?: { scripts?: Record<string, unknown> } };
    const found = String(project?.scripts?.[program]);
    return /^[A-Za-z_][\w.]*:[A-Za-z_]\w*$/.test(found) ? found : null;
  } catch {
    return null;
  }
}
