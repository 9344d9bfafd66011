import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { containerKinds } from '../support/instance/container-kinds.ts';
import { ESCAPES } from '../support/instance/escapes.ts';
import { killQuietly, processesWith } from '../support/instance/processes.ts';
import { RUNNER_FOLDER } from '../support/instance/test-instance.ts';

const DRIVER = fileURLToPath(new URL('containers.py', import.meta.url));
const PYTHON = process.env.RUNCTL_TEST_PYTHON ?? 'python3';
const SIGKILL = 9;

interface Report {
  readonly before: { empty: boolean; members: number; job: boolean };
  readonly after: { empty: boolean; members: number };
  readonly setup: number;
  readonly took: number;
  readonly status: number;
}

const usable = containerKinds();

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'runctl-containers-'));
});
afterEach(() => {
  for (const pid of processesWith(`MARK=${folder}`)) killQuietly(pid);
  rmSync(folder, { recursive: true, force: true });
});

describe.each(['cgroup', 'pid-namespace'] as const)('a container of the kind %s', (kind) => {
  describe.runIf(usable.includes(kind))('is emptied by one kill of', () => {
    it.each(Object.entries(ESCAPES))('%s', async (_, source) => {
      const report = await run(kind, source);
      expect(report).toMatchObject({
        before: { empty: false, job: true },
        after: { empty: true, members: 0 },
        status: SIGKILL,
      });
      expect(report.before.members).toBeGreaterThan(0);
      expect(processesWith(`MARK=${folder}`)).toEqual([]);
      expect(report.took).toBeLessThan(2);
    });
  });

  it.runIf(usable.includes(kind))('costs a run less than 50 ms', async () => {
    const setups: number[] = [];
    for (let i = 0; i < 5; i += 1) setups.push((await run(kind, 'open("ready", "w")\ntime.sleep(300)')).setup);
    console.log(`${kind}: ${Math.round(Math.min(...setups) * 10_000) / 10} ms`);
    expect(Math.min(...setups)).toBeLessThan(0.05);
  });
});

async function run(kind: string, source: string): Promise<Report> {
  rmSync(join(folder, 'ready'), { force: true });
  writeFileSync(join(folder, 'job.py'), `import os, signal, subprocess, sys, time\n${source}\n`);
  const words = [DRIVER, RUNNER_FOLDER, kind, join(folder, 'ready'), '/usr/bin/env', 'python3', 'job.py'];
  const { stdout } = await promisify(execFile)(PYTHON, words, {
    cwd: folder,
    env: { ...process.env, MARK: folder },
    timeout: 60_000,
  });
  return JSON.parse(stdout) as Report;
}
