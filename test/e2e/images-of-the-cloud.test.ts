import { randomUUID } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import {
  CreateImageCommand,
  CreateLaunchTemplateCommand,
  CreateLaunchTemplateVersionCommand,
  DeleteSnapshotCommand,
  DeregisterImageCommand,
  DescribeImagesCommand,
  DescribeInstanceAttributeCommand,
  DescribeInstancesCommand,
  DescribeLaunchTemplateVersionsCommand,
  DescribeSnapshotsCommand,
  EC2Client,
  type Instance,
  ModifyLaunchTemplateCommand,
  RunInstancesCommand,
  type RunInstancesCommandInput,
  StartInstancesCommand,
  StopInstancesCommand,
  TerminateInstancesCommand,
} from '@aws-sdk/client-ec2';
import {
  DescribeInstanceInformationCommand,
  GetCommandInvocationCommand,
  GetParameterCommand,
  PutParameterCommand,
  SendCommandCommand,
  SSMClient,
} from '@aws-sdk/client-ssm';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { localSettings, ssmSettings } from '../../local/cloud/clients.ts';
import { packageCaches, type StatePaths, statePaths } from '../../local/cloud/paths.ts';
import { readState } from '../../local/cloud/state.ts';
import { processesWith, waitFor } from '../support/instance/processes.ts';

const BASE = 'ami-00000000000000000';
const UNKNOWN = 'ami-0123456789abcdef9';
const LaunchTemplateName = 'images-of-the-cloud';
const LaunchTemplate = { LaunchTemplateName };
const alias = '/runctl/images/images-of-the-cloud/current';

let paths: StatePaths;
let ec2: EC2Client;
let ssm: SSMClient;
const launched = new Set<string>();
beforeAll(async () => {
  paths = statePaths(inject('cloudFolder'));
  const state = await readState(paths);
  if (state === undefined) throw new Error('there is no local cloud');
  ec2 = new EC2Client(localSettings(state));
  ssm = new SSMClient(ssmSettings(state));
  const Tags = [
    { Key: 'Project', Value: LaunchTemplateName },
    { Key: 'Name', Value: 'of the template' },
  ];
  const LaunchTemplateData = {
    ImageId: BASE,
    InstanceType: 't3.small' as const,
    TagSpecifications: [{ ResourceType: 'instance' as const, Tags }],
  };
  await ec2.send(new CreateLaunchTemplateCommand({ LaunchTemplateName, LaunchTemplateData }));
});
afterAll(async () => {
  if (launched.size > 0) await ec2.send(new TerminateInstancesCommand({ InstanceIds: [...launched] }));
  ec2.destroy();
  ssm.destroy();
});

async function launch(tags: Record<string, string>, more: Partial<RunInstancesCommandInput> = {}): Promise<Instance> {
  const Tags = Object.entries({ runctl: 'enabled', ...tags }).map(([Key, Value]) => ({ Key, Value }));
  const TagSpecifications = [{ ResourceType: 'instance' as const, Tags }];
  const one = { MinCount: 1, MaxCount: 1, LaunchTemplate, TagSpecifications, ...more };
  const instance = (await ec2.send(new RunInstancesCommand(one))).Instances?.[0] ?? {};
  launched.add(instance.InstanceId ?? '');
  return instance;
}

async function inState(id: string, state: string): Promise<Instance> {
  return await waitFor(async () => {
    const { Reservations } = await ec2.send(new DescribeInstancesCommand({ InstanceIds: [id] }));
    const instance = Reservations?.[0]?.Instances?.[0] ?? {};
    return instance.State?.Name === state ? instance : null;
  }, 30);
}

/** What a script prints on an instance. */
async function onInstance(id: string, ...commands: string[]): Promise<string> {
  const sent = { DocumentName: 'AWS-RunShellScript', InstanceIds: [id], Parameters: { commands } };
  const CommandId = (await ssm.send(new SendCommandCommand(sent))).Command?.CommandId;
  return await waitFor(async () => {
    const seen = await ssm.send(new GetCommandInvocationCommand({ CommandId, InstanceId: id })).catch(() => null);
    return seen?.Status === 'Success' ? (seen.StandardOutputContent ?? '') : null;
  }, 30);
}

async function image(id: string) {
  const { Images = [] } = await ec2.send(new DescribeImagesCommand({ ImageIds: [id] }));
  return Images[0] ?? {};
}

const tagsOf = ({ Tags = [] }: Instance) => Object.fromEntries(Tags.map(({ Key, Value }) => [Key, Value]));
const refusedAs = (name: string) => expect.objectContaining({ name });
const disk = (id: string) => join(paths.instance, id);

describe('an instance of a launch template', () => {
  it('is launched once for a client token, with the tags of both and a disk', async () => {
    const ClientToken = randomUUID();
    const first = await launch({ Name: 'of the request' }, { ClientToken });
    const again = await launch({ Name: 'of the request' }, { ClientToken });
    const id = first.InstanceId ?? '';
    expect(again.InstanceId).toBe(id);
    await expect(launch({ Name: 'another' }, { ClientToken })).rejects.toEqual(
      refusedAs('IdempotentParameterMismatch'),
    );
    expect(first).toMatchObject({ ImageId: BASE, InstanceType: 't3.small' });
    const home = join(disk(id), 'home');
    expect(tagsOf(first)).toMatchObject({
      Project: LaunchTemplateName,
      Name: 'of the request',
      'runctl:root': join(disk(id), 'root'),
      'runctl:home': home,
      'runctl:user': expect.any(String),
    });
    expect(readlinkSync(join(home, '.cache'))).toBe(packageCaches(paths));
    expect(existsSync(join(disk(id), 'root', 'allow-root'))).toBe(true);
    const Filters = [{ Key: 'tag:Name', Values: ['of the request'] }];
    const known = await ssm.send(new DescribeInstanceInformationCommand({ Filters }));
    expect(known.InstanceInformationList).toMatchObject([{ InstanceId: id, PingStatus: 'Online' }]);
    const seen = await onInstance(
      id,
      'cat "$RUNCTL_SYSTEM_ROOT/etc/ssh/ssh_host_ed25519_key"; echo "$RUNCTL_SHUTDOWN."',
    );
    expect(seen).toMatch(/PRIVATE KEY-----\n\.\n$/); // it may not power itself off
    await ec2.send(new TerminateInstancesCommand({ InstanceIds: [id] }));
    await waitFor(() => !existsSync(disk(id)) || null, 30);
  });

  it('is not launched from what does not exist', async () => {
    const refused = async (more: Partial<RunInstancesCommandInput>, code: string) =>
      await expect(launch({}, more), code).rejects.toEqual(refusedAs(code));
    await refused({ ImageId: UNKNOWN }, 'InvalidAMIID.NotFound');
    await refused({ ImageId: 'ami-none' }, 'InvalidAMIID.Malformed');
    await refused({ ImageId: 'resolve:ssm:/runctl/none' }, 'InvalidParameterValue');
    await refused({ LaunchTemplate: { LaunchTemplateName: 'none' } }, 'InvalidLaunchTemplateName.NotFoundException');
    const none = { LaunchTemplateId: 'lt-0123456789abcdef0' };
    await refused({ LaunchTemplate: none }, 'InvalidLaunchTemplateId.NotFound');
    await refused({ LaunchTemplate: { LaunchTemplateName, Version: '9' } }, 'InvalidLaunchTemplateId.VersionNotFound');
    await refused({ LaunchTemplate: undefined }, 'MissingParameter');
    await refused({ DryRun: true }, 'DryRunOperation');
  });
});

describe('an image of an instance', () => {
  it('has its disk, and instances of it have it at their own paths', async () => {
    const { InstanceId: builder = '' } = await launch(
      { 'runctl:bake': 'test' },
      { InstanceInitiatedShutdownBehavior: 'stop' },
    );
    const home = join(disk(builder), 'home');
    mkdirSync(join(home, 'env', 'bin'), { recursive: true });
    writeFileSync(join(home, 'data'), `\0${home}`);
    const script = join(home, 'env', 'bin', 'where');
    writeFileSync(script, `#!/bin/sh\n# ${home}-other\necho ${home}/env $(dirname "$0")\n`);
    chmodSync(script, 0o755);
    utimesSync(script, 1_700_000_000, 1_700_000_000);
    symlinkSync(script, join(home, 'link'));

    const Name = `images-of-the-cloud/${builder}`;
    const make = async (more = {}) =>
      await ec2.send(
        new CreateImageCommand({
          InstanceId: builder,
          Name,
          TagSpecifications: (['image', 'snapshot'] as const).map((ResourceType) => ({
            ResourceType,
            Tags: [{ Key: 'runctl:image', Value: 'digits' }],
          })),
          ...more,
        }),
      );
    await expect(make()).rejects.toEqual(refusedAs('IncorrectInstanceState'));

    // It powers itself off, as a bake does.
    const off = `eval "$(echo "$RUNCTL_SHUTDOWN" | tr , ' ' | tr -d '[]')"`;
    const held = `sleep 600 >/dev/null 2>&1 </dev/null & ${off}; echo "$RUNCTL_BOOT_ID"`;
    const boot = (await onInstance(builder, held)).trim();
    await inState(builder, 'stopped');
    expect(processesWith(`AWS_SSM_INSTANCE_ID=${builder}`)).toEqual([]);

    const { ImageId = '' } = await make();
    expect(await image(ImageId)).toMatchObject({ State: 'pending', Name, SourceInstanceId: builder });
    await expect(make()).rejects.toEqual(refusedAs('InvalidAMIName.Duplicate'));
    await expect(make({ Name: 'x' })).rejects.toEqual(refusedAs('InvalidAMIName.Malformed'));
    await expect(make({ InstanceId: 'i-0123456789abcdef0' })).rejects.toEqual(refusedAs('InvalidInstanceID.NotFound'));
    await expect(launch({}, { ImageId })).rejects.toEqual(refusedAs('InvalidAMIID.Unavailable'));
    await waitFor(async () => (await image(ImageId)).State === 'available' || null, 30);
    const Filters = [
      { Name: 'tag:runctl:image', Values: ['digits'] },
      { Name: 'state', Values: ['available'] },
    ];
    const { Images } = await ec2.send(new DescribeImagesCommand({ Owners: ['self'], Filters }));
    expect(Images).toMatchObject([{ ImageId, CreationDate: expect.stringMatching(/^\d{4}-.*Z$/) }]);
    const snapshot = Images?.[0]?.BlockDeviceMappings?.[0]?.Ebs?.SnapshotId ?? '';
    const { Snapshots } = await ec2.send(new DescribeSnapshotsCommand({ SnapshotIds: [snapshot] }));
    expect(Snapshots).toMatchObject([{ State: 'completed', Tags: [{ Key: 'runctl:image', Value: 'digits' }] }]);

    // The template's default version names the image by a parameter.
    await ssm.send(new PutParameterCommand({ Name: alias, Value: ImageId, Type: 'String', DataType: 'aws:ec2:image' }));
    expect((await ssm.send(new GetParameterCommand({ Name: alias }))).Parameter).toMatchObject({ Value: ImageId });
    const LaunchTemplateData = { ImageId: `resolve:ssm:${alias}` };
    const version = { LaunchTemplateName, SourceVersion: '1', LaunchTemplateData };
    await ec2.send(new CreateLaunchTemplateVersionCommand(version));
    const missing = new CreateLaunchTemplateVersionCommand({ ...version, SourceVersion: '9' });
    await expect(ec2.send(missing)).rejects.toEqual(refusedAs('InvalidLaunchTemplateId.VersionNotFound'));
    await ec2.send(new ModifyLaunchTemplateCommand({ LaunchTemplateName, DefaultVersion: '2' }));
    const resolved = async (ResolveAlias: boolean) => {
      const asked = { LaunchTemplateName, Versions: ['$Default'], ResolveAlias };
      const { LaunchTemplateVersions: found } = await ec2.send(new DescribeLaunchTemplateVersionsCommand(asked));
      return found?.map(({ LaunchTemplateData: data }) => [data?.ImageId, data?.InstanceType]);
    };
    expect(await resolved(true)).toEqual([[ImageId, 't3.small']]);
    expect(await resolved(false)).toEqual([[`resolve:ssm:${alias}`, 't3.small']]);

    const terminate = { InstanceInitiatedShutdownBehavior: 'terminate' as const };
    const other = await launch({ 'runctl:bake': 'test' }, terminate);
    const id = other.InstanceId ?? '';
    expect(other).toMatchObject({ ImageId, State: { Name: 'pending' } });
    await inState(id, 'running');
    const own = join(disk(id), 'home');
    expect(await onInstance(id, join(own, 'link'))).toBe(`${own}/env ${own}\n`);
    expect(readFileSync(join(own, 'env', 'bin', 'where'), 'utf8')).toContain(`# ${home}-other\n`);
    expect(readFileSync(join(own, 'data'), 'utf8')).toBe(`\0${home}`); // it is not text
    expect(lstatSync(join(own, 'env', 'bin', 'where'))).toMatchObject({ mode: 0o100755, mtimeMs: 1_700_000_000_000 });
    expect(readlinkSync(join(own, '.cache'))).toBe(packageCaches(paths));
    expect((await onInstance(id, 'echo "$RUNCTL_BOOT_ID"')).trim()).not.toBe(boot);
    const Attribute = 'instanceInitiatedShutdownBehavior' as const;
    const kept = await ec2.send(new DescribeInstanceAttributeCommand({ InstanceId: id, Attribute }));
    expect(kept.InstanceInitiatedShutdownBehavior).toEqual({ Value: 'terminate' });
    await onInstance(id, off);
    await inState(id, 'terminated');

    await expect(ec2.send(new DeleteSnapshotCommand({ SnapshotId: snapshot }))).rejects.toEqual(
      refusedAs('InvalidSnapshot.InUse'),
    );
    expect(existsSync(join(paths.images, ImageId))).toBe(true);
    await ec2.send(new DeregisterImageCommand({ ImageId }));
    await ec2.send(new DeleteSnapshotCommand({ SnapshotId: snapshot }));
    await waitFor(() => !existsSync(join(paths.images, ImageId)) || null, 30);
    await expect(image(ImageId)).rejects.toEqual(refusedAs('InvalidAMIID.NotFound'));
    await expect(launch({})).rejects.toEqual(refusedAs('InvalidAMIID.NotFound'));

    await ec2.send(new StartInstancesCommand({ InstanceIds: [builder] }));
    await inState(builder, 'running');
    expect((await onInstance(builder, 'echo "$RUNCTL_BOOT_ID"')).trim()).not.toBe(boot);
    await ec2.send(new StopInstancesCommand({ InstanceIds: [builder] }));
  });
});
