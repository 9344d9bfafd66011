import { describe, expect, it } from 'vitest';
import { endNotification, progressNotification } from '../../../core/notify/notification.ts';
import { runStarted, runWaiting } from '../../../core/notify/progress-event.ts';
import { decideOutcome } from '../../../core/outcome/decide-outcome.ts';
import { buildManifest } from '../../../core/outcome/manifest.ts';
import type { FinishInput } from '../../../core/workflow/data.ts';
import { endedStep, finishInput, instance, jobInput, jobStep, price, spec } from '../../support/fakes/samples.ts';

const SECRETS = { ...spec, env: { HF_TOKEN: 'hf_1', PLAIN: 'plain-value' }, args: ['--password=p1', 'plain-arg'] };

function ended(changes: Partial<FinishInput> = {}) {
  const facts = finishInput({ spec: SECRETS, ...changes });
  const { execution, input } = facts;
  const now = Date.parse(execution.startedAt) + 245_000;
  const outcome = decideOutcome(facts);
  return endNotification(
    buildManifest({ execution, input, facts, outcome, progress: null, inventory: null, states: [], now }),
  );
}

describe('the notification of a run that has ended', () => {
  it('says how, how long, the last lines, and what to type next', () => {
    const train = endedStep('train', 3, { confirmed: true, tail: ['epoch 1', 'ValueError: no'] });
    const { subject, body, attributes } = ended({ train });
    expect(subject).toBe('runctl: demo failed after 4 min 05 s: demo-1');
    expect(body).toBe(`Run demo-1 has ended: failed.
Training ended with exit code 3.

project    demo
instance   i-0123456789abcdef0 (g5.xlarge)
exit code  3
ended      2026-11-24T10:04:05.000Z, after 4 min 05 s

Next step: Read the last lines, correct the script, and start the run again.

Last lines of its log:
  epoch 1
  ValueError: no

runctl logs demo-1  # show its log
runctl pull demo-1  # get its outputs

Console:  https://eu-central-1.console.aws.amazon.com/states/home?region=eu-central-1#/v2/executions/details/arn:aws:states:eu-central-1:111122223333:execution:runctl-run:demo-1
Logs:     /runctl/runs, streams demo-1/sync, demo-1/install, demo-1/train
Manifest: runs/demo-1/manifest.json in the bucket
`);
    expect(attributes).toEqual({ event: 'failed', state: 'failed', project: 'demo' });
  });

  it('says what the instance cost, where that is known', () => {
    const facts = finishInput({ instance: { ...instance, price }, spec: { ...SECRETS, maxCost: 5 } });
    const { execution, input } = facts;
    const now = Date.parse(execution.startedAt) + 3_600_000;
    const parts = { execution, input, facts, outcome: decideOutcome(facts), progress: null, inventory: null, now };
    const held = { total: 1_800, last: 1_800 };
    const manifest = (changes: object) => endNotification(buildManifest({ ...parts, states: [], ...changes })).body;
    expect(manifest({ held })).toContain(
      'cost       about $0.63 of maxCost ($5): 30 min 00 s of the instance at $1.258 an hour (list price of 2026-11-24 10:00 UTC)',
    );
    expect(manifest({ held: null })).not.toContain('maxCost');
    const busy = { ...facts, sync: jobStep('sync', { state: 'busy' }) };
    expect(manifest({ held, facts: busy })).not.toContain('maxCost');
  });

  it('offers the outputs first when the run succeeded, and has no next step', () => {
    const { subject, body } = ended();
    expect(subject).toContain('demo succeeded');
    expect(body).not.toContain('Next step');
    expect(body.indexOf('runctl pull')).toBeLessThan(body.indexOf('runctl logs'));
  });

  it('says of a skipped run what to type, and offers no outputs that it cannot have', () => {
    const holder = { run: 'other-1', arn: 'a', since: 1 };
    const waiting = { since: 1, over: 'skip', clearing: null } as const;
    const { subject, body } = ended({
      sync: jobStep('sync', { state: 'busy', holder, waiting }),
      install: null,
      train: null,
    });
    expect(subject).toContain('demo skipped');
    expect(body).toContain('runctl status demo-1');
    expect(body).not.toContain('runctl pull');
  });

  it('works for a run of which nothing is known but its refusal', () => {
    const none = { run: null, archive: null, instance: null, sync: null, install: null, train: null };
    const failure = { Error: 'InvalidSpec', Cause: 'unknown key "scirpt"', state: 'Verify archive' };
    const { subject, body, attributes } = ended({ ...none, spec: null, input: { scirpt: 1 }, failure });
    expect(subject).toBe('runctl: rejected after 4 min 05 s: demo-1');
    expect(body).toContain('unknown key "scirpt"');
    expect(attributes).toEqual({ event: 'rejected', state: 'rejected' });
  });

  it('holds no value of env or args, and no URL that opens something', () => {
    const tail = ['saved to https://b.s3.amazonaws.com/k?X-Amz-Credential=AKIA%2F1&X-Amz-Signature=abc ok'];
    const { body } = ended({ train: endedStep('train', 1, { confirmed: true, tail }) });
    expect(body).toContain('https://b.s3.amazonaws.com/k?*** ok');
    for (const hidden of ['hf_1', 'plain-value', 'p1', 'plain-arg', 'X-Amz']) expect(body).not.toContain(hidden);
  });

  it.each([['x'.repeat(80)], ['naïve-訓練'], ['two\nlines']])(
    'has a subject that SNS takes, for a run called %j',
    (name) => {
      const { subject } = ended({ execution: { ...finishInput().execution, name } });
      expect(subject).toMatch(/^[A-Za-z][ -~]{0,99}$/);
    },
  );
});

describe('news of a run under way', () => {
  it('says that it trains, where, and how to follow it', () => {
    const step = jobStep('train', { pid: 4711 });
    const { subject, body, attributes } = progressNotification(runStarted(jobInput({ spec: SECRETS }), step));
    expect(subject).toBe('runctl: demo is training: demo-1');
    expect(body).toContain('PID       4711');
    expect(body).toContain('runctl logs demo-1 -f');
    expect(body).not.toContain('plain-');
    expect(attributes).toEqual({ event: 'started', state: 'training', project: 'demo' });
  });

  it('says that it waits, for whom, and at which place', () => {
    const queue = { place: 3, length: 4, since: 1, ahead: [] };
    const step = jobStep('sync', { state: 'busy', holder: { run: "o'brien", arn: 'a', since: 1 }, queue });
    const { subject, body, attributes } = progressNotification(runWaiting(jobInput(), step, 3_720));
    expect(subject).toBe('runctl: demo has been queued for 1 h 02 min: demo-1');
    expect(attributes).toEqual({ event: 'waiting', state: 'queued', project: 'demo' });
    expect(body).toMatch(/held by +o'brien\nplace in the queue +3\n/);
    expect(body).toContain(`runctl status "o'brien"`);
  });
});
