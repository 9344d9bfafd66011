import { Stack } from 'aws-cdk-lib';
import { Effect, PolicyStatement, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { Topic } from 'aws-cdk-lib/aws-sns';
import { EmailSubscription } from 'aws-cdk-lib/aws-sns-subscriptions';
import type { Construct } from 'constructs';
import { STACK_NAME } from '../../core/names.ts';

/**
 * The topic of the runs' notifications. Amazon SNS asks each address for a confirmation first.
 * It is not encrypted with a KMS key: alarms cannot publish with the AWS managed key, and a customer managed key costs money while nothing
 * runs.
 */
export function createNotificationTopic(scope: Construct, emails: readonly string[]): Topic {
  const topic = new Topic(scope, 'Notifications', {
    topicName: `${STACK_NAME}-notifications`,
    displayName: STACK_NAME,
    enforceSSL: true,
  });
  // A resource policy replaces the default one, which lets alarms of the account publish.
  topic.addToResourcePolicy(
    new PolicyStatement({
      sid: 'Alarms',
      effect: Effect.ALLOW,
      principals: [new ServicePrincipal('cloudwatch.amazonaws.com')],
      actions: ['sns:Publish'],
      resources: [topic.topicArn],
      conditions: { StringEquals: { 'aws:SourceAccount': Stack.of(scope).account } },
    }),
  );
  for (const email of emails) topic.addSubscription(new EmailSubscription(email));
  return topic;
}
