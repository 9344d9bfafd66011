import { PublishCommand, SNSClient } from '@aws-sdk/client-sns';
import type { Notification } from '../../core/notify/notification.ts';
import { CLIENT_SETTINGS, translate } from './aws-errors.ts';
import { requireEnv } from './environment.ts';

/** Publishes to the topic that people subscribe to. */
export type Notify = (notification: Notification) => Promise<void>;

export function createNotify(): Notify {
  return notifyOver(new SNSClient(CLIENT_SETTINGS), requireEnv('topicArn'));
}

export function notifyOver(sns: Pick<SNSClient, 'send'>, TopicArn: string): Notify {
  return async ({ subject, body, attributes }) => {
    const MessageAttributes = Object.fromEntries(
      Object.entries(attributes).map(([name, value]) => [name, { DataType: 'String', StringValue: value }]),
    );
    try {
      await sns.send(new PublishCommand({ TopicArn, Subject: subject, Message: body, MessageAttributes }));
    } catch (error) {
      throw translate(error, `sns:Publish to ${TopicArn}`);
    }
  };
}
