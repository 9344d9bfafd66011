import { describe, expect, it } from 'vitest';
import type { Account } from '../../../cli/account/account.ts';
import { startInstance } from '../../../cli/instance/start.ts';
import { oneInstance } from '../../../cli/instance/status.ts';
import { refuseWhileUsed, stopInstance } from '../../../cli/instance/stop.ts';
import { awsError, fakeClient, type Reply } from '../../support/fakes/sdk-client.ts';

const ID = 'i-0123456789abcdef0';
const WANTED = { value: ID, from: 'the argument' };
const signal = new AbortController().signal;
const wait = { signal, everyMs: 1 };

const described = (state: string, id = ID) => ({ InstanceId: id, InstanceType: 'g5.xlarge', State: { Name: state } });

/** An account whose instance is in these states, one after another; the last one stays. */
function account(states: readonly string[], replies: Record<string, (input: object, call: number) => Reply> = {}) {
  const { client, sent } = fakeClient({
    DescribeInstancesCommand: (_, call) => ({
      Reservations: [{ Instances: [described(states[Math.min(call, states.length - 1)] ?? '')] }],
    }),
    DescribeInstanceInformationCommand: () => ({ InstanceInformationList: [{ PingStatus: 'Online' }] }),
    StartInstancesCommand: () => ({}),
    StopInstancesCommand: () => ({}),
    ...replies,
  });
  const calls = (name: string) => sent.filter((one) => one.name === `${name}Command`).length;
  return { account: { ec2: client, ssm: client } as unknown as Account, calls };
}

function terminal() {
  const shown: string[] = [];
  const working = async <T>(text: string, work: (update: (text: string) => void) => Promise<T>): Promise<T> => {
    shown.push(text);
    return await work((line) => void shown.push(line));
  };
  return { shown, working };
}

describe('the instance that is meant', () => {
  it('is one, whatever its state', async () => {
    expect(await oneInstance(account(['stopped']).account, WANTED)).toMatchObject({ id: ID, state: 'stopped' });
    const two = account(['stopped'], {
      DescribeInstancesCommand: () => ({
        Reservations: [{ Instances: [described('stopped'), described('running', 'i-2')] }],
      }),
    });
    await expect(oneInstance(two.account, WANTED)).rejects.toThrow(`${ID} (stopped), i-2 (running)`);
    const none = account([], { DescribeInstancesCommand: () => ({ Reservations: [] }) });
    await expect(oneInstance(none.account, WANTED)).rejects.toThrow(`No instance matches ${ID} (from the argument)`);
  });
});

describe('runctl instance start', () => {
  const start = async (one: ReturnType<typeof account>, shown = terminal()) =>
    await startInstance(one.account, shown, await oneInstance(one.account, WANTED), wait);

  it('starts one that is stopped, once, and waits for its agent', async () => {
    let pings = 0;
    const one = account(['stopped', 'pending', 'running', 'running'], {
      DescribeInstanceInformationCommand: () => {
        pings += 1;
        return { InstanceInformationList: pings < 2 ? [] : [{ PingStatus: 'Online' }] };
      },
    });
    const shown = terminal();
    expect(await start(one, shown)).toMatchObject({ state: 'running' });
    expect(one.calls('StartInstances')).toBe(1);
    expect(shown.shown).toEqual([`Starting ${ID}`, `${ID} is pending`, `${ID} runs; waiting for its SSM agent`]);
  });

  it('starts one that is stopping when it has stopped, and none that runs', async () => {
    const stopping = account(['stopping', 'stopping', 'stopped', 'running']);
    await start(stopping);
    expect(stopping.calls('StartInstances')).toBe(1);
    const running = account(['running']);
    await start(running);
    expect(running.calls('StartInstances')).toBe(0);
  });

  it.each([
    ['InsufficientInstanceCapacity', 'Start the run again later'],
    ['UnsupportedOperation', 'EC2 console'],
  ])('says what to do when EC2 refuses with %s', async (name, next) => {
    const one = account(['stopped'], { StartInstancesCommand: () => awsError(name) });
    await expect(start(one)).rejects.toMatchObject({
      message: expect.stringContaining(name),
      next: expect.stringContaining(next),
    });
  });
});

describe('runctl instance stop', () => {
  it('refuses while runs use it, by their names', () => {
    const instance = { id: ID } as Awaited<ReturnType<typeof oneInstance>>;
    expect(() => refuseWhileUsed(instance, [])).not.toThrow();
    const runs = [{ id: 'digits-1', project: 'digits', state: 'training' as const }];
    expect(() => refuseWhileUsed(instance, runs)).toThrow(`${ID} is in use by digits-1 (training).`);
  });

  it('stops it once, and waits until it has stopped', async () => {
    const one = account(['running', 'stopping', 'stopping', 'stopped']);
    const stopped = await stopInstance(one.account, terminal(), await oneInstance(one.account, WANTED), wait);
    expect(stopped).toMatchObject({ state: 'stopped' });
    expect(one.calls('StopInstances')).toBe(1);
    const before = account(['stopping', 'stopped']);
    await stopInstance(before.account, terminal(), await oneInstance(before.account, WANTED), wait);
    expect(before.calls('StopInstances')).toBe(0);
  });

  it('ends the waiting by Ctrl-C', async () => {
    const one = account(['running', 'stopping']);
    const found = await oneInstance(one.account, WANTED);
    const aborted = { signal: AbortSignal.timeout(20), everyMs: 5 };
    await expect(stopInstance(one.account, terminal(), found, aborted)).rejects.toMatchObject({ name: 'AbortError' });
  });
});
