import { PublishCommand, SNSClient } from '@aws-sdk/client-sns';
import type { Notification } from '../core/notify/notification.ts';
import { withAwsErrors } from './errors.ts';
import { CLIENT_SETTINGS } from './settings.ts';

/** Publishes to the topic that people subscribe to. */
export type Publish = (notification: Notification) => Promise<void>;

export function createPublish(topicArn: string): Publish {
  return publishOver(new SNSClient(CLIENT_SETTINGS), topicArn);
}

export function publishOver(sns: Pick<SNSClient, 'send'>, TopicArn: string): Publish {
  return async ({ subject, body, attributes }) => {
    const MessageAttributes = Object.fromEntries(
      Object.entries(attributes).map(([name, value]) => [name, { DataType: 'String', StringValue: value }]),
    );
    const command = new PublishCommand({ TopicArn, Subject: subject, Message: body, MessageAttributes });
    await withAwsErrors(`sns:Publish to ${TopicArn}`, sns.send(command));
  };
}
