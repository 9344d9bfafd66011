import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Commands } from '../../../local/agent/commands.ts';
import { Documents } from '../../../local/agent/documents.ts';
import type { Executor } from '../../../local/agent/executor.ts';
import { Faults } from '../../../local/agent/faults.ts';
import { anInstanceId } from '../../support/agent/agent-process.ts';

// In this process, on fake time: moments that a request over HTTP could miss on a busy machine.
describe('the moments of a command', () => {
  const instanceId = anInstanceId();
  let folder: string;
  let faults: Faults;
  let commands: Commands;
  let execute: Executor;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'runctl-commands-'));
    faults = new Faults();
    vi.useFakeTimers();
    execute = async () => ({ status: 'Success', steps: [] });
    commands = new Commands({
      region: 'us-east-1',
      documents: new Documents(join(folder, 'documents.json')),
      faults,
      instances: async () => [{ id: instanceId, state: 'running', windows: false, privateIp: '', tags: {} }],
      variablesOf: () => ({}),
      execute: (...given) => execute(...given),
      onError: (error) => {
        throw error;
      },
    });
  });
  afterEach(() => {
    vi.useRealTimers();
    vi.restoreAllMocks();
    rmSync(folder, { recursive: true });
  });

  async function send(): Promise<{ CommandId: string; InstanceId: string }> {
    const input = {
      DocumentName: 'AWS-RunShellScript',
      InstanceIds: [instanceId],
      Parameters: { commands: ['true'] },
      TimeoutSeconds: 30,
    };
    const { answer } = (await commands.send(input)) as { answer: { Command: { CommandId: string } } };
    return { CommandId: answer.Command.CommandId, InstanceId: instanceId };
  }

  it.each([
    [0, 50],
    [0.999, 100],
  ])('is unknown for a while (luck %d: %i ms)', async (luck, milliseconds) => {
    vi.spyOn(Math, 'random').mockReturnValue(luck);
    const asked = await send();
    vi.advanceTimersByTime(milliseconds - 1);
    expect(() => commands.getInvocation(asked)).toThrow(expect.objectContaining({ name: 'InvocationDoesNotExist' }));
    expect(commands.listInvocations(asked)).toEqual({ CommandInvocations: [] });
    vi.advanceTimersByTime(1);
    expect(commands.getInvocation(asked).Status).toBe('Success');
  });

  it('that times out while it waits for a worker never runs', async () => {
    let release = () => {};
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    let runs = 0;
    execute = async () => {
      runs += 1;
      await released;
      return { status: 'Success', steps: [] };
    };
    for (let count = 0; count < 5; count += 1) await send();
    const sixth = await send();
    vi.advanceTimersByTime(30_000);
    release();
    await vi.waitFor(() =>
      expect(commands.list({}).Commands.filter((one) => one.Status === 'Success')).toHaveLength(5),
    );
    expect([runs, commands.getInvocation(sixth).Status]).toEqual([5, 'TimedOut']);
  });

  it('times out undelivered after TimeoutSeconds', async () => {
    faults.replace({ faults: [{ kind: 'never-deliver' }] });
    const asked = await send();
    vi.advanceTimersByTime(29_900);
    expect(commands.getInvocation(asked).Status).toBe('Pending');
    vi.advanceTimersByTime(200);
    expect(commands.getInvocation(asked)).toMatchObject({
      Status: 'TimedOut',
      StatusDetails: 'Delivery Timed Out',
      ResponseCode: -1,
    });
  });

  it('is forgotten after a thousand others', async () => {
    const first = await send();
    for (let count = 0; count < 999; count += 1) await send();
    vi.advanceTimersByTime(200);
    expect(commands.getInvocation(first).Status).toBe('Success');
    await send();
    expect(() => commands.getInvocation(first)).toThrow(expect.objectContaining({ name: 'InvocationDoesNotExist' }));
  });
});
