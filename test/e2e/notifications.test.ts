import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MANIFEST, runFileKey } from '../../core/names.ts';
import { Cloud } from '../support/cloud/cloud.ts';
import { Mailbox } from '../support/cloud/mailbox.ts';
import { waitFor } from '../support/instance/processes.ts';
import { tarGz } from './archives.ts';

interface Mail {
  readonly Subject: string;
  readonly Message: string;
  readonly MessageAttributes: Record<string, { Value: string }>;
}

let cloud: Cloud;
let mailbox: Mailbox;
beforeAll(async () => {
  cloud = await Cloud.connect();
  mailbox = await Mailbox.subscribe(cloud, 'mailbox');
});
afterAll(() => mailbox.remove());

/** The mails of a run so far. */
async function mailsOf(id: string): Promise<Mail[]> {
  const mails = (await mailbox.messages()).map((body) => JSON.parse(body) as Mail);
  return mails.filter(({ Message }) => Message.includes(`Run ${id} `));
}
const events = (of: Mail[]) => of.map(({ MessageAttributes }) => MessageAttributes.event?.Value);
const nameOf = (arn: string) => arn.split(':').at(-1) ?? '';

async function toldOf(arn: string, count: number): Promise<Mail[]> {
  return waitFor(async () => {
    const notified = await mailsOf(nameOf(arn));
    return notified.length >= count ? notified : null;
  }, 60);
}

describe('people', () => {
  it('are notified of start and end of a run, once each, with what to type next', async () => {
    const script = `import os, sys, time
print("about to fail", flush=True)
while not os.path.exists(os.path.expanduser("~/may-fail")): time.sleep(0.1)
sys.exit(3)
`;
    const archive = await cloud.put('archives/notified.tar.gz', await tarGz({ 'train.py': script }));
    const spec = { instance: cloud.instanceId, archive, project: 'notified', env: { HF_TOKEN: 'hf_0123' } };
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

    const notified = await mailsOf(run.id);
    expect(events(notified).sort()).toEqual(['failed', 'started']);
    const [mail] = notified.filter(({ Subject }) => Subject.includes('failed'));
    expect(mail?.Subject).toMatch(/^runctl: notified failed after [\d.]+ s: /);
    expect(mail?.Message).toContain('  about to fail\n');
    expect(mail?.Message).toContain(`runctl logs ${run.id}`);
    for (const { Message } of notified) expect(Message).not.toMatch(/hf_0123|X-Amz|sys\.exit/);
    expect(events(refusal)).toEqual(['rejected']);
    expect(refusal[0]?.Message).toContain('did you mean script?');
  });

  it('are notified of a run that was stopped', async () => {
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
