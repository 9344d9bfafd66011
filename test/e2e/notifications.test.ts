import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SNSClient, SubscribeCommand, UnsubscribeCommand } from '@aws-sdk/client-sns';
import {
  CreateQueueCommand,
  DeleteQueueCommand,
  GetQueueAttributesCommand,
  ReceiveMessageCommand,
  SQSClient,
} from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MANIFEST, OUTPUTS, runFileKey } from '../../core/names.ts';
import { Cloud } from '../support/cloud/cloud.ts';
import { waitFor } from '../support/instance/processes.ts';
import { tarGz } from './archives.ts';

interface Mail {
  readonly Subject: string;
  readonly Message: string;
  readonly MessageAttributes: Record<string, { Value: string }>;
}

let cloud: Cloud;
let sns: SNSClient;
let sqs: SQSClient;
let mailbox = '';
let subscription: string | undefined;
const mails = new Map<string, Mail>();

/** A queue subscribes as a person's address does. */
beforeAll(async () => {
  cloud = await Cloud.connect();
  sns = cloud.client(SNSClient);
  sqs = cloud.client(SQSClient);
  mailbox = (await sqs.send(new CreateQueueCommand({ QueueName: 'mailbox' }))).QueueUrl ?? '';
  const about = { QueueUrl: mailbox, AttributeNames: ['QueueArn' as const] };
  const { Attributes } = await sqs.send(new GetQueueAttributesCommand(about));
  const subscribe = { TopicArn: cloud.output(OUTPUTS.notifications), Protocol: 'sqs', Endpoint: Attributes?.QueueArn };
  subscription = (await sns.send(new SubscribeCommand(subscribe))).SubscriptionArn;
});
afterAll(async () => {
  await sns.send(new UnsubscribeCommand({ SubscriptionArn: subscription }));
  await sqs.send(new DeleteQueueCommand({ QueueUrl: mailbox }));
});

/** The mails of a run so far. */
async function mailsOf(id: string): Promise<Mail[]> {
  const { Messages } = await sqs.send(new ReceiveMessageCommand({ QueueUrl: mailbox, MaxNumberOfMessages: 10 }));
  // A message that is not deleted is received again.
  for (const { MessageId = '', Body } of Messages ?? []) mails.set(MessageId, JSON.parse(Body ?? '{}') as Mail);
  return [...mails.values()].filter(({ Message }) => Message.includes(`Run ${id} `));
}
const events = (of: Mail[]) => of.map(({ MessageAttributes }) => MessageAttributes.event?.Value);
const nameOf = (arn: string) => arn.split(':').at(-1) ?? '';

async function toldOf(arn: string, count: number): Promise<Mail[]> {
  return waitFor(async () => {
    const told = await mailsOf(nameOf(arn));
    return told.length >= count ? told : null;
  }, 60);
}

describe('people', () => {
  it('are told of start and end of a run, once each, with what to type next', async () => {
    const script = `import os, sys, time
print("about to fail", flush=True)
while not os.path.exists(os.path.expanduser("~/may-fail")): time.sleep(0.1)
sys.exit(3)
`;
    const archive = await cloud.put('archives/told.tar.gz', await tarGz({ 'train.py': script }));
    const spec = { instance: cloud.instanceId, archive, project: 'told', env: { HF_TOKEN: 'hf_0123' } };
    const arn = await cloud.start(spec);
    await toldOf(arn, 1);
    writeFileSync(join(cloud.home, 'may-fail'), '');
    const run = await cloud.finished(arn);
    await toldOf(arn, 2);
    // The manifest, written again, is the same event again.
    const manifest = await cloud.object(runFileKey(run.id, MANIFEST));
    await cloud.put(runFileKey(run.id, MANIFEST), manifest ?? new Uint8Array());
    const rejected = await cloud.finished(await cloud.start({ archive, scirpt: 'x' }));
    const refusal = await toldOf(rejected.arn, 1);

    const told = await mailsOf(run.id);
    expect(events(told).sort()).toEqual(['failed', 'started']);
    const [mail] = told.filter(({ Subject }) => Subject.includes('failed'));
    expect(mail?.Subject).toMatch(/^runctl: told failed after [\d.]+ s: /);
    expect(mail?.Message).toContain('  about to fail\n');
    expect(mail?.Message).toContain(`runctl logs ${run.id}`);
    for (const { Message } of told) expect(Message).not.toMatch(/hf_0123|X-Amz|sys\.exit/);
    expect(events(refusal)).toEqual(['rejected']);
    expect(refusal[0]?.Message).toContain('did you mean script?');
  });

  it('are told of a run that was stopped', async () => {
    const archive = await cloud.put(
      'archives/rests.tar.gz',
      await tarGz({ 'train.py': 'import time; time.sleep(600)\n' }),
    );
    const arn = await cloud.start({ instance: cloud.instanceId, archive, project: 'rests', stopGrace: '5s' });
    await cloud.entered(arn, 'Watch training');
    await cloud.stop(arn);
    expect(events(await toldOf(arn, 2))).toEqual(['started', 'stopped']);
  });
});
