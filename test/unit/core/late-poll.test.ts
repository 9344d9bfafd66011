import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { pollJob } from '../../../core/job/poll-job.ts';
import { VISIT_MS } from '../../../core/job/ship-log.ts';
import { FakeLogStore } from '../../support/fakes/log-store.ts';
import { FakeCommands, fakePorts } from '../../support/fakes/ports.ts';
import { exit, jobStatus, jobStep, run, watchInput } from '../../support/fakes/samples.ts';

const LOG = Buffer.from('the last line\n');

/** One poll of a training that has ended, whose answer takes so long. */
async function look(answerMs: number, isOver: boolean) {
  const logs = new FakeLogStore();
  const asked: string[] = [];
  let now = 0;
  const log = { offset: 0, bytes: LOG.length, size: LOG.length, data: gzipSync(LOG).toString('base64'), put: null };
  const commands = new FakeCommands(jobStatus('train', LOG, { state: 'exited', exit: exit(), log }));
  const ask = commands.ask.bind(commands);
  commands.ask = (...words) => {
    now += answerMs;
    return ask(...words);
  };
  const hasEnded = (arn: string) => {
    asked.push(arn);
    return Promise.resolve(isOver);
  };
  const ports = { ...fakePorts(commands, logs), hasEnded, now: () => now };
  const step = await pollJob(ports, watchInput(jobStep('train')), 'train', () => {});
  return { step, asked, text: logs.text('demo-1/train') };
}

describe('a poll whose answer comes late', () => {
  it('sends nothing when its run has been stopped meanwhile: stop-run sends the rest of the log itself', async () => {
    const { step, asked, text } = await look(VISIT_MS, true);
    expect(text).toBe('');
    expect(step).toMatchObject({ ended: false, more: true, cursor: { offset: 0 } });
    expect(asked).toEqual([run.arn]);
  });

  it('sends its log when the run continues', async () => {
    const { step, text } = await look(VISIT_MS, false);
    expect(text).toBe(LOG.toString());
    expect(step).toMatchObject({ ended: true, cursor: { offset: LOG.length } });
  });

  it('does not ask when it was quick', async () => {
    const { asked, text } = await look(VISIT_MS - 1, true);
    expect(text).toBe(LOG.toString());
    expect(asked).toEqual([]);
  });
});
