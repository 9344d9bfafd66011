import { SNSClient, SubscribeCommand, UnsubscribeCommand } from '@aws-sdk/client-sns';
import {
  CreateQueueCommand,
  DeleteQueueCommand,
  GetQueueAttributesCommand,
  ReceiveMessageCommand,
  SQSClient,
} from '@aws-sdk/client-sqs';
import { OUTPUTS } from '../../../core/names.ts';
import type { Cloud } from './cloud.ts';

/** A queue that is subscribed to the stack's notifications, in place of an email address. */
export class Mailbox {
  private readonly bodies = new Map<string, string>();

  private constructor(
    private readonly sns: SNSClient,
    private readonly sqs: SQSClient,
    private readonly url: string,
    private readonly subscription: string,
  ) {}

  static async subscribe(cloud: Cloud, name: string): Promise<Mailbox> {
    const [sns, sqs] = [cloud.client(SNSClient), cloud.client(SQSClient)];
    const { QueueUrl = '' } = await sqs.send(new CreateQueueCommand({ QueueName: name }));
    const { Attributes } = await sqs.send(new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ['QueueArn'] }));
    const to = { TopicArn: cloud.output(OUTPUTS.notifications), Protocol: 'sqs', Endpoint: Attributes?.QueueArn };
    const { SubscriptionArn = '' } = await sns.send(new SubscribeCommand(to));
    return new Mailbox(sns, sqs, QueueUrl, SubscriptionArn);
  }

  /** The bodies of all messages so far. */
  async messages(): Promise<string[]> {
    const command = new ReceiveMessageCommand({ QueueUrl: this.url, MaxNumberOfMessages: 10 });
    const { Messages } = await this.sqs.send(command);
    // A message that is not deleted is received again.
    for (const { MessageId = '', Body = '' } of Messages ?? []) this.bodies.set(MessageId, Body);
    return [...this.bodies.values()];
  }

  async remove(): Promise<void> {
    await this.sns.send(new UnsubscribeCommand({ SubscriptionArn: this.subscription }));
    await this.sqs.send(new DeleteQueueCommand({ QueueUrl: this.url }));
  }
}
