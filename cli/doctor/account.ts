import { HeadBucketCommand } from '@aws-sdk/client-s3';
import { DescribeDocumentCommand, type SSMClient } from '@aws-sdk/client-ssm';
import { GetCallerIdentityCommand } from '@aws-sdk/client-sts';
import { errorName, withAwsErrors } from '../../aws/errors.ts';
import { DOCUMENTS, OUTPUTS, PREPARE_INSTALL_DOCUMENT, programOf, STACK_NAME } from '../../core/names.ts';
import type { Account } from '../account/account.ts';
import { type Finding, failed, find, skipped, warning } from './finding.ts';

const DEPLOY = 'runctl deploy';
/** CloudFormation takes what somebody deleted by hand for there, until it is told to look. */
const DEPLOY_AGAIN = 'runctl deploy --revert-drift';

/** Looks at region and credentials, without which nothing else can be looked at. */
export async function* checkAccess(account: Account): AsyncGenerator<Finding> {
  yield await find('region', () => account.region());
  yield await find('credentials', async () => {
    const identity = await withAwsErrors('sts:GetCallerIdentity', account.sts.send(new GetCallerIdentityCommand({})));
    return `${identity.Arn} in account ${identity.Account}`;
  });
}

/** Looks at what is deployed. */
export async function* checkStack(account: Account): AsyncGenerator<Finding> {
  const stack = await find('stack', () => lookAtStack(account));
  yield stack;
  if (stack.state === 'failed') {
    yield skipped('bucket', 'needs the stack');
    yield skipped('documents', 'need the stack');
    return;
  }
  yield await find('bucket', () => lookAtBucket(account));
  yield await find('documents', () => lookAtDocuments(account.ssm));
}

/** Hex SHA-256 of the installer that the deployed document carries; null when the document is not there or an older one. */
export async function deployedInstaller(ssm: Pick<SSMClient, 'send'>): Promise<string | null> {
  return programOf((await describe(ssm, PREPARE_INSTALL_DOCUMENT))?.Description ?? '');
}

async function lookAtStack(account: Account): Promise<Finding | string> {
  const stack = await account.stack();
  const there = new Set(stack.Outputs?.map((output) => output.OutputKey));
  const missing = Object.values(OUTPUTS).filter((name) => !there.has(name));
  if (missing.length > 0)
    return failed('stack', `${STACK_NAME} was deployed by an older runctl: it has no ${missing.join(', ')}`, DEPLOY);
  const about = `${STACK_NAME}, ${stack.StackStatus}, deployed ${(stack.LastUpdatedTime ?? stack.CreationTime)?.toISOString()}`;
  if (stack.StackStatus?.includes('ROLLBACK'))
    return warning('stack', `${about}: the last deployment failed, what was there before is in force`, DEPLOY);
  return about;
}

async function lookAtBucket(account: Account): Promise<Finding | string> {
  const bucket = await account.output('bucket');
  try {
    await account.s3.send(new HeadBucketCommand({ Bucket: bucket }));
    return bucket;
  } catch (error) {
    if (['NotFound', 'NoSuchBucket'].includes(errorName(error)))
      return failed('bucket', `${bucket} is gone: somebody has deleted it`, DEPLOY_AGAIN);
    return await withAwsErrors(`s3:ListBucket on ${bucket}`, Promise.reject(error));
  }
}

async function lookAtDocuments(ssm: Pick<SSMClient, 'send'>): Promise<Finding | string> {
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
