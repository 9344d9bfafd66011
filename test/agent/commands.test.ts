import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Commands } from '../../local/agent/commands.ts';
import { Documents } from '../../local/agent/documents.ts';
import { Faults } from '../../local/agent/faults.ts';
import { anInstanceId } from './agent-process.ts';

// In this process, on fake time: moments that a request over HTTP could miss on a busy machine.
describe('the moments of a command', () => {
  const instanceId = anInstanceId();
  let folder: string;
  let faults: Faults;
  let commands: Commands;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'runctl-commands-'));
    faults = new Faults();
    vi.useFakeTimers();
    commands = new Commands({
      region: 'us-east-1',
      documents: new Documents(join(folder, 'documents.json')),
      faults,
      instances: async () => [{ id: instanceId, state: 'running', windows: false, privateIp: '', tags: {} }],
      execute: async () => ({ status: 'Success', steps: [] }),
      onError: (error) => {
        throw error;
      },
    });
  });
  afterEach(() => {
    vi.useRealTimers();
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

  it('is unknown for 50 ms at least, and 100 ms at most', async () => {
    const asked = await send();
    vi.advanceTimersByTime(49);
    expect(() => commands.getInvocation(asked)).toThrow(expect.objectContaining({ name: 'InvocationDoesNotExist' }));
    expect(commands.listInvocations(asked)).toEqual({ CommandInvocations: [] });
    vi.advanceTimersByTime(52);
    expect(commands.getInvocation(asked).Status).toBe('Success');
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
