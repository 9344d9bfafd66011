import type { LambdaClient } from '@aws-sdk/client-lambda';
import type { SNSClient } from '@aws-sdk/client-sns';
import { describe, expect, it } from 'vitest';
import { functionsOver } from '../../../aws/functions.ts';
import { publishOver } from '../../../aws/topic.ts';
import type { Metric } from '../../../core/notify/metrics.ts';
import type { Notification } from '../../../core/notify/notification.ts';
import { runStarted } from '../../../core/notify/progress-event.ts';
import { notifyOver } from '../../../lambdas/adapters/ports.ts';
import { createFinish } from '../../../lambdas/finish-run.ts';
import { createNotifyRun, type NotifyEvent } from '../../../lambdas/notify-run.ts';
import { FakeCommands, FakeRunFiles, fakeCleanUpPorts } from '../../support/fakes/ports.ts';
import { finishInput, jobInput, jobStep } from '../../support/fakes/samples.ts';
import { awsError, fakeClient } from '../../support/fakes/sdk-client.ts';

const news = runStarted(jobInput(), jobStep('train'));
const written = (key: string) => ({ detail: { object: { key } } }) as NotifyEvent;
const MANIFEST = 'runs/demo-1/manifest.json';

/** The bucket after a run that was rejected. */
async function bucket() {
  const files = new FakeRunFiles();
  const none = { run: null, spec: null, archive: null, instance: null, sync: null, install: null, train: null };
  const failure = { Error: 'InvalidSpec', Cause: 'why', state: 'Verify archive' };
  await createFinish(fakeCleanUpPorts(new FakeCommands(), { files }))(finishInput({ ...none, failure }));
  return files;
}

function announce(files: FakeRunFiles, trouble: Error[] = []) {
  const sent: Notification[] = [];
  const notify = (notification: Notification) => {
    const error = trouble.shift();
    return error ? Promise.reject(error) : Promise.resolve(void sent.push(notification));
  };
  const measured: string[] = [];
  const measure = (metrics: readonly Metric[]) =>
    Promise.resolve(void measured.push(...metrics.map(({ name }) => name)));
  return { notify: createNotifyRun({ files, publish: notify, measure }), sent, measured };
}

describe('notify-run', () => {
  it('notifies of an end once, however often the event comes', async () => {
    const { notify, sent } = announce(await bucket());
    await notify(written(MANIFEST));
    await notify(written(MANIFEST));
    expect(sent.map(({ attributes }) => attributes.event)).toEqual(['rejected']);
  });

  it('notifies of the start and of the end', async () => {
    const { notify, sent } = announce(await bucket());
    for (const event of [news, news, written(MANIFEST)]) await notify(event);
    expect(sent.map(({ attributes }) => attributes.event)).toEqual(['started', 'rejected']);
  });

  it('fails when SNS fails, and notifies when Lambda retries', async () => {
    const { notify, sent, measured } = announce(await bucket(), [new Error('no')]);
    await expect(notify(written(MANIFEST))).rejects.toThrow('no');
    await notify(written(MANIFEST));
    expect(sent).toHaveLength(1);
    expect(measured).toEqual(['EndedRuns', 'FailedRuns', 'RunSeconds']);
  });

  it.each(['runs/demo-1/inventory.json', 'runs/demo-1/x/manifest.json', 'uploads/manifest.json'])(
    'does not notify of %s',
    async (key) => {
      const { notify, sent } = announce(await bucket());
      await expect(notify(written(key))).rejects.toThrow(`not a manifest: "${key}"`);
      expect(sent).toEqual([]);
    },
  );
});

describe('the topic', () => {
  it('gets subject, body, and what subscriptions filter by', async () => {
    const { client, sent } = fakeClient<SNSClient>({ PublishCommand: () => ({}) });
    await publishOver(
      client,
      'arn:topic',
    )({ subject: 's', body: 'b', attributes: { event: 'failed', state: 'failed', project: 'p' } });
    expect(sent[0]?.input).toEqual({
      TopicArn: 'arn:topic',
      Subject: 's',
      Message: 'b',
      MessageAttributes: {
        event: { DataType: 'String', StringValue: 'failed' },
        state: { DataType: 'String', StringValue: 'failed' },
        project: { DataType: 'String', StringValue: 'p' },
      },
    });
  });

  it('is named when it cannot be reached', async () => {
    const { client } = fakeClient<SNSClient>({ PublishCommand: () => awsError('AuthorizationErrorException') });
    await expect(
      publishOver(client, 'arn:topic')({ subject: 's', body: 'b', attributes: { event: 'failed', state: 'failed' } }),
    ).rejects.toThrow('sns:Publish to arn:topic');
  });
});

describe('a step that notifies', () => {
  it('hands its news over and does not wait', async () => {
    const { client, sent } = fakeClient<LambdaClient>({ InvokeCommand: () => ({}) });
    await notifyOver(functionsOver(client), 'runctl-notify-run')(news);
    expect(sent[0]?.input).toMatchObject({ FunctionName: 'runctl-notify-run', InvocationType: 'Event' });
    expect(JSON.parse(String(sent[0]?.input.Payload))).toEqual(news);
  });

  it('continues when the notification fails', async () => {
    const { client } = fakeClient<LambdaClient>({ InvokeCommand: () => awsError('AccessDeniedException') });
    await expect(notifyOver(functionsOver(client), 'runctl-notify-run')(news)).resolves.toBeUndefined();
  });
});
