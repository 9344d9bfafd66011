import { readFileSync, rmSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { CommanderError } from 'commander';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { setUpError, usageError } from '../../../cli/errors.ts';
import { fail } from '../../../cli/failure.ts';
import { REPORT_TO } from '../../../core/version.ts';

class InvalidSpec extends Error {
  override readonly name = 'InvalidSpec';
}

const withFields = (error: Error, fields: object) => Object.assign(error, fields);

describe('fail', () => {
  let lines: string[];
  let before: typeof process.exitCode;
  beforeEach(() => {
    lines = [];
    before = process.exitCode;
    vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
      lines.push(...String(text).trimEnd().split('\n'));
      return true;
    });
  });
  afterEach(() => {
    process.exitCode = before;
    vi.restoreAllMocks();
    vi.unstubAllEnvs();
  });

  it.each([
    ['help', new CommanderError(0, 'commander.help', ''), 0],
    ['usage', new CommanderError(1, 'commander.unknownOption', ''), 2],
    ['usage', usageError('No.', 'Do.'), 2],
    ['a spec', new InvalidSpec('No.'), 2],
    ['set-up', setUpError('No.', 'Do.'), 3],
    ['the local cloud', withFields(new Error('No.'), { next: 'Do.' }), 1],
    ['an answer of AWS', withFields(new Error('No.'), { name: 'ThrottlingException', $metadata: {} }), 3],
    ['the network', withFields(new Error('No.'), { code: 'ECONNREFUSED' }), 3],
    ['a full disk', withFields(new Error('No.'), { code: 'ENOSPC' }), 3],
    ['a folder that cannot be written', withFields(new Error('No.'), { code: 'EACCES' }), 3],
  ])('says what a person can do about %s: %s', (_, error, code) => {
    fail(error);
    expect(process.exitCode).toBe(code);
    expect(lines.join('\n')).not.toContain('defect');
  });

  it.each([
    ['an error', new TypeError('x is not a function')],
    ['a system call that is wrong', withFields(new Error('x is not a function'), { code: 'EBADF' })],
    ['no error at all', 'x is not a function'],
  ])('says where to report a fault of its own, and keeps the details in a private file: %s', (_, error) => {
    fail(error);
    expect(process.exitCode).toBe(70);
    expect(lines[0]).toContain('defect of runctl');
    expect(lines[0]).toContain('x is not a function');
    expect(lines[1]).toContain(REPORT_TO);
    const file = /^Details: (.+)$/.exec(lines[2] ?? '')?.[1] ?? '';
    expect(lines).toHaveLength(3);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(readFileSync(file, 'utf8')).toMatch(error instanceof Error ? /failure\.test\.ts/ : /Node v/);
    rmSync(dirname(file), { recursive: true });
  });

  it('prints the details when RUNCTL_DEBUG is set', () => {
    vi.stubEnv('RUNCTL_DEBUG', '1');
    fail(new TypeError('x is not a function'));
    expect(lines.join('\n')).toMatch(/^ +at .*failure\.test\.ts/m);
    expect(lines.join('\n')).not.toContain('Details:');
  });
});
