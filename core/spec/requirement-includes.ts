import { posix } from 'node:path';

const INCLUDE = /^(?:-r|--requirement|-c|--constraint)(?:\s*=\s*|\s+|(?<=-[rc]))(\S.*)$/;
const COMMENT = /(^|\s+)#.*$/;

/**
 * The files that a requirements.txt includes (`-r`, `-c`), as names in the project. Left out is what only the instance
 * knows: URLs, absolute paths, and variables that `env` does not have.
 * @param file name of the file in the project
 * @see instance/runner/install/requirements_txt.py, which reads the lines in the same way
 */
export function includedFiles(text: string, file: string, env: Readonly<Record<string, string>>): string[] {
  const lines = text
    .replace(/\\\r?\n/g, ' ')
    .split(/\r?\n/)
    .map((line) => line.replace(COMMENT, '').trim())
    .map((line) => line.replace(/\$\{([A-Z0-9_]+)\}/g, (variable, name: string) => env[name] ?? variable));
  return lines.flatMap((line) => {
    const target = INCLUDE.exec(line)?.[1]?.replace(/^(["'])(.*)\1$/, '$2');
    if (target === undefined || /^[a-z+]+:|^\/|\$\{/i.test(target)) return [];
    return [posix.normalize(posix.join(posix.dirname(file), target))];
  });
}
