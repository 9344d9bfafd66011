import { Aws, type Stack } from 'aws-cdk-lib';
import { ManagedPolicy } from 'aws-cdk-lib/aws-iam';
import type { Bucket } from 'aws-cdk-lib/aws-s3';
import { ACCESS_POLICIES } from '../../core/names.ts';
import { manageSchedules, operateRuns, readStack, startRuns, uploadArchives, watchRuns } from './people.ts';
import { type Permission, toPolicy } from './permission.ts';

/** Managed policies for people, narrowest first. Nobody has one until an administrator attaches it. */
export function createAccessPolicies(stack: Stack, props: { bucket: Bucket; scheduleRoleArn: string }): void {
  const { bucket, scheduleRoleArn } = props;
  const watch = [...startRuns(stack, bucket), ...watchRuns(stack, bucket)];
  const policies: Record<keyof typeof ACCESS_POLICIES, { description: string; permissions: Permission[] }> = {
    upload: {
      description: 'runctl: may upload code, which then runs on the instance',
      permissions: [readStack(stack), uploadArchives(bucket)],
    },
    watch: {
      description: 'runctl: may upload code, start runs, watch them, and fetch what they left',
      permissions: [readStack(stack), uploadArchives(bucket), ...watch],
    },
    operator: {
      description: 'runctl: all that the command line does, among it to stop runs, schedule them, and ask the instance',
      permissions: [
        readStack(stack),
        uploadArchives(bucket),
        ...watch,
        ...operateRuns(stack),
        ...manageSchedules(stack, scheduleRoleArn),
      ],
    },
  };
  for (const [key, { description, permissions }] of Object.entries(policies)) {
    new ManagedPolicy(stack, `Access-${key}`, {
      // IAM knows no regions: two stacks of one account must not meet.
      managedPolicyName: `${ACCESS_POLICIES[key as keyof typeof ACCESS_POLICIES]}-${Aws.REGION}`,
      description,
      document: toPolicy(permissions),
    });
  }
}
