import {
  CreateImageCommand,
  CreateTagsCommand,
  DeleteSnapshotCommand,
  DeregisterImageCommand,
  DescribeImagesCommand,
  DescribeLaunchTemplatesCommand,
  DescribeLaunchTemplateVersionsCommand,
  EC2Client,
  type Image,
  RunInstancesCommand,
  TerminateInstancesCommand,
} from '@aws-sdk/client-ec2';
import type { LaunchTemplate } from '../core/images/data.ts';
import type { FoundImage, Images, NewInstance } from '../core/images/ports.ts';
import { tagsOf } from '../core/workflow/choose-instance.ts';
import { unless, withAwsErrors } from './errors.ts';
import { refusalOf } from './power.ts';
import { CLIENT_SETTINGS } from './settings.ts';

const NO_TEMPLATE = [
  'InvalidLaunchTemplateId.NotFound',
  'InvalidLaunchTemplateId.NotFoundException',
  'InvalidLaunchTemplateId.Malformed',
  'InvalidLaunchTemplateId.VersionNotFound',
  'InvalidLaunchTemplateName.NotFoundException',
];
const NO_IMAGE = ['InvalidAMIID.NotFound', 'InvalidAMIID.Unavailable', 'InvalidAMIID.Malformed'];
const GONE = ['InvalidInstanceID.NotFound'];
const NO_SNAPSHOT = ['InvalidSnapshot.NotFound'];

export function createImages(): Images {
  return imagesOver(new EC2Client(CLIENT_SETTINGS));
}

export function imagesOver(ec2: Pick<EC2Client, 'send'>): Images {
  return {
    async template(name, version) {
      const key = name.startsWith('lt-') ? 'LaunchTemplateId' : 'LaunchTemplateName';
      const command = new DescribeLaunchTemplateVersionsCommand({
        [key]: name,
        Versions: [version],
        ResolveAlias: true,
      });
      const found = await unless(NO_TEMPLATE, `ec2:DescribeLaunchTemplateVersions of ${name}`, ec2.send(command));
      const one = found?.LaunchTemplateVersions?.[0];
      const id = one?.LaunchTemplateId;
      if (!id) return null;
      const whole = ec2.send(new DescribeLaunchTemplatesCommand({ LaunchTemplateIds: [id] }));
      const { LaunchTemplates = [] } = await withAwsErrors(`ec2:DescribeLaunchTemplates of ${id}`, whole);
      return {
        id,
        version: String(one.VersionNumber ?? version),
        image: one.LaunchTemplateData?.ImageId ?? null,
        tags: tagsOf(LaunchTemplates[0] ?? {}),
      };
    },

    async find(id) {
      const command = new DescribeImagesCommand({ ImageIds: [id] });
      const found = await unless(NO_IMAGE, `ec2:DescribeImages of ${id}`, ec2.send(command));
      const [one] = found?.Images ?? [];
      return one ? foundImage(one) : null;
    },

    async tagged(tags) {
      const Filters = Object.entries(tags).map(([key, value]) => ({ Name: `tag:${key}`, Values: [value] }));
      const command = new DescribeImagesCommand({ Owners: ['self'], Filters });
      const { Images = [] } = await withAwsErrors('ec2:DescribeImages', ec2.send(command));
      return Images.map(foundImage);
    },

    async create({ instanceId, name, tags }) {
      const command = new CreateImageCommand({
        InstanceId: instanceId,
        Name: name,
        TagSpecifications: ['image' as const, 'snapshot' as const].map((type) => tagged(type, tags)),
      });
      const made = await unless(['InvalidAMIName.Duplicate'], `ec2:CreateImage of ${instanceId}`, ec2.send(command));
      if (made !== null) return made.ImageId ?? null;
      // An earlier request made it, and its answer was lost.
      const described = new DescribeImagesCommand({ Owners: ['self'], Filters: [{ Name: 'name', Values: [name] }] });
      const { Images = [] } = await withAwsErrors('ec2:DescribeImages', ec2.send(described));
      return Images[0]?.ImageId ?? null;
    },

    async tag(id, tags) {
      const Tags = Object.entries(tags).map(([Key, Value]) => ({ Key, Value }));
      await withAwsErrors(`ec2:CreateTags of ${id}`, ec2.send(new CreateTagsCommand({ Resources: [id], Tags })));
    },

    async remove({ id, snapshots }) {
      await unless(NO_IMAGE, `ec2:DeregisterImage of ${id}`, ec2.send(new DeregisterImageCommand({ ImageId: id })));
      for (const SnapshotId of snapshots) {
        const sent = ec2.send(new DeleteSnapshotCommand({ SnapshotId }));
        await unless(NO_SNAPSHOT, `ec2:DeleteSnapshot of ${SnapshotId}`, sent);
      }
    },

    async run({ template, image, token, tags }) {
      try {
        const { Instances = [] } = await ec2.send(new RunInstancesCommand(runInput(template, image, token, tags)));
        const id = Instances[0]?.InstanceId;
        return id === undefined ? { kind: 'other', message: 'EC2 answered without an instance' } : { id };
      } catch (error) {
        return refusalOf(error, `ec2:RunInstances from ${template.id}`);
      }
    },

    async terminate(ids) {
      for (const id of ids) {
        const sent = ec2.send(new TerminateInstancesCommand({ InstanceIds: [id] }));
        await unless(GONE, `ec2:TerminateInstances of ${id}`, sent);
      }
    },
  };
}

function runInput(template: LaunchTemplate, image: string, token: string, tags: NewInstance['tags']) {
  return {
    LaunchTemplate: { LaunchTemplateId: template.id, Version: template.version },
    ImageId: image,
    MinCount: 1,
    MaxCount: 1,
    ClientToken: token,
    // It powers itself off when it has been scrubbed.
    InstanceInitiatedShutdownBehavior: 'stop' as const,
    TagSpecifications: ['instance' as const, 'volume' as const].map((type) => tagged(type, tags)),
  };
}

function tagged<T extends string>(ResourceType: T, tags: Readonly<Record<string, string>>) {
  return { ResourceType, Tags: Object.entries(tags).map(([Key, Value]) => ({ Key, Value })) };
}

function foundImage(image: Image): FoundImage {
  const snapshots = (image.BlockDeviceMappings ?? []).flatMap(({ Ebs }) => Ebs?.SnapshotId ?? []);
  const sizes = (image.BlockDeviceMappings ?? []).map(({ Ebs }) => Ebs?.VolumeSize ?? 0);
  return {
    id: image.ImageId ?? '',
    name: image.Name ?? '',
    state: image.State ?? 'unknown',
    reason: image.StateReason?.Message ?? null,
    createdAt: Date.parse(image.CreationDate ?? '') || 0,
    tags: tagsOf(image),
    snapshots,
    gigabytes: sizes.reduce((sum, size) => sum + size, 0),
  };
}
