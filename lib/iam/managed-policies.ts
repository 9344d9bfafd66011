import { Aws, type Stack } from 'aws-cdk-lib';
import { ManagedPolicy } from 'aws-cdk-lib/aws-iam';
import type { Bucket } from 'aws-cdk-lib/aws-s3';
import { ACCESS_POLICIES } from '../../core/names.ts';
import { manageSchedules, operateRuns, readStack, startRuns, uploadArchives, watchRuns } from './people.ts';
import { type Permission, toPolicy } from './permission.ts';

/** Managed policies for people, narrowest first. They have no effect until an administrator attaches them. */
export function createAccessPolicies(
  stack: Stack,
  props: { bucket: Bucket; assetBucket: string; scheduleRoleArn: string },
): void {
  const { bucket, assetBucket, scheduleRoleArn } = props;
  const watch = [...startRuns(stack, bucket), ...watchRuns(stack, bucket)];
  const policies: Record<keyof typeof ACCESS_POLICIES, Permission[]> = {
    // Uploads code, which then runs on the instance.
    upload: [readStack(stack), uploadArchives(bucket)],
    // Uploads code, starts runs, watches them, and downloads their outputs.
    watch: [readStack(stack), uploadArchives(bucket), ...watch],
    // Everything that the command line does: stops and schedules runs, and asks the instance, too.
    operator: [
      readStack(stack),
      uploadArchives(bucket),
      ...watch,
      ...operateRuns(stack, assetBucket),
      ...manageSchedules(stack, scheduleRoleArn),
    ],
  };
  for (const [key, permissions] of Object.entries(policies)) {
    new ManagedPolicy(stack, `Access-${key}`, {
      // IAM is global: stacks in two regions need different names.
      managedPolicyName: `${ACCESS_POLICIES[key as keyof typeof ACCESS_POLICIES]}-${Aws.REGION}`,
      // No description: IAM cannot change it, so a new wording would require a replacement, which fails because the name is taken.
      document: toPolicy(permissions),
    });
  }
}
