import type { SFNClient } from '@aws-sdk/client-sfn';
import { describe, expect, it } from 'vitest';
import { executionsOver } from '../../../aws/executions.ts';
import type { Context } from '../../../cli/context.ts';
import { type Run, Runs } from '../../../cli/runs/find.ts';
import { stopRuns } from '../../../cli/runs/stop.ts';
import type { JobSnapshot } from '../../../core/workflow/data.ts';
import * as samples from '../../support/fakes/samples.ts';
import { fakeClient } from '../../support/fakes/sdk-client.ts';
import { outputOf } from '../../support/outputs.ts';
import { captured } from '../../support/terminal.ts';

const never = new AbortController().signal;
const entered = (name: string) => ({ type: 'TaskStateEntered', stateEnteredEventDetails: { name } });
const exited = (name: string, output: object) => ({
  type: 'TaskStateExited',
  stateExitedEventDetails: { name, output: JSON.stringify(output) },
});
const BEGIN = [exited('Verify archive', samples.verified), exited('Find instance', samples.instance)];
const QUEUED = [
  ...BEGIN,
  exited('Sync code', samples.jobStep('sync', { state: 'busy' } satisfies Partial<JobSnapshot>)),
  entered('Wait for instance'),
];
const TRAINING = [...BEGIN, exited('Sync code', samples.endedStep('sync', 0)), entered('Watch training')];

/** Stops running executions; `files`: what the bucket has of each at each poll. */
async function stop(events: readonly object[], files: readonly (readonly string[])[], ids = ['a'], wait = true) {
  const calls: string[] = [];
  const sfn = fakeClient<SFNClient>({
    DescribeExecutionCommand: ({ executionArn }) => ({
      name: String(executionArn),
      status: 'RUNNING',
      startDate: new Date(0),
      input: '{"project": "digits"}',
    }),
    GetExecutionHistoryCommand: ({ reverseOrder }) => ({ events: reverseOrder ? [...events].reverse() : events }),
    StopExecutionCommand: ({ executionArn }) => {
      calls.push(`stop ${executionArn}`);
      return {};
    },
  });
  let polls = 0;
  const store = {
    bucket: 'b',
    files: async (id: string) => {
      calls.push(`files ${id}`);
      return (files[Math.min(polls++, files.length - 1)] ?? []).map((name) => ({ name, bytes: 1 }));
    },
    manifest: async () => null,
    glanceAtManifest: async () => ({ exists: false, manifest: null }),
  };
  const executions = executionsOver(sfn.client);
  const runs = new Runs({ executions, store: store as never, machine: samples.MACHINE_ARN });
  const { terminal, written } = captured();
  const chosen: Run[] = [];
  for (const id of ids) {
    const execution = await executions.describe(id);
    if (execution) chosen.push({ id, arn: id, execution, manifest: null });
  }
  const code = await stopRuns({ terminal, signal: never } as Context, runs, chosen, { wait, json: true });
  return { code, calls, ends: outputOf('stop', written().out) };
}

describe('stop', () => {
  it('returns when the processes have ended, before outputs are saved, and says so', async () => {
    const { code, ends } = await stop(TRAINING, [[], ['stopping.json'], ['stopping.json', 'stopped.json']]);
    expect(code).toBe(0);
    expect(ends).toMatchObject([{ id: 'a', state: 'stopping', outcome: null, isKept: false }]);
    expect(ends[0]?.message).toBe(
      'The training has ended. Outputs and logs are being saved; runctl pull waits for them.',
    );
  });

  it('says of a run that never trained that it has left the queue', async () => {
    const { ends } = await stop(QUEUED, [['stopped.json']]);
    expect(ends[0]?.message).toContain('It waited for its instance, and has left the queue.');
    expect(ends[0]?.message).not.toMatch(/training|TERM/);
    const early = await stop(BEGIN.slice(0, 1).concat(entered('Find instance') as never), [['stopped.json']]);
    expect(early.ends[0]?.message).toContain('It was finding-instance, and has not trained.');
  });

  it('asks all runs first, so that their grace periods pass at the same time', async () => {
    const { calls, ends } = await stop(TRAINING, [['stopped.json']], ['a', 'b']);
    expect(calls).toEqual(['stop a', 'stop b', 'files a', 'files b']);
    expect(ends.map(({ id }) => id)).toEqual(['a', 'b']);
  });

  it('waits for nothing with --no-wait', async () => {
    const { calls, ends } = await stop(TRAINING, [[]], ['a'], false);
    expect(calls).toEqual(['stop a']);
    expect(ends).toMatchObject([{ state: 'stopping', message: expect.stringContaining('runctl status a') }]);
  });
});
