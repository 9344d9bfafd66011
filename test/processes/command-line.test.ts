import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { VERSION } from '../../core/version.ts';

const COMMAND = fileURLToPath(new URL('../../bin/runctl.js', import.meta.url));

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'runctl-command-line-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

function start(args: readonly string[]) {
  const env = { PATH: process.env.PATH ?? '', HOME: folder, AWS_EC2_METADATA_DISABLED: 'true' };
  return spawn(process.execPath, [COMMAND, ...args], { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] });
}

async function run(...args: string[]) {
  const child = start(args);
  const [[code], stdout, stderr] = await Promise.all([once(child, 'close'), text(child.stdout), text(child.stderr)]);
  return { code: code as number | null, stdout, stderr };
}

describe('the command line', () => {
  it('prints its version', async () => {
    expect(await run('--version')).toEqual({ code: 0, stdout: `${VERSION}\n`, stderr: '' });
  });

  it.each([
    [['lits'], "error: unknown command 'lits'\n(Did you mean list?)\nHelp: runctl --help\n"],
    [['list', '--jsn'], "error: unknown option '--jsn'\n(Did you mean --json?)\nHelp: runctl list --help\n"],
    [['local', 'up', '--stat', 'x'], /\(Did you mean --state\?\)\nHelp: runctl local up --help\n$/],
    [
      ['run', '--epochs', '3'],
      /'--epochs'\nArguments of the script come after --, as in: runctl run -- --epochs 3\nHelp/,
    ],
    [
      ['logs', '-n', 'x'],
      /^error: option '-n, --number <lines>' argument 'x' is invalid\. .*\nHelp: runctl logs --help\n$/,
    ],
  ])('answers an error in usage in a few lines: %j', async (args, message) => {
    const { code, stdout, stderr } = await run(...args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    if (typeof message === 'string') expect(stderr).toBe(message);
    else expect(stderr).toMatch(message);
  });

  it.each([[['--help']], [['run', '--help']], [['local', 'status']]])(
    'is quiet when nobody reads its output: %j',
    async (args) => {
      const child = start(args);
      child.stdout.destroy();
      const [stderr] = await Promise.all([text(child.stderr), once(child, 'close')]);
      expect(stderr).toBe('');
    },
  );
});
