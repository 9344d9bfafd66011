import { describe, expect, it } from 'vitest';
import type { RunEvent } from '../../../cli/runs/follow.ts';
import { endLines, eventPrinter } from '../../../cli/runs/print-events.ts';
import { createStyle } from '../../../cli/terminal/style.ts';
import type { Outcome } from '../../../core/errors.ts';
import type { JobSnapshot } from '../../../core/workflow/data.ts';
import { readEnding } from '../../../core/workflow/run-ending.ts';
import { endedStep, jobStep } from '../../support/fakes/samples.ts';

const style = createStyle({ isTerminal: false, colors: false });

/** The lines that `run` prints for these events. */
function printed(events: readonly RunEvent[], options = { verbose: false }): string[] {
  const lines: string[] = [];
  const print = eventPrinter((line) => lines.push(line.trim().replace(/ +/g, ' ')), style, options);
  for (const event of events) print(event);
  return lines;
}

let seconds = 0;
const entered = (state: string): RunEvent => {
  seconds += 1;
  return { kind: 'state', sinceStart: seconds, event: { kind: 'entered', state, at: 0, output: null } };
};
const exited = (state: string, step: JobSnapshot | object): RunEvent => ({
  kind: 'state',
  sinceStart: seconds,
  event: { kind: 'exited', state, at: 0, output: JSON.stringify(step) },
});
const line = (job: 'sync' | 'train', text: string): RunEvent => ({ kind: 'line', line: { job, text, at: 0 } });

const busy = (place: number, run: string) =>
  jobStep('sync', {
    state: 'busy',
    holder: { run, arn: 'a', since: 0 },
    queue: { place, length: 2, since: 0, ahead: [] },
  });
const synced = { files: 12, added: 1, changed: 2, removed: 0, kept: ['train.py.kept'], cached: false };

describe('what `run` prints', () => {
  it('has one line for a wait in the queue, until the place or the holder changes', () => {
    const polls = (step: JobSnapshot) => [
      entered('Sync code'),
      exited('Sync code', step),
      entered('Wait for instance'),
    ];
    const lines = printed([
      entered('Verify archive'),
      ...Array.from({ length: 20 }, () => polls(busy(2, 'digits-1'))).flat(),
      ...Array.from({ length: 20 }, () => polls(busy(1, 'digits-2'))).flat(),
      entered('Sync code'),
      exited('Sync code', endedStep('sync', 0, { result: synced })),
      entered('Start training'),
    ]);
    expect(lines.map((text) => text.replace(/^\d+\.\d s /, '').replace(/since .*/, 'since …'))).toEqual([
      'verifying Verify archive',
      'syncing Sync code',
      'queued position 2 of 2; run digits-1 has had the instance since …',
      'queued position 1 of 2; run digits-2 has had the instance since …',
      'sync | 12 files: 1 added, 2 changed, 0 removed; kept on the instance under another name: train.py.kept',
      'launching Start training',
    ]);
  });

  it('has one line for an instance that starts, until it waits for something else', () => {
    const visit = (message: string) => [
      entered('Find instance'),
      exited('Find instance', { starting: { message } }),
      entered('Instance ready?'),
      entered('Wait for instance to start'),
    ];
    const lines = printed([
      ...visit('no capacity'),
      ...visit('no capacity'),
      ...visit('starts'),
      ...visit('starts'),
      entered('Find instance'),
      exited('Find instance', { id: 'i-1' }),
      entered('Instance ready?'),
      entered('Sync code'),
    ]);
    expect(lines.map((text) => text.replace(/^\d+\.\d s /, ''))).toEqual([
      'finding-instance Find instance',
      'starting-instance no capacity',
      'starting-instance starts',
      'syncing Sync code',
    ]);
  });

  it('has one line for a sync, and its whole log with --verbose, or when it failed or never ended', () => {
    const log = [line('sync', 'Fetching'), line('sync', 'Applied')];
    const good = exited('Sync code', endedStep('sync', 0, { result: synced }));
    const withLog = ['sync | Fetching', 'sync | Applied'];
    const logOf = (lines: readonly string[]) => lines.filter((text) => text.startsWith('sync |'));
    const events = [entered('Sync code'), ...log];
    expect(logOf(printed([...events, good, line('sync', 'late')]))).toHaveLength(1);
    expect(logOf(printed([...events, good], { verbose: true }))).toEqual(withLog);
    expect(logOf(printed([...events, exited('Sync code', endedStep('sync', 1))]))).toEqual(withLog);
    const lost = [exited('Sync code', { Error: 'AgentSilent' }), entered('Finish run')];
    expect(logOf(printed([...events, ...lost]))).toEqual(withLog);
    expect(printed([line('train', 'epoch 1')])).toEqual(['train | epoch 1']);
  });

  const end = (outcome: Outcome) => {
    const cause = JSON.stringify({ outcome, message: 'What happened.', next: 'What to do.' });
    const about = { arn: 'a', name: 'r', status: 'FAILED', startedAt: 0, endedAt: 2_000, input: null } as const;
    const execution = { ...about, output: null, error: null, cause };
    return endLines(execution, readEnding(execution), { runId: 'r', others: null }, style).join('\n');
  };

  it('says of a skipped run its own word, and offers no results', () => {
    expect(end('skipped')).toContain('Skipped after 2.0 s');
    expect(end('skipped')).not.toContain('Failed');
    expect(end('skipped')).not.toContain('runctl pull');
    expect(end('killed')).toContain('Killed after 2.0 s');
    expect(end('killed')).toContain('runctl pull r');
  });
});
