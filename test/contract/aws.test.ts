import { describe, expect, it } from 'vitest';
import { archiveStoreOver } from '../../aws/archive-store.ts';
import { type Execution, type Executions, executionsOver } from '../../aws/executions.ts';
import { logStoreOver } from '../../aws/log-store.ts';
import { runFilesOver } from '../../aws/run-files.ts';
import { RunError } from '../../core/errors.ts';
import type { LogStore } from '../../core/job/shipping-attempt.ts';
import type { RunFiles } from '../../core/outcome/write-manifest.ts';
import type { StateEvent } from '../../core/workflow/history.ts';
import { FakeLogStore } from '../support/fakes/log-store.ts';
import { memoryLogs, memoryS3, memoryStepFunctions } from '../support/fakes/memory-aws.ts';
import { FakeArchives, FakeExecutions, FakeRunFiles } from '../support/fakes/ports.ts';
import { execution, MACHINE_ARN } from '../support/fakes/samples.ts';

/** One suite for the clients of aws/ and for the fakes that stand in for them: a test over a fake says something of AWS only then. */

const NOW = Date.parse('2026-11-24T10:00:00Z');
const entered = (state: string, at: number): StateEvent => ({ kind: 'entered', state, at, output: null });
const exited = (state: string, at: number, output: object): StateEvent => ({
  kind: 'exited',
  state,
  at,
  output: JSON.stringify(output),
});

const RUNNING = execution({ arn: 'arn:running', name: 'running', startedAt: NOW });
const ENDED = execution({
  arn: 'arn:ended',
  name: 'ended',
  status: 'FAILED',
  startedAt: NOW - 5_000,
  endedAt: NOW + 9_000,
  error: 'TrainingFailed',
  cause: '{}',
});
const OLDEST = execution({ ...ENDED, arn: 'arn:oldest', name: 'oldest', startedAt: NOW - 9_000, endedAt: NOW - 1_000 });
const HISTORY = [
  entered('Sync code', 1),
  exited('Sync code', 2, { ok: true }),
  entered('Poll logs', 3),
  exited('Poll logs', 4, { polls: 1 }),
  entered('Poll logs', 5),
  exited('Poll logs', 6, { Error: 'InstanceLost', Cause: 'why' }),
  entered('Watch failed', 7),
];
const known: readonly Execution[] = [RUNNING, ENDED, OLDEST];

function sdkExecutions(): Executions {
  const executions = new Map(known.map((one) => [one.arn, one]));
  return executionsOver(memoryStepFunctions(executions, new Map([[RUNNING.arn, HISTORY]])));
}

function fakeExecutions(): Executions {
  const fake = new FakeExecutions();
  for (const one of known) fake.states.set(one.arn, one);
  fake.histories.set(RUNNING.arn, HISTORY);
  return fake;
}

describe.each([
  ['aws/executions.ts', sdkExecutions],
  ['FakeExecutions', fakeExecutions],
])('executions: %s', (_, create) => {
  it('start once by a name', async () => {
    const executions = create();
    expect(await executions.start(MACHINE_ARN, 'new', {})).toBe(true);
    expect(await executions.start(MACHINE_ARN, 'new', {})).toBe(false);
  });

  it('are described; null when they are not known', async () => {
    const executions = create();
    expect(await executions.describe(RUNNING.arn)).toEqual(RUNNING);
    expect(await executions.describe(ENDED.arn)).toEqual(ENDED);
    expect(await executions.describe('arn:other')).toBeNull();
  });

  it('have ended when they are over or not known', async () => {
    const executions = create();
    expect(await Promise.all([RUNNING, ENDED].map(({ arn }) => executions.hasEnded(arn)))).toEqual([false, true]);
    expect(await executions.hasEnded('arn:other')).toBe(true);
  });

  it('are listed: those that run, and all by their start', async () => {
    const executions = create();
    expect(await executions.running(MACHINE_ARN)).toEqual([RUNNING.arn]);
    const names: string[] = [];
    for await (const { name } of executions.newest(MACHINE_ARN)) names.push(name);
    expect(names).toEqual(['running', 'ended', 'oldest']);
  });

  it('have a history, oldest first, over all pages; none when they are not known', async () => {
    const executions = create();
    expect(await executions.history(RUNNING.arn, { data: true })).toEqual(HISTORY);
    expect(await executions.history('arn:other', { data: true })).toEqual([]);
    expect((await executions.beginning(RUNNING.arn))[0]).toEqual(HISTORY[0]);
  });

  it('have a state that was entered last, and outputs that no Catch gave', async () => {
    const executions = create();
    expect(await executions.lastState(RUNNING.arn)).toBe('Watch failed');
    expect(await executions.lastState(ENDED.arn)).toBeNull();
    expect(await executions.lastOutput(RUNNING.arn, 'Poll logs')).toBe('{"polls":1}');
    expect(await executions.lastOutput(RUNNING.arn, 'Sync code')).toBe('{"ok":true}');
    expect(await executions.lastOutput(RUNNING.arn, 'Wait')).toBeNull();
  });

  it('are stopped, whether they run or are not known', async () => {
    const executions = create();
    await expect(executions.stop(RUNNING.arn, 'why')).resolves.toBeUndefined();
    await expect(executions.stop('arn:other', 'why')).resolves.toBeUndefined();
  });
});

const sdkFiles = (): RunFiles => runFilesOver(memoryS3(new Map()), ({ input }) => sign(input.Key), 'bucket');
const sign = (key: string | undefined) => Promise.resolve(`https://signed.example/${key}`);

describe.each([
  ['aws/run-files.ts', sdkFiles],
  ['FakeRunFiles', () => new FakeRunFiles()],
])('files of runs: %s', (_, create) => {
  it('are written and read; a later one replaces an earlier one, unless only the first counts', async () => {
    const files = create();
    expect(await files.exists('k')).toBe(false);
    expect(await files.write('k', 'one', { onlyFirst: true })).toBe(true);
    expect(await files.write('k', 'two', { onlyFirst: true })).toBe(false);
    expect(Buffer.from(await files.read('k')).toString()).toBe('one');
    expect(await files.write('k', 'two', { onlyFirst: false })).toBe(true);
    expect(Buffer.from(await files.read('k')).toString()).toBe('two');
    expect(await files.exists('k')).toBe(true);
  });

  it('cannot be read when they are missing', async () => {
    await expect(create().read('k')).rejects.toThrow('there is no');
  });

  it('are uploaded by a URL that names the key', async () => {
    expect(await create().presignPut('runs/a/b')).toContain('runs/a/b');
  });
});

function sdkLogs(): LogStore {
  const client = memoryLogs();
  return logStoreOver({ logs: client, once: client, now: () => NOW }, '/runctl/runs');
}

describe.each([
  ['aws/log-store.ts', sdkLogs],
  ['FakeLogStore', () => new FakeLogStore()],
])('logs: %s', (_, create) => {
  it('have as many bytes after a time as messages were put with later times, over all pages', async () => {
    const logs = create();
    await logs.put('r/train', ['one\n', 'é'], NOW);
    await logs.put('r/train', ['three\n', '4'], NOW + 5);
    expect(await logs.after('r/train', NOW - 1)).toEqual({ bytes: 13, last: NOW + 5 });
    expect(await logs.after('r/train', NOW)).toEqual({ bytes: 7, last: NOW + 5 });
    expect(await logs.after('r/train', NOW + 5)).toEqual({ bytes: 0, last: NOW + 5 });
  });

  it('have nothing in a stream that does not exist', async () => {
    expect(await create().after('r/other', NOW)).toEqual({ bytes: 0, last: NOW });
  });

  it('refuse an empty message', async () => {
    await expect(create().put('r/train', ['a', ''], NOW)).rejects.toThrow(/empty/);
  });
});

const location = { bucket: 'bucket', key: 'uploads/x.tar.gz', versionId: null };

describe.each([
  ['aws/archive-store.ts', () => archiveStoreOver(memoryS3(new Map()), ({ input }) => sign(input.Key))],
  ['FakeArchives', () => Object.assign(new FakeArchives(), { missing: true })],
])('an archive that is missing: %s', (_, create) => {
  it('is refused by name', async () => {
    for (const call of [create().currentVersion(location), create().open(location)]) {
      const error = await call.catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(RunError);
      expect(error).toMatchObject({ name: 'ArchiveNotFound' });
    }
  });
});
