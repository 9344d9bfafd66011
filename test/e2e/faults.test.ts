import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { ListCommandInvocationsCommand, SendCommandCommand } from '@aws-sdk/client-ssm';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Cloud } from '../support/cloud/cloud.ts';
import { waitFor } from '../support/instance/processes.ts';
import { tarGz } from './archives.ts';

let cloud: Cloud;
let archive: string;
beforeAll(async () => {
  cloud = await Cloud.connect();
  const script = `import os
with open(os.path.expanduser("~/starts.txt"), "a") as starts:
    print(os.environ["RUNCTL_RUN_ID"], file=starts)
for step in range(200):
    print("step", step)
`;
  archive = await cloud.put('archives/faulty.tar.gz', await tarGz({ 'train.py': script }));
});
afterEach(() => cloud.faults());

const start = () => cloud.start({ instance: cloud.instanceId, archive, project: 'faulty' });
const idOf = (arn: string) => arn.split(':').at(-1) ?? '';
const timesStarted = (arn: string) =>
  existsSync(join(cloud.home, 'starts.txt'))
    ? cloud
        .readHome('starts.txt')
        .split('\n')
        .filter((line) => line === idOf(arn)).length
    : 0;

describe('a run', () => {
  it('whose every command meets another fault starts once, ends with the true outcome, and keeps each byte of log once', async () => {
    const request = (verb: string, job?: string) => ({ times: 1, request: { verb, ...(job && { job }) } });
    await cloud.faults(
      { kind: 'lose-answer', ...request('start', 'sync') },
      {
        kind: 'refuse',
        operation: 'SendCommand',
        name: 'ThrottlingException',
        httpStatus: 400,
        probability: 1,
        times: 2,
      },
      { kind: 'deliver-twice', ...request('start', 'train') },
      { kind: 'report', status: 'TimedOut', ...request('start', 'train') },
      { kind: 'missing', request: { verb: 'poll' }, times: 3 },
      { kind: 'stuck', ...request('poll', 'train') },
      { kind: 'stdout', how: 'garble', ...request('collect') },
      { kind: 'deliver-twice', ...request('upload') },
      { kind: 'stdout', how: 'empty', ...request('release') },
    );
    const run = await cloud.finished(await start());
    expect(run).toMatchObject({ status: 'SUCCEEDED', output: { outcome: 'succeeded' } });
    await cloud.faultsHappened();
    expect(timesStarted(run.arn)).toBe(1);
    const log = cloud.jobFile(run.id, 'train', 'log');
    expect(log).toMatch(/step 199\n$/);
    expect(await cloud.log(run.id, 'train')).toBe(log);
    expect((await cloud.manifest(run.arn)).logs.map(({ job }) => job)).toEqual(['sync', 'train']);
    expect(cloud.holder()).toBe(null);
  });

  it('that was stopped while its start was on the way is never begun by it', async () => {
    await cloud.faults({
      kind: 'deliver-late',
      milliseconds: 20_000,
      times: 1,
      request: { verb: 'start', job: 'train' },
    });
    const arn = await start();
    await cloud.entered(arn, 'Start training');
    await cloud.faultsHappened(); // sent, and on its way
    await cloud.stop(arn);
    expect(await cloud.manifest(arn)).toMatchObject({ outcome: 'stopped' });
    const answers = await waitFor(async () => {
      const { CommandInvocations = [] } = await cloud.ssm.send(
        new ListCommandInvocationsCommand({ InstanceId: cloud.instanceId, Details: true }),
      );
      const outputs = CommandInvocations.flatMap((one) => one.CommandPlugins?.[0]?.Output ?? []);
      return outputs.find((output) => output.includes('"closed"')) ?? null;
    });
    expect(JSON.parse(answers)).toMatchObject({ job: 'train', state: 'refused', reason: 'closed' });
    expect(timesStarted(arn)).toBe(0);
    expect(cloud.processesOf(arn)).toEqual([]);
  });

  it('waits while ten other commands occupy the agent', async () => {
    for (let index = 0; index < 10; index += 1) {
      await cloud.ssm.send(
        new SendCommandCommand({
          DocumentName: 'AWS-RunShellScript',
          InstanceIds: [cloud.instanceId],
          Parameters: { commands: ['sleep 8'] },
        }),
      );
    }
    const run = await cloud.finished(await start());
    expect(run).toMatchObject({ status: 'SUCCEEDED', output: { outcome: 'succeeded', warnings: [] } });
    expect(timesStarted(run.arn)).toBe(1);
  });
});
