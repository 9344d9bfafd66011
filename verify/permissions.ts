import assert from 'node:assert/strict';
import { IAMClient, SimulatePrincipalPolicyCommand } from '@aws-sdk/client-iam';
import { GetFunctionConfigurationCommand, LambdaClient } from '@aws-sdk/client-lambda';
import { GetCallerIdentityCommand } from '@aws-sdk/client-sts';
import { ENABLED_TAG, RUN_DOCUMENT, STACK_NAME } from '../core/names.ts';
import type { AccountRuns } from './account-runs.ts';

const ACTION = 'ssm:SendCommand';

/** Checks what the role of `start-training` may do with IAM's policy simulator. No command is sent. */
export async function checkPermissions({ account, instanceId }: AccountRuns): Promise<string> {
  const region = await account.region();
  const { Account: id } = await account.sts.send(new GetCallerIdentityCommand({}));
  const lambda = new LambdaClient(account.settings);
  const iam = new IAMClient(account.settings);
  try {
    const FunctionName = `${STACK_NAME}-start-training`;
    const { Role } = await lambda.send(new GetFunctionConfigurationCommand({ FunctionName }));
    const decide = async (resource: string, tag: string | null) => {
      const ContextKeyName = `ssm:resourceTag/${ENABLED_TAG.key}`;
      const context = { ContextKeyName, ContextKeyType: 'string' as const, ContextKeyValues: [tag ?? ''] };
      const { EvaluationResults } = await iam.send(
        new SimulatePrincipalPolicyCommand({
          PolicySourceArn: Role,
          ActionNames: [ACTION],
          ResourceArns: [resource],
          ...(tag === null ? {} : { ContextEntries: [context] }),
        }),
      );
      return EvaluationResults?.[0]?.EvalDecision;
    };
    const instance = `arn:aws:ec2:${region}:${id}:instance/${instanceId}`;
    assert.equal(await decide(instance, ENABLED_TAG.value), 'allowed', 'an instance with the tag');
    assert.equal(await decide(instance, 'no'), 'implicitDeny', 'an instance with another value');
    assert.equal(await decide(instance, null), 'implicitDeny', 'an instance without the tag');
    const document = (owner: string, name: string) => `arn:aws:ssm:${region}:${owner}:document/${name}`;
    assert.equal(await decide(document(id ?? '', RUN_DOCUMENT), null), 'allowed', 'the runctl document');
    assert.equal(await decide(document('', 'AWS-RunShellScript'), null), 'implicitDeny', 'AWS-RunShellScript');
    return `simulated by IAM for ${Role?.split('/').at(-1)}`;
  } finally {
    lambda.destroy();
    iam.destroy();
  }
}
