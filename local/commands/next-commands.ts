import { localCommand, type StatePaths } from '../cloud/paths.ts';

/** The commands to type next when a local cloud is running, one per line. */
export function nextCommands(paths: StatePaths, inShell: readonly (readonly [string, string])[]): string[] {
  const rows: (readonly [string, string])[] = [
    ['Open a shell that uses it:', localCommand('shell', paths)],
    ...inShell,
    ['Stop it:', localCommand('down', paths)],
  ];
  const width = Math.max(...rows.map(([what]) => what.length));
  return rows.map(([what, command]) => `  ${what.padEnd(width)}  ${command}`);
}
