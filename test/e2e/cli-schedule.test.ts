import { writeFileSync } from 'node:fs';
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
  folder = projectFolder(cloud.project, { 'train.py': 'import sys\nprint("on time", *sys.argv[1:])\n' });
});

/** The key in s3://bucket/key?versionId=… */
const keyOf = (uri: string) => new URL(uri).pathname.slice(1);
const schedule = (...args: string[]) => runctl(folder, ['schedule', ...args], env);

it('a schedule starts runs of the code as it was; is listed, made anew when told, and removed by its name', async () => {
  const always = [
    'cron(* * * * ? *)',
    '--timezone',
    'UTC',
    '--if-busy',
    'skip',
    '--yes',
    '--json',
    '--command',
    'python3 train.py',
  ];
  const made = await schedule('add', 'minutely', ...always, '--', '--epochs', '3');
  expect(made).toMatchObject({ code: 0, stderr: expect.stringMatching(/next runs +\w{3} \d{4}/) });
  const { name, spec, next } = outputOf('schedule add', made.stdout);
  expect(name).toBe(`runctl-${cloud.project}-minutely`);
  expect(next).toHaveLength(3);
  expect(spec).toMatchObject({
    project: cloud.project,
    ifBusy: 'skip',
    command: 'python3 train.py',
    args: ['--epochs', '3'],
  });
  expect(spec.archive).toMatch(/\?versionId=\S+$/);
  // The code changes; the schedule's does not.
  writeFileSync(join(folder, 'train.py'), 'print("too late")\n');

  // While the minute lasts: what else there is to do with a schedule.
  const archive = String(spec.archive);
  const add = ['add', 'nightly', 'daily 02:00', '--timezone', 'Europe/Berlin', '--archive', archive, '--yes'];
  const unanswered = await schedule(...add.slice(0, -1));
  expect(unanswered).toMatchObject({ code: 2, stderr: expect.stringContaining('--yes') });
  expect(await schedule(...add)).toMatchObject({ code: 0, stdout: `runctl-${cloud.project}-nightly\n` });
  expect(await schedule(...add)).toMatchObject({ code: 2, stderr: expect.stringContaining('--replace') });
  const again = add.with(2, 'daily 03:00');
  expect(await schedule(...again, '--replace')).toMatchObject({ code: 0 });
  const { stdout } = await schedule('list');
  expect(stdout).toMatch(/runctl-\S+-nightly +\S+ +cron\(0 3 \* \* \? \*\) Europe\/Berlin +\w{3} \S+ 03:00, in /);
  expect(await schedule('remove', 'nightly')).toMatchObject({ code: 0, stdout: `runctl-${cloud.project}-nightly\n` });
  expect(await schedule('remove', 'nightly')).toMatchObject({ code: 2 });
  const { stdout: left } = await schedule('list', '--json');
  expect(outputOf('schedule list', left).map((one) => one.name)).not.toContain(`runctl-${cloud.project}-nightly`);

  const run = await cloud.finished(await cloud.runAppears(keyOf(archive)));
  expect(run.id).toMatch(new RegExp(`^${cloud.project}-minutely-\\d{8}-\\d{6}-[0-9a-f]{8}$`));
  expect(run).toMatchObject({ status: 'SUCCEEDED', output: { outcome: 'succeeded' } });
  expect(await cloud.log(run.id, 'train')).toBe('on time --epochs 3\n');
  expect(await schedule('remove', name)).toMatchObject({ code: 0 });
});
