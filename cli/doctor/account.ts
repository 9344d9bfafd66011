import { HeadBucketCommand } from '@aws-sdk/client-s3';
import { DescribeDocumentCommand, type SSMClient } from '@aws-sdk/client-ssm';
import { GetCallerIdentityCommand } from '@aws-sdk/client-sts';
import { errorName, withAwsErrors } from '../../aws/errors.ts';
import { DOCUMENTS, OUTPUTS, STACK_NAME } from '../../core/names.ts';
import type { Account } from '../account/account.ts';
import { type Check, failed, runCheck, runOperatorCheck, skipped, warning } from './check.ts';

const DEPLOY = 'runctl deploy';
/** CloudFormation does not notice what somebody deleted by hand unless it compares the stack with reality. */
const DEPLOY_AGAIN = 'runctl deploy --revert-drift';

/** Checks region and credentials, which all other checks require. */
export async function* checkAccess(account: Account): AsyncGenerator<Check> {
  yield await runCheck('region', () => account.region());
  yield await runCheck('credentials', async () => {
    const identity = await withAwsErrors('sts:GetCallerIdentity', account.sts.send(new GetCallerIdentityCommand({})));
    return `${identity.Arn} in account ${identity.Account}`;
  });
}

/** Checks what is deployed. */
export async function* checkStack(account: Account): AsyncGenerator<Check> {
  const stack = await runCheck('stack', () => readStack(account));
  yield stack;
  if (stack.state === 'failed') {
    yield skipped('bucket', 'requires the stack');
    yield skipped('documents', 'require the stack');
    return;
  }
  yield await runCheck('bucket', () => readBucket(account));
  yield await runOperatorCheck('documents', () => readDocuments(account.ssm));
}

async function readStack(account: Account): Promise<Check | string> {
  const stack = await account.stack();
  const names = new Set(stack.Outputs?.map((output) => output.OutputKey));
  const missing = Object.values(OUTPUTS).filter((name) => !names.has(name));
  if (missing.length > 0)
    return failed(
      'stack',
      `${STACK_NAME} was deployed by an older version of runctl: it lacks ${missing.join(', ')}`,
      DEPLOY,
    );
  const about = `${STACK_NAME}, ${stack.StackStatus}, deployed ${(stack.LastUpdatedTime ?? stack.CreationTime)?.toISOString()}`;
  if (stack.StackStatus?.includes('ROLLBACK'))
    return warning('stack', `${about}: the last deployment failed, and the previous version is in use`, DEPLOY);
  return about;
}

async function readBucket(account: Account): Promise<Check | string> {
  const bucket = await account.output('bucket');
  try {
    await account.s3.send(new HeadBucketCommand({ Bucket: bucket }));
    return bucket;
  } catch (error) {
    if (['NotFound', 'NoSuchBucket'].includes(errorName(error)))
      return failed('bucket', `${bucket} does not exist: somebody has deleted it`, DEPLOY_AGAIN);
    return await withAwsErrors(`s3:ListBucket on ${bucket}`, Promise.reject(error));
  }
}

async function readDocuments(ssm: Pick<SSMClient, 'send'>): Promise<Check | string> {
  const found = await Promise.all(DOCUMENTS.map(async (name) => ({ name, document: await describe(ssm, name) })));
  const missing = found.filter(({ document }) => document === null).map(({ name }) => name);
  if (missing.length > 0) return failed('documents', `missing: ${missing.join(', ')}`, DEPLOY_AGAIN);
  const idle = found.filter(({ document }) => document?.Status !== 'Active');
  if (idle.length > 0)
    return failed('documents', idle.map(({ name, document }) => `${name} is ${document?.Status}`).join(', '), DEPLOY);
  return DOCUMENTS.join(', ');
}

async function describe(ssm: Pick<SSMClient, 'send'>, Name: string) {
  try {
    const { Document } = await ssm.send(new DescribeDocumentCommand({ Name }));
    return Document ?? null;
  } catch (error) {
    if (errorName(error) === 'InvalidDocument') return null;
    return await withAwsErrors(`ssm:DescribeDocument of ${Name}`, Promise.reject(error));
  }
}
