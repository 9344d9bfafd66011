import { describe, expect, it } from 'vitest';
import { lastSnapshot, reconstructRun, watchArn } from '../../../core/outcome/reconstruct-run.ts';
import { readRun, readWatch, type StateEvent, stateTimes } from '../../../core/workflow/history.ts';
import { FakeExecutions } from '../../support/fakes/ports.ts';
import { endedStep, execution, instance, jobStep, run, verified } from '../../support/fakes/samples.ts';

const entered = (state: string, at = 0): StateEvent => ({ kind: 'entered', state, at, output: null });
const exited = (state: string, output: unknown = {}, at = 0): StateEvent => ({
  kind: 'exited',
  state,
  at,
  output: output === null ? null : JSON.stringify(output),
});
const both = (state: string, output: unknown): StateEvent[] => [entered(state), exited(state, output)];
const CAUGHT = { Error: 'AgentSilent', Cause: 'x' };
const MACHINE = 'arn:aws:states:eu-central-1:111122223333:stateMachine:runctl-watch';
const watch = (count: number) => `arn:aws:states:eu-central-1:111122223333:execution:runctl-watch:${run.key}-${count}`;

describe('stateTimes', () => {
  it('adds up each state in the order of its first entry, and counts how often', () => {
    const events = [
      entered('Sync code', 1_000),
      exited('Sync code', {}, 2_500),
      entered('Wait', 2_500),
      exited('Wait', {}, 4_500),
      entered('Sync code', 4_500),
      exited('Sync code', {}, 5_000),
    ];
    expect(stateTimes(events, 9_000)).toEqual([
      { name: 'Sync code', entered: 2, seconds: 2 },
      { name: 'Wait', entered: 1, seconds: 2 },
    ]);
  });

  it('counts the state that lasts still until now, by whichever clock is behind', () => {
    expect(stateTimes([entered('Finish run', 1_000)], 3_000)).toEqual([{ name: 'Finish run', entered: 1, seconds: 2 }]);
    expect(stateTimes([entered('Finish run', 1_000)], 990)).toEqual([{ name: 'Finish run', entered: 1, seconds: 0 }]);
  });

  it('is empty for an execution that AWS knows no more', () => {
    expect(stateTimes([], 1)).toEqual([]);
  });
});

describe('readRun', () => {
  const upToStart = [
    ...both('Begin run', {}),
    ...both('Verify archive', verified),
    ...both('Find instance', instance),
    ...both('Sync code', endedStep('sync', 0)),
    ...both('Install requirements', jobStep('install')),
  ];

  it('knows what each state gave, the last one of each job', () => {
    const confirmed = jobStep('train', { confirmed: true });
    const events = [...upToStart, ...both('Start training', jobStep('train')), ...both('Confirm PID', confirmed)];
    expect(readRun(events)).toEqual({
      verified,
      instance,
      sync: endedStep('sync', 0),
      install: jobStep('install'),
      restore: null,
      train: confirmed,
      attempts: [],
      watches: 0,
      watching: null,
    });
  });

  it('knows nothing of an execution that had only begun, or whose first state failed', () => {
    const nothing = {
      verified: null,
      instance: null,
      sync: null,
      install: null,
      restore: null,
      train: null,
      attempts: [],
      watches: 0,
      watching: null,
    };
    expect(readRun([])).toEqual(nothing);
    expect(readRun(both('Begin run', {}))).toEqual(nothing);
    expect(readRun(both('Verify archive', CAUGHT))).toEqual(nothing);
  });

  it('knows the attempt that is under way, and those before it', () => {
    const attempts = [{ attempt: 1, outcome: 'killed' }];
    const planned = {
      plan: { next: 'attempt', run: { ...verified.run, attempt: 2 }, instance: { ...instance, id: 'i-2' }, attempts },
      ...{ watches: 2, sync: null, install: null, restore: null, train: null },
    };
    const run = readRun([...upToStart, ...both('Start training', jobStep('train')), ...both('Plan attempt', planned)]);
    expect(run).toMatchObject({ instance: { id: 'i-2' }, sync: null, train: null, attempts, watches: 2 });
    expect(run.verified?.run.attempt).toBe(2);
    const settled = { run: { ...verified.run, attempt: 2, resume: { lineage: 'a' } }, step: jobStep('restore') };
    const resumed = readRun([...upToStart, ...both('Restore checkpoint', settled)]);
    expect(resumed).toMatchObject({ restore: { job: 'restore' }, verified: { run: { resume: { lineage: 'a' } } } });
  });

  it('does not take the error of a state for what it gave', () => {
    const run = readRun([...upToStart, ...both('Start training', CAUGHT), entered('Finish run')]);
    expect(run).toMatchObject({ instance, install: jobStep('install'), train: null });
  });

  it.each([
    ['Watch sync', 'sync'],
    ['Watch install', 'install'],
    ['Watch training', 'train'],
  ] as const)('%s under way: it is the watch of %s, after those that handed over', (state, job) => {
    const handedOver = [...both(state, jobStep(job, { polls: 2_000 })), ...both(state, jobStep(job, { polls: 4_000 }))];
    expect(readRun([...upToStart, ...handedOver, entered(state)])).toMatchObject({
      watches: 2,
      watching: job,
      [job]: jobStep(job, { polls: 4_000 }),
    });
    expect(readRun([...upToStart, ...handedOver]).watching).toBeNull();
  });

  it('bears what the service cut short', () => {
    const cut: StateEvent = { kind: 'exited', state: 'Verify archive', at: 0, output: '{"run": {"id"' };
    expect(readRun([cut, exited('Find instance', null), exited('Sync code', 'text')])).toMatchObject({
      verified: null,
      instance: null,
      sync: null,
    });
  });
});

describe('a nested watch', () => {
  const input = JSON.stringify({ ...verified, step: jobStep('train', { polls: 3 }) });

  it('has the progress of its last poll, or of its input before the first poll', () => {
    expect(readWatch(JSON.stringify(jobStep('train', { polls: 9 })), input)).toEqual(jobStep('train', { polls: 9 }));
    expect(readWatch(null, input)).toEqual(jobStep('train', { polls: 3 }));
    expect(readWatch(JSON.stringify(CAUGHT), null)).toBeNull();
    expect(readWatch(null, null)).toBeNull();
  });

  it('has the name that the machine gives it: the run’s key and how many handed over', () => {
    expect(watchArn(MACHINE, run.key, 2)).toBe(watch(2));
  });

  it('that was never started says nothing', async () => {
    expect(await lastSnapshot(new FakeExecutions(), watch(0))).toBeNull();
  });
});

describe('reconstructRun', () => {
  const aborted = { arn: run.arn, error: null, cause: null, status: 'ABORTED' };

  it('reads on in the watch that was under way', async () => {
    const executions = new FakeExecutions();
    executions.histories.set(run.arn, [
      ...both('Verify archive', verified),
      ...both('Find instance', instance),
      ...both('Start training', jobStep('train', { polls: 1 })),
      ...both('Watch training', jobStep('train', { polls: 2_000 })),
      entered('Watch training'),
    ]);
    executions.states.set(watch(1), execution({ arn: watch(1), input: null }));
    executions.histories.set(watch(1), both('Poll logs', jobStep('train', { polls: 2_007 })));
    const found = await reconstructRun(executions, aborted, MACHINE);
    expect(found).toMatchObject({ watch: watch(1), facts: { run, instance, train: { polls: 2_007 }, failure: null } });
  });

  it('names no watch when none was under way', async () => {
    const executions = new FakeExecutions();
    executions.histories.set(run.arn, both('Verify archive', verified));
    expect(await reconstructRun(executions, aborted, MACHINE)).toMatchObject({
      watch: null,
      facts: { instance: null },
    });
  });

  it('takes the error of an execution that failed', async () => {
    const failed = { ...aborted, status: 'FAILED', error: 'States.DataLimitExceeded', cause: 'too much' };
    const { facts } = await reconstructRun(new FakeExecutions(), failed, MACHINE);
    expect(facts.failure).toEqual({ Error: 'States.DataLimitExceeded', Cause: 'too much', state: 'The run' });
  });
});
