import { describe, expect, it } from 'vitest';
import type { Execution } from '../../../aws/executions.ts';
import { setUpError } from '../../../cli/errors.ts';
import { followLog } from '../../../cli/logs/follow-log.ts';
import type { LogMessage, LogPage } from '../../../cli/logs/job-log.ts';

const run: Execution = {
  arn: 'arn:run',
  name: 'run',
  status: 'RUNNING',
  startedAt: 0,
  endedAt: null,
  input: null,
  output: null,
  error: null,
  cause: null,
};
const never = new AbortController().signal;
const unreachable = () =>
  setUpError('AWS cannot be reached', 'Check the network.', {
    cause: Object.assign(new Error('connect'), { code: 'ECONNREFUSED' }),
  });

/** A log whose calls answer these one after another, and then nothing new; an execution that ends at the second look. */
function rig(answers: (string | Error)[]) {
  const written: string[] = [];
  const told: string[] = [];
  const following = {
    log: {
      next: async (): Promise<LogPage> => {
        const answer = answers.shift() ?? '';
        if (answer instanceof Error) throw answer;
        return { messages: answer === '' ? [] : [{ text: answer, at: 1, takenAt: null }], atEnd: true };
      },
    },
    sink: {
      write: async (messages: readonly LogMessage[]) => void written.push(...messages.map(({ text }) => text)),
      end: async () => void written.push('<end>'),
    },
    executions: { describe: async () => ({ ...run, status: answers.length < 3 ? 'SUCCEEDED' : 'RUNNING' }) as const },
    notes: { failed: () => void told.push('gone'), recovered: () => void told.push('back') },
    signal: never,
  };
  return { following, written, told };
}

describe('following a log', () => {
  it('waits for a network that is gone, and shows what comes late after the end', async () => {
    const { following, written, told } = rig(['a\n', unreachable(), 'b\n', '', 'late\n']);
    expect(await followLog(following, run)).toMatchObject({ status: 'SUCCEEDED' });
    expect(written).toEqual(['a\n', 'b\n', 'late\n', '<end>']);
    expect(told).toEqual(['gone', 'back']);
  });

  it('gives a sign of life until the log has something', async () => {
    const { following, written } = rig(['', '', 'a\n', 'b\n', '', '', '']);
    const signs: number[] = [];
    await followLog({ ...following, onSilence: async () => void signs.push(written.length) }, run);
    expect(signs).toEqual([0, 0]);
  });

  it('ends at once when waiting does not mend it', async () => {
    const denied = setUpError('You may not', 'Ask.', {
      cause: Object.assign(new Error('no'), { name: 'AccessDenied' }),
    });
    const { following } = rig(['a\n', denied]);
    await expect(followLog(following, run)).rejects.toBe(denied);
  });
});
