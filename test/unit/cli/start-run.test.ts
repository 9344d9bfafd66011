import type { SFNClient } from '@aws-sdk/client-sfn';
import { describe, expect, it } from 'vitest';
import { toReadable } from '../../../cli/account/aws-errors.ts';
import { startRun } from '../../../cli/runs/start.ts';
import { awsError, fakeClient, type Reply } from '../../support/fakes/sdk-client.ts';

const MACHINE = 'arn:aws:states:eu-west-1:111122223333:stateMachine:runctl-run';
const SILENT = { failed: () => undefined, recovered: () => undefined };

function start(signal: AbortSignal, ...replies: Reply[]) {
  const { client, sent } = fakeClient<SFNClient>({
    StartExecutionCommand: (_, call) => replies[call] ?? awsError('no more of them'),
  });
  return { run: startRun(client, MACHINE, { project: 'nets' }, SILENT, signal), sent };
}

describe('starting a run', () => {
  const never = new AbortController().signal;

  it('is repeated under one name and one input until AWS answers', async () => {
    const { run, sent } = start(never, awsError('TimeoutError'), { executionArn: 'x' });
    const { runId, executionArn } = await run;
    expect(runId).toMatch(/^nets-\d{8}-\d{6}-[0-9a-f]{4}$/);
    expect(executionArn).toBe(`arn:aws:states:eu-west-1:111122223333:execution:runctl-run:${runId}`);
    expect(sent.map(({ input }) => input)).toEqual(
      Array.from({ length: 2 }, () => ({ stateMachineArn: MACHINE, name: runId, input: '{"project":"nets"}' })),
    );
  });

  it('has happened when the name is taken: a call without an answer had reached it', async () => {
    const { run, sent } = start(never, awsError('TimeoutError'), awsError('ExecutionAlreadyExists'));
    expect((await run).runId).toBe(sent[0]?.input.name);
  });

  it('does not begin after Ctrl-C', async () => {
    const { run, sent } = start(AbortSignal.abort());
    await expect(run).rejects.toThrow(/abort/i);
    expect(sent).toEqual([]);
  });

  it('reports when it is unknown whether the run was started', async () => {
    const controller = new AbortController();
    const { run } = start(controller.signal, awsError('TimeoutError'));
    const ended = expect(run).rejects.toMatchObject({ next: expect.stringMatching(/runctl status nets-/) });
    controller.abort();
    await ended;
  });

  it('that is forbidden is not repeated', async () => {
    const { run, sent } = start(never, awsError('AccessDeniedException'));
    expect(await run.catch(toReadable)).toMatchObject({
      message: expect.stringContaining('You are not allowed to call states:StartExecution'),
    });
    expect(sent).toHaveLength(1);
  });
});
