import { Stack } from 'aws-cdk-lib';
import { Effect, PolicyStatement, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { Topic } from 'aws-cdk-lib/aws-sns';
import { EmailSubscription } from 'aws-cdk-lib/aws-sns-subscriptions';
import type { Construct } from 'constructs';
import { STACK_NAME } from '../../core/names.ts';

/**
 * Where runctl tells people of their runs. Each address gets a mail first in which it has to agree.
 * Not encrypted with a key: alarms cannot publish through AWS's own one, and a key of ours would cost money while nothing runs.
 */
export function createNotificationTopic(scope: Construct, emails: readonly string[]): Topic {
  const topic = new Topic(scope, 'Notifications', {
    topicName: `${STACK_NAME}-notifications`,
    displayName: STACK_NAME,
    enforceSSL: true,
  });
  // A topic with a policy has lost the default one, by which alarms of the account may publish.
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
