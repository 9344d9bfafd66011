import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
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

const ENV = { PATH: process.env.PATH ?? '', AWS_EC2_METADATA_DISABLED: 'true' };

function start(args: readonly string[], more: Readonly<Record<string, string>> = {}) {
  const env = { ...ENV, HOME: folder, ...more };
  return spawn(process.execPath, [COMMAND, ...args], { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] });
}

async function run(...args: string[]) {
  return await ended(start(args));
}

async function ended(child: ReturnType<typeof start>) {
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

  it('asks AWS for the first time and again, when it is compiled already', async () => {
    const missing =
      '<ErrorResponse><Error><Code>ValidationError</Code><Message>no stack</Message></Error></ErrorResponse>';
    const server = createServer((_, response) => void response.writeHead(400).end(missing));
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const aws = {
      AWS_ENDPOINT_URL: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      AWS_ACCESS_KEY_ID: 'x',
      AWS_SECRET_ACCESS_KEY: 'x',
      AWS_REGION: 'us-east-1',
    };
    const list = async () => await ended(start(['list'], aws));
    try {
      const first = await list();
      expect(first).toMatchObject({ code: 3, stdout: '' });
      expect(first.stderr).toContain('runctl is not deployed in us-east-1');
      expect(await list()).toEqual(first);
    } finally {
      server.close();
    }
  });
});
