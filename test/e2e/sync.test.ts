import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import { Cloud } from '../support/cloud/cloud.ts';
import { projectFolder, runctl, shellEnvironment } from '../support/cloud/runctl.ts';
import { outputOf } from '../support/outputs.ts';

let cloud: Cloud;
let folder: string;
let env: Record<string, string>;
beforeAll(async () => {
  cloud = await Cloud.connect();
  env = await shellEnvironment();
  folder = projectFolder(cloud.project, {
    'train.py': 'import os\nprint("found", sorted(os.listdir("data")), os.path.isdir("results/best"))\n',
    'runctl.yaml': `project: ${cloud.project}\noutputs: ["results/best/*.pt"]\n`,
  });
  mkdirSync(join(folder, 'data'));
  for (let n = 0; n < 101; n += 1) writeFileSync(join(folder, 'data', `${n}.csv`), 'x');
});

const run = async (...options: string[]) => {
  const { code, stdout, stderr } = await runctl(folder, ['run', '--yes', '--json', ...options], env);
  return { code, stderr, output: code === 0 || code === 1 ? outputOf('run', stdout) : null, stdout };
};
const foundLine = (count: number) => {
  const names = Array.from({ length: count }, (_, n) => `'${n}.csv'`).sort();
  return `found [${names.join(', ')}] True`;
};

it('a folder that is ignored after it was synced stays on the instance', async () => {
  expect((await run()).output?.lastLines).toEqual([foundLine(101)]);
  writeFileSync(join(folder, '.runctlignore'), 'data/\n');
  const second = await run();
  expect(second.stderr).not.toContain('removes');
  expect(second.output?.lastLines).toEqual([foundLine(101)]);
});

it('a folder that was deleted is removed only when that is allowed', async () => {
  rmSync(join(folder, '.runctlignore'));
  expect((await run()).code).toBe(0);
  rmSync(join(folder, 'data'), { recursive: true });
  mkdirSync(join(folder, 'data'));
  writeFileSync(join(folder, 'data', '0.csv'), 'x');

  const planned = await runctl(folder, ['run', '--dry-run', '--json'], env);
  expect(planned.stderr).toMatch(/removes +100 files, 100 B, synced before/);
  expect(outputOf('run --dry-run', planned.stdout).removals).toEqual({ files: 100, bytes: 100 });

  rmSync(join(folder, 'data/0.csv'));
  writeFileSync(join(folder, 'data', 'new.csv'), 'x');
  const refused = await run();
  expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining('--allow-removals') });

  // The instance decides, whatever the command knows.
  const pushed = await runctl(folder, ['push', '--json'], env);
  const { archive } = outputOf('push', pushed.stdout);
  const failed = await run('--archive', archive);
  expect(failed.output).toMatchObject({ state: 'sync-failed', error: 'RemovalsNotAllowed' });
  expect(failed.output?.message).toContain('would remove 101 files (101 bytes)');

  expect((await run('--allow-removals')).output?.lastLines).toEqual(["found ['new.csv'] True"]);
});

it('another folder does not replace the code of this one, unless it takes the project over', async () => {
  const other = projectFolder(cloud.project, { 'train.py': 'print("other")\n' });
  const runOther = async (...options: string[]) => {
    const { stdout } = await runctl(other, ['run', '--yes', '--json', ...options], env);
    return outputOf('run', stdout);
  };
  const refused = await runOther();
  expect(refused).toMatchObject({ state: 'sync-failed', error: 'ProjectInUse' });
  expect(refused.message).toMatch(/has the code of "folder .+ \(id [0-9a-f]{8}\)", and this archive is from "folder /);
  expect(await runOther('--take-over')).toMatchObject({ state: 'succeeded', lastLines: ['other'] });
});
