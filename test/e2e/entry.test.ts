import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import { Cloud } from '../support/cloud/cloud.ts';
import { projectFolder, runctl, shellEnvironment } from '../support/cloud/runctl.ts';
import { waitFor } from '../support/instance/processes.ts';
import { outputOf } from '../support/outputs.ts';
import { tarGz } from './archives.ts';

let cloud: Cloud;
beforeAll(async () => {
  cloud = await Cloud.connect();
});

/** A package with relative imports in src/, which no script can start. */
const PACKAGE = {
  'src/nets/__init__.py': '',
  'src/nets/words.py': 'WORD = "relative"\n',
  'src/nets/train.py':
    'import os, sys\nfrom .words import WORD\nopen("outputs/model.txt", "w").write(WORD)\nprint(WORD, sys.argv[1:], os.getpid())\n',
};

const upload = async (name: string, files: Record<string, string>, spec?: object) => {
  const key = `uploads/${cloud.project}/${name}.tar.gz`;
  await cloud.put(key, await tarGz(files), spec);
  return cloud.finished(await cloud.runAppears(key));
};

it('an upload starts the module that its runctl.yaml names, with PID and outputs', async () => {
  const run = await upload('module', { ...PACKAGE, 'runctl.yaml': 'module: nets.train\nargs: ["--lr", "1"]\n' });
  expect(run.output).toMatchObject({ outcome: 'succeeded' });
  expect(await cloud.log(run.id, 'train')).toBe(`relative ['--lr', '1'] ${run.output?.pid}\n`);
  const manifest = await cloud.manifest(run.arn);
  expect(manifest.spec).toMatchObject({ script: null, module: 'nets.train', command: null });
  expect(manifest.outputs.files.map(({ path }) => path)).toEqual(['outputs/model.txt']);
});

it("an upload's metadata starts a command instead, and the input of an execution a module instead of both", async () => {
  const files = { ...PACKAGE, 'train.py': 'import sys\nprint("script", *sys.argv[1:])\nsys.exit(5)\n' };
  const run = await upload('command', files, { command: ['python', 'train.py', 'a b'], args: ['$HOME'] });
  expect(run).toMatchObject({ status: 'FAILED', cause: { outcome: 'failed', exitCode: 5 } });
  expect(await cloud.log(run.id, 'train')).toBe('script a b $HOME\n');
  const archive = `s3://${cloud.bucket}/uploads/${cloud.project}/command.tar.gz`;
  const next = await cloud.finished(
    await cloud.start({ archive, project: cloud.project, module: 'nets.train', args: [] }),
  );
  expect(next.output).toMatchObject({ outcome: 'succeeded' });
  expect(await cloud.log(next.id, 'train')).toMatch(/^relative \[\] \d+\n$/);
});

it('a module that the archive should have, two entries, and a missing program end a run with what to do', async () => {
  const missing = await upload('missing', { ...PACKAGE, 'runctl.yaml': 'module: nets.trian\n' });
  expect(missing).toMatchObject({ error: 'ScriptNotFound', cause: { outcome: 'rejected' } });
  expect(missing.cause?.message).toContain('There is no module "nets.trian" in the archive');
  const both = await upload('both', { 'train.py': '' }, { script: 'train.py', command: 'torchrun train.py' });
  expect(both).toMatchObject({ error: 'InvalidSpec' });
  const unknown = await upload('unknown', { 'train.py': '' }, { command: 'no-such-launcher train.py' });
  expect(unknown).toMatchObject({ error: 'TrainingFailed' });
  expect(unknown.cause?.message).toContain('the program no-such-launcher was not found in ');
});

it('the command line starts a launcher, shows it in plan, list and status, and stops it with its workers', async () => {
  const env = await shellEnvironment();
  const folder = projectFolder(`${cloud.project}`, { 'runctl.yaml': `project: ${cloud.project}\nscript: x.py\n` });
  mkdirSync(join(folder, 'bin'));
  writeFileSync(join(folder, 'bin/launch'), '#!/bin/sh\nfor rank in 0 1 2 3; do python3 "$1" "$rank" & done\nwait\n');
  chmodSync(join(folder, 'bin/launch'), 0o755);
  writeFileSync(
    join(folder, 'worker.py'),
    'import signal, sys, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint("worker", sys.argv[1], flush=True)\ntime.sleep(600)\n',
  );
  const flags = ['run', '--command', 'bin/launch worker.py', '--stop-grace', '1s', '--take-over'];
  const planned = await runctl(folder, [...flags, '--dry-run', '--json'], env);
  expect(planned.stderr).toMatch(/command +bin\/launch worker\.py {2}\(--command\)/);
  expect(outputOf('run --dry-run', planned.stdout).script).toBe('bin/launch worker.py');

  const started = await runctl(folder, [...flags, '--yes', '--detach'], env);
  expect(started.code, started.stderr).toBe(0);
  const id = started.stdout.trim();
  for (;;) {
    const { stdout } = await runctl(folder, ['status', id, '--json'], env);
    const status = outputOf('status', stdout);
    expect(status.script).toBe('bin/launch worker.py');
    expect(status.outcome).toBe(null);
    if (status.state === 'training' && status.pid !== null) break;
  }
  const stopped = await runctl(folder, ['stop', id], env);
  expect(stopped.code, stopped.stderr).toBe(0);
  const statusNow = async () => outputOf('status', (await runctl(folder, ['status', id, '--json'], env)).stdout);
  const end = await waitFor(async () => (await statusNow()).outcome && (await statusNow()), 120);
  expect(end).toMatchObject({ state: 'stopped', script: 'bin/launch worker.py' });
  expect((await runctl(folder, ['list'], env)).stdout).toContain('bin/launch worker.py');
});
