import { localCommand, type StatePaths } from '../cloud/paths.ts';

/** What to type next in a local cloud that is running: a line each, what it does and the command. */
export function nextCommands(paths: StatePaths, inShell: readonly (readonly [string, string])[]): string[] {
  const rows: (readonly [string, string])[] = [
    ['Open a shell that uses it:', localCommand('shell', paths)],
    ...inShell,
    ['Stop it:', localCommand('down', paths)],
  ];
  const width = Math.max(...rows.map(([what]) => what.length));
  return rows.map(([what, command]) => `  ${what.padEnd(width)}  ${command}`);
}
