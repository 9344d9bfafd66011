import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  CreateLaunchTemplateCommand,
  DescribeImagesCommand,
  DescribeInstancesCommand,
  DescribeLaunchTemplateVersionsCommand,
  EC2Client,
  RunInstancesCommand,
  TerminateInstancesCommand,
} from '@aws-sdk/client-ec2';
import {
  GetFunctionConfigurationCommand,
  LambdaClient,
  UpdateFunctionConfigurationCommand,
} from '@aws-sdk/client-lambda';
import { ListExecutionsCommand, SFNClient } from '@aws-sdk/client-sfn';
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import type { BakeOutput, ImagesOutput } from '../../cli/output/schemas.ts';
import { OUTPUTS } from '../../core/names.ts';
import { statePaths } from '../../local/cloud/paths.ts';
import { Cloud } from '../support/cloud/cloud.ts';
import { giveNotice } from '../support/cloud/notice.ts';
import { projectFolder, runctl, shellEnvironment } from '../support/cloud/runctl.ts';
import { waitFor } from '../support/instance/processes.ts';

const BASE = 'ami-00000000000000000';
const PROJECT = 'image';
const TEMPLATE = ['--launch-template', PROJECT];
const FILES = {
  'runctl.yaml': `project: ${PROJECT}\nenvironment: project\n`,
  'train.py': 'import joblib, threadpoolctl\nprint("trained with", joblib.__version__, flush=True)\n',
  'requirements.txt': 'threadpoolctl\njoblib\n',
};

let cloud: Cloud;
let ec2: EC2Client;
let env: Record<string, string>;
let template: string;
const launched: string[] = [];
beforeAll(async () => {
  cloud = await Cloud.connect();
  ec2 = cloud.client(EC2Client);
  env = await shellEnvironment();
  const created = await ec2.send(
    new CreateLaunchTemplateCommand({
      LaunchTemplateName: PROJECT,
      LaunchTemplateData: { ImageId: BASE, InstanceType: 't3.small' },
      TagSpecifications: [{ ResourceType: 'launch-template', Tags: [{ Key: 'runctl', Value: 'enabled' }] }],
    }),
  );
  template = created.LaunchTemplate?.LaunchTemplateId ?? '';
});
afterAll(async () => {
  if (launched.length > 0) await ec2.send(new TerminateInstancesCommand({ InstanceIds: launched }));
  ec2.destroy();
});

async function image<T>(folder: string, ...args: string[]): Promise<T> {
  const { code, stdout, stderr } = await runctl(folder, ['image', ...args, '--json'], env);
  expect(code, `${stdout}\n${stderr}`).toBe(0);
  return JSON.parse(stdout) as T;
}

/** Those that a bake has started, and that are still there. */
async function builders(): Promise<string[]> {
  const Filters = [{ Name: 'tag:runctl:made-by', Values: ['runctl-bake'] }];
  const { Reservations = [] } = await ec2.send(new DescribeInstancesCommand({ Filters }));
  const instances = Reservations.flatMap(({ Instances = [] }) => Instances);
  return instances.filter(({ State }) => State?.Name !== 'terminated').map(({ InstanceId = '' }) => InstanceId);
}

/** Whether the history of a bake that is under way has a text. */
async function isInHistory(text: string): Promise<true | null> {
  const sfn = cloud.client(SFNClient);
  const stateMachineArn = cloud.output(OUTPUTS.bakeMachine);
  const { executions = [] } = await sfn.send(new ListExecutionsCommand({ stateMachineArn, statusFilter: 'RUNNING' }));
  const histories = await Promise.all(executions.map(({ executionArn = '' }) => cloud.history(executionArn)));
  sfn.destroy();
  return JSON.stringify(histories).includes(text) || null;
}

it('an image is made once, has nothing that an image must not have, and an instance from it installs nothing', async () => {
  const folder = projectFolder(PROJECT, FILES);
  const made = await image<BakeOutput>(folder, 'bake', ...TEMPLATE, '--yes');
  expect(made).toMatchObject({ made: true, base: BASE, image: expect.stringMatching(/^ami-/) });
  expect(await builders()).toEqual([]);
  const id = made.image ?? '';
  const test = await cloud.manifest(cloud.machine.replace(':stateMachine:', ':execution:').concat(`:${made.id}-test`));
  expect(test.jobs.install?.result).toMatchObject({ cached: true });

  const disk = join(statePaths(inject('cloudFolder')).images, id);
  const entries = readdirSync(disk, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const files = entries.map((entry) => join(entry.parentPath, entry.name));
  expect(files.some((file) => file.endsWith('/joblib/__init__.py'))).toBe(true);
  const needles = /PRIVATE KEY|publicKey|X-Amz-Signature|not a secret|trained with|was launched/;
  // Programs that others made have such words in them, and so has the runner, which searches for them.
  const programs = /\/(site-packages|root\/programs|home\/\.local\/bin)\//;
  const bad = files.filter((file) => !programs.test(file) && needles.test(readFileSync(file, 'latin1')));
  expect(bad).toEqual([]);

  const again = await image<BakeOutput>(folder, 'bake', ...TEMPLATE, '--yes');
  expect(again).toMatchObject({ made: false, image: id, key: made.key });
  const listed = await image<ImagesOutput>(folder, 'list');
  expect(listed).toMatchObject([{ id, current: true, base: BASE, bake: made.id, state: 'available' }]);

  expect(await image(folder, 'use', ...TEMPLATE)).toMatchObject({ image: id, previousVersion: '1', version: '2' });
  const versions = new DescribeLaunchTemplateVersionsCommand({ LaunchTemplateName: PROJECT, Versions: ['$Default'] });
  const { LaunchTemplateVersions } = await ec2.send(versions);
  expect(LaunchTemplateVersions?.[0]?.LaunchTemplateData).toMatchObject({ ImageId: id, InstanceType: 't3.small' });
  // The launch template has an image of ours now: the next one is built upon the same base, and so is equal.
  expect(await image(folder, 'bake', ...TEMPLATE, '--yes')).toMatchObject({ made: false, image: id, base: BASE });

  const started = new RunInstancesCommand({
    LaunchTemplate: { LaunchTemplateName: PROJECT },
    MinCount: 1,
    MaxCount: 1,
    TagSpecifications: [{ ResourceType: 'instance', Tags: [{ Key: 'runctl', Value: 'enabled' }] }],
  });
  const instance = (await ec2.send(started)).Instances?.[0]?.InstanceId ?? '';
  launched.push(instance);
  await waitFor(async () => {
    const { code } = await runctl(folder, ['run', '--instance', instance, '--dry-run'], env);
    return code === 0 || null;
  }, 60);
  const run = await runctl(folder, ['run', '--instance', instance, '--yes'], env);
  expect(run.code, run.stderr).toBe(0);
  expect(run.stdout + run.stderr).toContain('trained with');
  expect(run.stdout + run.stderr).toMatch(/nothing to install|in place already/);

  await expect(runctl(folder, ['image', 'remove', id], env)).resolves.toMatchObject({ code: 2 });
  expect(await image(folder, 'remove', id, '--force')).toMatchObject({ id, project: PROJECT });
  const Filters = [{ Name: 'tag:runctl:image', Values: [PROJECT] }];
  expect((await ec2.send(new DescribeImagesCommand({ Owners: ['self'], Filters }))).Images).toEqual([]);
}, 600_000);

const NOT_INSTALLABLE = { ...FILES, 'requirements.txt': 'runctl-there-is-no-such-package==1\n' };
// Its first version: the default one may have an image that was removed.
const BAKE = ['image', 'bake', ...TEMPLATE, '--template-version', '1', '--yes', '--json'];

it('a bake waits for capacity; when it cannot install, it leaves nothing and says which log to read', async () => {
  const folder = projectFolder(PROJECT, NOT_INSTALLABLE);
  const paths = statePaths(inject('cloudFolder'));
  giveNotice(paths, template, { capacity: 'refused' });
  const baking = runctl(folder, BAKE, env);
  await waitFor(() => isInHistory('EC2 has no capacity now'), 120);
  giveNotice(paths, template, { capacity: 'withdrawn' });
  await waitFor(() => isInHistory('EC2 had no capacity after all'), 120);
  giveNotice(paths, template, {});
  const { code, stdout, stderr } = await baking;
  expect(code).toBe(3);
  expect(stderr).toMatch(/EC2 has no capacity now: [\s\S]*EC2 had no capacity after all: i-/);
  const { error } = JSON.parse(stdout) as { error: { message: string; next: string } };
  expect(error.message).toContain('InstallFailed');
  expect(error.next).toMatch(/runctl logs image-image-.*-build/);
  expect(await builders()).toEqual([]);
}, 300_000);

it('a bake whose functions are gone leaves no instance', async () => {
  const folder = projectFolder(PROJECT, NOT_INSTALLABLE);
  const lambda = cloud.client(LambdaClient);
  const setHandlers = async (Handler: string) => {
    for (const FunctionName of ['runctl-start-image-instance', 'runctl-clean-up-bake'])
      await lambda.send(new UpdateFunctionConfigurationCommand({ FunctionName, Handler }));
  };
  const before = await lambda.send(new GetFunctionConfigurationCommand({ FunctionName: 'runctl-clean-up-bake' }));
  try {
    const baking = runctl(folder, BAKE, env);
    await waitFor(async () => (await builders()).length > 0 || null, 120);
    await setHandlers('index.gone');
    const { code, stdout } = await baking;
    expect(code, stdout).toBe(3);
  } finally {
    await setHandlers(before.Handler ?? '');
    lambda.destroy();
  }
  expect(await builders()).toEqual([]);
}, 300_000);

it('a bake needs the tag of the launch template', async () => {
  const LaunchTemplateName = 'image-untagged';
  const LaunchTemplateData = { ImageId: BASE, InstanceType: 't3.small' as const };
  await ec2.send(new CreateLaunchTemplateCommand({ LaunchTemplateName, LaunchTemplateData }));
  const folder = projectFolder(PROJECT, FILES);
  const args = ['image', 'bake', '--launch-template', LaunchTemplateName, '--yes'];
  const { code, stderr } = await runctl(folder, args, env);
  expect(code).toBe(3);
  expect(stderr).toContain('does not have the tag runctl=enabled');
});
