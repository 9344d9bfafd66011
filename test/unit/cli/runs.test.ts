import type { S3Client } from '@aws-sdk/client-s3';
import type { SFNClient } from '@aws-sdk/client-sfn';
import { describe, expect, it } from 'vitest';
import { executionsOver } from '../../../aws/executions.ts';
import { Runs } from '../../../cli/runs/find.ts';
import { RunStore } from '../../../cli/runs/store.ts';
import { summarize } from '../../../cli/runs/summary.ts';
import { buildManifest } from '../../../core/outcome/manifest.ts';
import type { StateEvent } from '../../../core/workflow/history.ts';
import * as samples from '../../support/fakes/samples.ts';
import { awsError, fakeClient } from '../../support/fakes/sdk-client.ts';

const EXECUTION = samples.MACHINE_ARN.replace(':stateMachine:', ':execution:');
const START = Date.parse('2026-11-24T10:00:00Z');

interface Known {
  readonly id: string;
  readonly input?: object;
  /** What Verify archive found. */
  readonly verified?: string;
}

/** An account whose runs are these, newest first; `old`: those of which only a manifest is left. */
function account(known: readonly Known[], old: readonly string[] = []) {
  const named = (arn: unknown) => known.find(({ id }) => `${EXECUTION}:${id}` === arn);
  const sfn = fakeClient<SFNClient>({
    ListExecutionsCommand: () => ({
      executions: known.map(({ id }) => ({ executionArn: `${EXECUTION}:${id}`, name: id, status: 'SUCCEEDED' })),
    }),
    DescribeExecutionCommand: ({ executionArn }) => {
      const run = named(executionArn);
      const about = { name: run?.id, status: 'SUCCEEDED', startDate: new Date(START), output: '{}' };
      return run ? { ...about, input: JSON.stringify(run.input ?? {}) } : awsError('ExecutionDoesNotExist');
    },
    GetExecutionHistoryCommand: ({ executionArn }) => {
      const project = named(executionArn)?.verified;
      const output = JSON.stringify({ ...samples.verified, spec: { ...samples.spec, project } });
      const exit = { type: 'TaskStateExited', stateExitedEventDetails: { name: 'Verify archive', output } };
      return { events: project === undefined ? [] : [exit] };
    },
  });
  const s3 = fakeClient<S3Client>({
    GetObjectCommand: ({ Key }) => {
      const id = old.find((one) => `runs/${one}/manifest.json` === Key);
      return id ? { Body: { transformToString: async () => manifest(id) } } : awsError('NoSuchKey');
    },
    ListObjectsV2Command: ({ Prefix }) => ({
      CommonPrefixes: old
        .map((id) => ({ Prefix: `runs/${id}/` }))
        .filter((one) => one.Prefix.startsWith(String(Prefix))),
    }),
  });
  const runs = new Runs({
    executions: executionsOver(sfn.client),
    store: new RunStore(s3.client, 'bucket'),
    machine: samples.MACHINE_ARN,
  });
  return { runs, sfn };
}

function manifest(id: string): string {
  const execution = { name: id, arn: `${EXECUTION}:${id}`, startedAt: samples.run.startedAt };
  const outcome = { outcome: 'succeeded', message: '', warnings: [], lastLines: [], error: null, cause: null } as const;
  return JSON.stringify(
    buildManifest({
      execution,
      input: {},
      facts: samples.finishInput(),
      outcome: { ...outcome, pid: 1, exitCode: 0, signal: null, next: null },
      progress: null,
      inventory: null,
      states: [],
      now: START,
    }),
  );
}

const digits = async () => ({ value: 'digits', from: 'runctl.yaml' });

describe('the run that a person means', () => {
  it('is the latest of the project, whether its input, its archive or its upload folder says so', async () => {
    const find = async (...known: Known[]) => (await account(known).runs.find(undefined, digits)).id;
    const other = { id: 'other-1', input: { project: 'other' }, verified: 'digits' };
    expect(
      await find(other, { id: 'by-input', input: { project: 'digits' } }, { id: 'older', verified: 'digits' }),
    ).toBe('by-input');
    expect(
      await find(other, { id: 'by-archive', input: { archive: 's3://b/uploads/x/a.tar.gz' }, verified: 'digits' }),
    ).toBe('by-archive');
    expect(await find(other, { id: 'by-folder', input: { archive: 's3://b/uploads/digits/a.tar.gz' } })).toBe(
      'by-folder',
    );
    await expect(find(other)).rejects.toMatchObject({
      exitCode: 2,
      message: expect.stringContaining('digits (from runctl.yaml)'),
    });
  });

  it('is found by id, by the beginning of one id, and by ARN', async () => {
    const { runs } = account([{ id: 'digits-1' }, { id: 'digits-12' }, { id: 'nets-1' }]);
    const find = async (wanted: string) => (await runs.find(wanted, digits)).id;
    expect(await find('digits-1')).toBe('digits-1');
    expect(await find('ne')).toBe('nets-1');
    expect(await find(`${EXECUTION}:digits-12`)).toBe('digits-12');
    await expect(find('dig')).rejects.toMatchObject({
      exitCode: 2,
      message: 'The ids of 2 runs begin with dig:\n  digits-1\n  digits-12',
    });
    await expect(find('digit-12')).rejects.toThrow('There is no run digit-12. The nearest ids:\n  digits-12\n');
    await expect(find('arn:aws:states:eu-central-1:1:execution:other:x')).rejects.toThrow('not the ARN of a run');
    await expect(find('../x')).rejects.toThrow('There is no run ../x');
  });

  it('is found by its manifest when Step Functions has forgotten it', async () => {
    const { runs } = account([{ id: 'new-1' }], ['old-1']);
    for (const wanted of ['old-1', 'ol', `${EXECUTION}:old-1`]) {
      expect(await runs.find(wanted, digits)).toMatchObject({
        id: 'old-1',
        execution: null,
        manifest: { outcome: 'succeeded' },
      });
    }
  });

  it('costs a project that is early in the list few calls, however many runs there are', async () => {
    const { runs, sfn } = account(
      Array.from({ length: 300 }, (_, index) => ({ id: `r-${index}`, verified: 'digits' })),
    );
    expect((await runs.find(undefined, digits)).id).toBe('r-0');
    expect(sfn.sent.length).toBeLessThan(12);
  });
});

describe('a list of runs', () => {
  it('has the latest started first, wherever its end puts a run', async () => {
    const hour = (count: number) => new Date(START + count * 3_600_000);
    const one = (name: string, start: number, stop?: number) => ({
      executionArn: name,
      name,
      status: 'SUCCEEDED',
      startDate: hour(start),
      ...(stop === undefined ? {} : { stopDate: hour(stop) }),
    });
    // As Step Functions lists them: a running one by its start, the others by their end.
    const executions = [
      one('long', 1, 9),
      one('running', 8),
      one('short', 5, 6),
      one('shorter', 2, 3),
      one('old', 0, 1),
    ];
    const { client } = fakeClient<SFNClient>({ ListExecutionsCommand: () => ({ executions }) });
    const names = [];
    for await (const { name } of executionsOver(client).newest('machine')) names.push(name);
    expect(names).toEqual(['running', 'short', 'shorter', 'long', 'old']);
  });

  it('of active runs has those that run, however old, and those whose outputs are being saved', async () => {
    const minutesAgo = (count: number) => new Date(Date.now() - count * 60_000);
    const about: Record<string, { status: string; startDate: Date; stopDate?: Date }> = {
      done: { status: 'SUCCEEDED', startDate: minutesAgo(9), stopDate: minutesAgo(1) },
      stopped: { status: 'ABORTED', startDate: minutesAgo(9), stopDate: minutesAgo(1) },
      'stopped-before': { status: 'ABORTED', startDate: minutesAgo(90), stopDate: minutesAgo(60) },
      running: { status: 'RUNNING', startDate: minutesAgo(100) },
      old: { status: 'RUNNING', startDate: minutesAgo(9_000) },
    };
    const one = (name: string) => ({ executionArn: name, name, input: '{"project": "digits"}', ...about[name] });
    const sfn = fakeClient<SFNClient>({
      ListExecutionsCommand: ({ statusFilter }) => ({
        executions: (statusFilter ? ['running', 'old'] : ['done', 'stopped', 'stopped-before', 'running']).map(one),
      }),
      DescribeExecutionCommand: ({ executionArn }) => one(String(executionArn)),
      GetExecutionHistoryCommand: () => ({ events: [] }),
    });
    const s3 = fakeClient<S3Client>({ GetObjectCommand: () => awsError('NoSuchKey') });
    const store = new RunStore(s3.client, 'bucket');
    const runs = new Runs({ executions: executionsOver(sfn.client), store, machine: samples.MACHINE_ARN });
    const found = [];
    for await (const { id, state } of runs.list('digits', { active: true })) found.push([id, state]);
    expect(found).toEqual([
      ['stopped', 'stopping'],
      ['running', 'starting'],
      ['old', 'starting'],
    ]);
  });

  it('reads no manifest of thousands of outputs, and knows that it is there', async () => {
    const sfn = fakeClient<SFNClient>({
      ListExecutionsCommand: () => ({ executions: [{ executionArn: 'a', name: 'a', status: 'ABORTED' }] }),
      DescribeExecutionCommand: () => ({ name: 'a', status: 'ABORTED', startDate: new Date(), stopDate: new Date() }),
      GetExecutionHistoryCommand: () => ({ events: [] }),
    });
    let isDestroyed = false;
    const Body = { destroy: () => (isDestroyed = true) };
    const s3 = fakeClient<S3Client>({ GetObjectCommand: () => ({ ContentLength: 700_000, Body }) });
    const store = new RunStore(s3.client, 'bucket');
    const runs = new Runs({ executions: executionsOver(sfn.client), store, machine: samples.MACHINE_ARN });
    const found = [];
    for await (const run of runs.list(null)) found.push(run);
    expect(found).toMatchObject([{ state: 'stopped', outcome: 'stopped', isKept: true, costUsd: null }]);
    expect(isDestroyed).toBe(true);
  });

  it('says of each what became of it', async () => {
    const { runs } = account([
      { id: 'a', verified: 'digits' },
      { id: 'b', input: { project: 'nets' } },
    ]);
    const found = [];
    for await (const run of runs.list('digits')) found.push(run);
    expect(found).toEqual([
      {
        id: 'a',
        arn: `${EXECUTION}:a`,
        project: 'digits',
        state: 'succeeded',
        outcome: 'succeeded',
        startedAt: START,
        endedAt: null,
        instance: samples.spec.instance,
        script: 'train.py',
        args: [],
        gitCommit: null,
        gitDirty: null,
        name: null,
        note: null,
        startedBy: null,
        queueSeconds: null,
        trainingSeconds: null,
        costUsd: null,
        instanceCostUsd: null,
        metrics: [],
        headlines: [],
        isKept: false,
      },
    ]);
  });
});

describe('what the instance of a run in a list cost so far', () => {
  const entered = (name: string, minutes: number) => ({
    kind: 'entered' as const,
    state: name,
    at: Date.now() - minutes * 60_000,
    output: null,
  });
  const found = {
    kind: 'exited',
    state: 'Find instance',
    at: 0,
    output: JSON.stringify({ id: 'i-1', price: samples.price }),
  } as const;
  const costOf = async (state: string, ...events: StateEvent[]) => {
    const reader = {
      describe: async () => samples.execution(),
      beginning: async () => [found, ...events],
      lastState: async () => state,
    };
    const store = { manifest: async () => null, glanceAtManifest: async () => ({ exists: false, manifest: null }) };
    return (await summarize(reader, store, samples.execution()))?.instanceCostUsd ?? null;
  };
  const training = [entered('Start training', 55), entered('Watch training', 54)];

  it('is its price since it got the instance', async () => {
    expect(await costOf('Watch training', entered('Sync code', 60), ...training)).toBeCloseTo(1.258, 2);
    const queued = [entered('Sync code', 120), entered('Wait for instance', 119), entered('Sync code', 60)];
    expect(await costOf('Watch training', ...queued, ...training)).toBeCloseTo(1.258, 2);
    expect(await costOf('Sync code', entered('Sync code', 60))).toBeCloseTo(1.258, 2);
  });

  it('is not known while it waits, and when the beginning of its history ends in the queue', async () => {
    const queue = [entered('Sync code', 60), entered('Code synced?', 60)];
    expect(await costOf('Watch training', ...queue)).toBeNull();
    expect(await costOf('Watch training', ...queue, entered('Wait for instance', 60))).toBeNull();
    expect(await costOf('Wait for instance', ...queue, entered('Wait for instance', 60))).toBeNull();
    const busy = {
      kind: 'exited',
      state: 'Sync code',
      at: 0,
      output: JSON.stringify(samples.jobStep('sync', { state: 'busy' })),
    } as const;
    expect(await costOf('Sync code', entered('Sync code', 61), busy, entered('Sync code', 1))).toBeNull();
  });
});
