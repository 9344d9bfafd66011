import type { Stack } from 'aws-cdk-lib';
import { IMAGE_PARAMETERS, IMAGE_TAGS, MADE_BY_BAKE } from '../../core/images/names.ts';
import { BAKE_MACHINE, ENABLED_TAG, STACK_NAME } from '../../core/names.ts';
import { executionsOf, machineArn } from './functions.ts';
import type { Permission } from './permission.ts';

/** Permissions of what makes and uses images: of functions and of people. */

/** The role of the instances that docs/guide/first-run.md makes; names of others that images may be made with begin so. */
const INSTANCE_ROLES = `${STACK_NAME}-instance*`;

const ec2 = (stack: Stack, resource: string) => stack.formatArn({ service: 'ec2', resource, resourceName: '*' });
/** Images and snapshots belong to no account in their ARNs. */
const unowned = (stack: Stack, resource: string) =>
  stack.formatArn({ service: 'ec2', account: '', resource, resourceName: '*' });
/** Made by a bake. */
const OF_BAKES = { [`ec2:ResourceTag/${MADE_BY_BAKE.key}`]: MADE_BY_BAKE.value };
const ENABLED = { [`ec2:ResourceTag/${ENABLED_TAG.key}`]: ENABLED_TAG.value };

/** No resource-level permissions. */
export function describeImages(): Permission {
  return { actions: ['ec2:DescribeImages'], resources: ['*'] };
}

/** Reads launch templates, and the parameters that stand for their images: our own, and those of AWS. */
export function readLaunchTemplates(stack: Stack): Permission[] {
  return [
    { actions: ['ec2:DescribeLaunchTemplates', 'ec2:DescribeLaunchTemplateVersions'], resources: ['*'] },
    {
      actions: ['ssm:GetParameters'],
      resources: [
        parameters(stack),
        stack.formatArn({ service: 'ssm', account: '', resource: 'parameter', resourceName: 'aws/service/*' }),
      ],
    },
  ];
}

/** Starts instances from launch templates with the tag runctl=enabled, and with tags of a bake. */
export function runBuilders(stack: Stack): Permission[] {
  const launchTemplate = ec2(stack, 'launch-template');
  const fromTemplate = { ArnLike: { 'ec2:LaunchTemplate': launchTemplate } };
  const others = ['volume', 'network-interface', 'subnet', 'security-group', 'key-pair', 'placement-group'];
  return [
    { actions: ['ec2:RunInstances'], resources: [launchTemplate], conditions: { StringEquals: ENABLED } },
    {
      actions: ['ec2:RunInstances'],
      resources: [ec2(stack, 'instance')],
      conditions: {
        ...fromTemplate,
        StringEquals: { [`aws:RequestTag/${MADE_BY_BAKE.key}`]: MADE_BY_BAKE.value },
      },
    },
    {
      actions: ['ec2:RunInstances'],
      resources: [
        ...others.map((resource) => ec2(stack, resource)),
        ...['image', 'snapshot'].map((resource) => unowned(stack, resource)),
      ],
      conditions: fromTemplate,
    },
    tagNew([ec2(stack, 'instance'), ec2(stack, 'volume')], 'RunInstances'),
    {
      actions: ['iam:PassRole'],
      resources: [stack.formatArn({ service: 'iam', region: '', resource: 'role', resourceName: INSTANCE_ROLES })],
      conditions: { StringEquals: { 'iam:PassedToService': 'ec2.amazonaws.com' } },
    },
  ];
}

/** Makes images of instances of a bake. */
export function createImages(stack: Stack): Permission[] {
  const made = ['image', 'snapshot'].map((resource) => unowned(stack, resource));
  return [
    { actions: ['ec2:CreateImage'], resources: [ec2(stack, 'instance')], conditions: { StringEquals: OF_BAKES } },
    { actions: ['ec2:CreateImage'], resources: made },
    tagNew(made, 'CreateImage'),
  ];
}

export function terminateBuilders(stack: Stack): Permission {
  return {
    actions: ['ec2:TerminateInstances'],
    resources: [ec2(stack, 'instance')],
    conditions: { StringEquals: OF_BAKES },
  };
}

/** Deregisters images that bakes made, and deletes their snapshots. */
export function removeImages(stack: Stack): Permission[] {
  const conditions = { StringEquals: OF_BAKES };
  return [
    { actions: ['ec2:DeregisterImage'], resources: [unowned(stack, 'image')], conditions },
    { actions: ['ec2:DeleteSnapshot'], resources: [unowned(stack, 'snapshot')], conditions },
  ];
}

/** Marks an image of a bake as tested, and makes it the current one of its project. */
export function publishImages(stack: Stack): Permission[] {
  return [
    {
      actions: ['ec2:CreateTags'],
      resources: [unowned(stack, 'image')],
      conditions: { StringEquals: OF_BAKES, 'ForAllValues:StringEquals': { 'aws:TagKeys': IMAGE_TAGS.published } },
    },
    { actions: ['ssm:PutParameter'], resources: [parameters(stack)] },
  ];
}

/** Starts bakes and watches them; lists, uses and removes images. */
export function manageImages(stack: Stack): Permission[] {
  return [
    { actions: ['states:StartExecution'], resources: [bakeMachineArn(stack)] },
    {
      actions: ['states:DescribeExecution', 'states:GetExecutionHistory'],
      resources: [executionsOf(stack, BAKE_MACHINE)],
    },
    describeImages(),
    ...readLaunchTemplates(stack),
    { actions: ['ssm:GetParameter', 'ssm:DeleteParameter'], resources: [parameters(stack)] },
    {
      actions: ['ec2:CreateLaunchTemplateVersion', 'ec2:ModifyLaunchTemplate'],
      resources: [ec2(stack, 'launch-template')],
      conditions: { StringEquals: ENABLED },
    },
    ...removeImages(stack),
  ];
}

export function bakeMachineArn(stack: Stack): string {
  return machineArn(stack, BAKE_MACHINE);
}

/** Tags what the same call makes, and nothing else. */
function tagNew(resources: string[], action: string): Permission {
  return { actions: ['ec2:CreateTags'], resources, conditions: { StringEquals: { 'ec2:CreateAction': action } } };
}

function parameters(stack: Stack): string {
  return stack.formatArn({ service: 'ssm', resource: 'parameter', resourceName: `${IMAGE_PARAMETERS.slice(1)}*` });
}
