import validate from 'asl-validator';
import jsonata from 'jsonata';
import { afterAll, describe, expect, it } from 'vitest';
import { ERRORS } from '../../../core/errors.ts';
import { BAKE_MACHINE, POWER_MACHINE, RUN_MACHINE, runKey, WATCH_MACHINE } from '../../../core/names.ts';
import { BAKE_STATES, RUN_STATES, WATCH_STATES } from '../../../core/workflow/states.ts';
import { reachable, tasksOf } from '../../support/lib/state-graph.ts';
import { synthesize } from '../../support/lib/synth.ts';

const synthesized = synthesize();
afterAll(() => synthesized.remove());

const run = synthesized.machine(RUN_MACHINE);
const watch = synthesized.machine(WATCH_MACHINE);
const power = synthesized.machine(POWER_MACHINE);
const bake = synthesized.machine(BAKE_MACHINE);
const both = [
  [BAKE_MACHINE, bake],
  [POWER_MACHINE, power],
  [RUN_MACHINE, run],
  [WATCH_MACHINE, watch],
] as const;

/** What people see in the console: a contract. */
const CONTRACT = [
  'Verify archive',
  'Find instance',
  'Sync code',
  'Install requirements',
  'Watch install',
  'Start training',
  'Confirm PID',
  'Watch training',
  'Finish run',
  'Succeeded',
  'Failed',
];
/**
 * Tasks beside those: the sync may last longer than its start waits; an archive may be uploaded as a patch; a run may go on
 * from a checkpoint, and have several attempts.
 */
const MORE_TASKS = ['Watch sync', 'Assemble archive', 'Restore checkpoint', 'Watch restore', 'Plan attempt'];

/** What AWS says to retry for every Lambda task, and what a function that ran out of time or memory looks like. */
const LAMBDA_FAULTS = [
  'Lambda.ClientExecutionTimeoutException',
  'Lambda.ServiceException',
  'Lambda.AWSLambdaException',
  'Lambda.SdkClientException',
  'Lambda.TooManyRequestsException',
  'Lambda.Unknown',
  'States.Timeout',
];

it.each([
  [RUN_MACHINE, run, RUN_STATES],
  [WATCH_MACHINE, watch, WATCH_STATES],
  [BAKE_MACHINE, bake, BAKE_STATES],
] as const)('%s has the states of core/workflow/states.ts and no others', (_, machine, states) => {
  expect(Object.keys(machine.States).sort()).toEqual(Object.values(states).sort());
});

describe.each(both)('%s', (name, machine) => {
  const tasks = tasksOf(machine);

  it('is right for asl-validator', () => {
    const { isValid, errorsText } = validate(machine);
    expect(isValid, errorsText('\n')).toBe(true);
  });

  it('is a Standard workflow in JSONata, and logs without data', () => {
    const { Properties } =
      synthesized.of('AWS::StepFunctions::StateMachine').find((one) => one.Properties.StateMachineName === name) ?? {};
    expect(Properties).toMatchObject({
      StateMachineType: 'STANDARD',
      LoggingConfiguration: { Level: 'ALL', IncludeExecutionData: false, Destinations: [expect.anything()] },
    });
    expect(machine.QueryLanguage).toBe('JSONata');
  });

  it.each(tasks)('%s has a time-out, retries and a catch for everything', (name_, task) => {
    expect(task.TimeoutSeconds).toEqual(expect.any(Number));
    expect(task.Retry?.length).toBeGreaterThan(0);
    const caught = task.Catch?.flatMap((one) => one.ErrorEquals);
    expect(caught).toEqual(['States.DataLimitExceeded', 'States.ALL']);
    // The failure of Plan attempt is not that of the run.
    const assigned = name_ === 'Plan attempt' ? undefined : { failure: expect.stringContaining('errorOutput') };
    for (const one of task.Catch ?? []) expect(one.Assign).toEqual(assigned && expect.objectContaining(assigned));
  });

  it('has a default in every Choice, and no Wait of a fixed time', () => {
    for (const [state, { Type, Default }] of Object.entries(machine.States)) {
      if (Type === 'Choice') expect(Default, state).toBeDefined();
    }
  });

  it('reaches every state, and from every state an end', () => {
    const ends = Object.keys(machine.States).filter((state) =>
      ['Succeed', 'Fail'].includes(machine.States[state]?.Type ?? ''),
    );
    expect([...reachable(machine, machine.StartAt)].sort()).toEqual(Object.keys(machine.States).sort());
    for (const state of Object.keys(machine.States)) {
      expect(
        [...reachable(machine, state)].some((other) => ends.includes(other)),
        state,
      ).toBe(true);
      expect(machine.States[state]?.End, `${state} ends without saying how`).toBeUndefined();
    }
  });

  it('retries by itself only what may end differently, and waits 10 s when a call may have been carried out', () => {
    const again = Object.entries(ERRORS)
      .filter(([, entry]) => entry.retried)
      .map(([error]) => error);
    for (const [state, task] of tasks.filter(([, one]) => one.Resource?.endsWith(':lambda:invoke'))) {
      const retried = task.Retry?.flatMap((one) => one.ErrorEquals) ?? [];
      expect(
        retried.filter((error) => error in ERRORS),
        state,
      ).toEqual(again);
      expect(retried, state).not.toContain('States.ALL');
      expect(retried, state).toEqual(expect.arrayContaining(LAMBDA_FAULTS));
      for (const { ErrorEquals, IntervalSeconds, JitterStrategy, MaxAttempts } of task.Retry ?? []) {
        expect(MaxAttempts).toBeLessThanOrEqual(19);
        if (ErrorEquals.join() === 'Lambda.TooManyRequestsException') continue; // The function has not begun.
        expect(MaxAttempts).toBeLessThanOrEqual(5);
        expect(IntervalSeconds, state).toBeGreaterThanOrEqual(10);
        expect(JitterStrategy ?? 'NONE', state).toBe('NONE');
      }
    }
  });

  it('gives a function its own time: the state outlasts it', () => {
    const seconds = new Map(
      synthesized
        .of('AWS::Lambda::Function')
        .map(({ Properties }) => [Properties.FunctionName, Number(Properties.Timeout)]),
    );
    for (const [state, task] of tasks.filter(([, one]) => one.Resource?.endsWith(':lambda:invoke'))) {
      const id = String(task.Arguments?.FunctionName).split('.')[0] ?? '';
      const name_ = synthesized.resources[id]?.Properties.FunctionName;
      expect(Number(task.TimeoutSeconds), state).toBeGreaterThan(seconds.get(name_) ?? Number.POSITIVE_INFINITY);
    }
  });
});

describe('runctl-run', () => {
  it('has exactly the states of the contract, and Choices, Waits and Passes between them', () => {
    const seen = Object.entries(run.States).filter(([, state]) => !['Choice', 'Wait', 'Pass'].includes(state.Type));
    expect(seen.map(([name]) => name).sort()).toEqual([...CONTRACT, ...MORE_TASKS].sort());
    expect(run.States.Succeeded?.Type).toBe('Succeed');
    expect(run.States.Failed?.Type).toBe('Fail');
  });

  it('waits for its turn in a state of the name that the contract gives it', () => {
    expect(run.States['Wait for instance']?.Type).toBe('Wait');
  });

  it('ends in Succeeded or Failed and nowhere else', () => {
    const ends = Object.entries(run.States).filter(([, { Type }]) => Type === 'Succeed' || Type === 'Fail');
    expect(ends.map(([name]) => name).sort()).toEqual(['Failed', 'Succeeded']);
  });

  it('never ends without Finish run', () => {
    const past = reachable(run, run.StartAt, ['Finish run']);
    expect([...past].filter((name) => ['Failed', 'Succeeded'].includes(name))).toEqual([]);
  });

  it('reaches Succeeded only when Finish run says succeeded', () => {
    const into = Object.entries(run.States).filter(([, state]) =>
      state.Choices?.some(({ Next }) => Next === 'Succeeded'),
    );
    expect(into.map(([name]) => name)).toEqual(['Run succeeded?']);
    expect(into[0]?.[1]).toMatchObject({
      Default: 'Failed',
      Choices: [
        { Condition: '{% $finish.wait != null %}', Next: 'Wait for outputs' },
        { Condition: '{% $finish.outcome = "succeeded" %}', Next: 'Succeeded' },
      ],
    });
    expect(Object.values(run.States).some((state) => state.Next === 'Succeeded' || state.Default === 'Succeeded')).toBe(
      false,
    );
  });

  it('cleans up after any error, and notifies when the clean-up fails', () => {
    for (const [name, task] of tasksOf(run)) {
      const [target] = new Set(task.Catch?.map(({ Next }) => Next));
      const before = ['Assemble archive', 'Verify archive', 'Find instance', 'Plan attempt'];
      const next = before.includes(name) ? 'Finish run' : 'Plan attempt';
      expect(target, name).toBe(name === 'Finish run' ? 'Outcome unknown' : next);
    }
    expect(run.States['Outcome unknown']).toMatchObject({ Type: 'Pass', Next: 'Failed' });
    expect(run.States.Failed).toMatchObject({ Error: '{% $finish.error %}', Cause: '{% $finish.cause %}' });
  });

  it('hands on since when the run has had the instance: Sync code is entered again until it has it', () => {
    const heldSince = '{% $states.result.Payload.state = "busy" ? null : $states.context.State.EnteredTime %}';
    expect(run.States['Sync code']).toMatchObject({ Assign: { heldSince } });
    for (const state of ['Install requirements', 'Restore checkpoint', 'Start training', 'Plan attempt'])
      expect(run.States[state]).toMatchObject({ Arguments: { Payload: { heldSince: '{% $heldSince %}' } } });
    // Of another attempt it is null until Sync code has its instance.
    const planned = { heldSince: '{% $states.result.Payload.heldSince %}' };
    expect(run.States['Plan attempt']).toMatchObject({ Assign: planned });
  });

  it('never starts a run beside another on a busy instance: it asks for the lease again, or ends', () => {
    const busy = run.States['Code synced?']?.Choices?.filter(({ Condition }) => Condition.includes('"busy"'));
    expect(busy?.slice(0, 2)).toMatchObject([
      { Condition: '{% $sync.state = "busy" and $sync.waiting.over = null %}', Next: 'Wait for instance' },
      { Condition: '{% $sync.state = "busy" %}', Next: 'Finish run' },
    ]);
    expect(run.States['Wait for instance']).toMatchObject({ Type: 'Wait', Next: 'Sync code' });
  });

  it('waits for an instance that starts, and looks at it again', async () => {
    const { Choices = [], Default } = run.States['Instance ready?'] ?? {};
    expect(Default).toBe('Sync code');
    expect(Choices).toMatchObject([{ Condition: '{% $starting != null %}', Next: 'Wait for instance to start' }]);
    expect(run.States['Wait for instance to start']).toMatchObject({
      Type: 'Wait',
      Seconds: '{% $starting = null ? 15 : $starting.wait %}',
      Next: 'Find instance',
    });
    // A run that arrives while its instance is being stopped.
    const arrived = run.States['Code synced?']?.Choices?.find(({ Next }) => Next === 'Wait for instance to start');
    expect(arrived?.Condition).toBe('{% $sync.state = "refused" and $sync.reason = "stopping" %}');
    const assign = (run.States['Find instance'] as { Assign?: Record<string, string> } | undefined)?.Assign ?? {};
    const assigned = async (name: string, Payload: object) =>
      JSON.parse(
        JSON.stringify(
          await jsonata(assign[name]?.slice(2, -2) ?? '').evaluate({}, { states: { result: { Payload } } }),
        ),
      );
    expect(await assigned('instance', { id: 'i-1' })).toEqual({ id: 'i-1' });
    expect(await assigned('starting', { id: 'i-1' })).toBeNull();
    expect(await assigned('instance', { starting: { wait: 5 } })).toBeNull();
    expect(await assigned('starting', { starting: { wait: 5 } })).toEqual({ wait: 5 });
  });

  it('ends eventually', () => {
    expect(run.TimeoutSeconds).toBe(65 * 86_400);
  });

  it('starts training only after a successful sync', () => {
    const ok = run.States['Code synced?']?.Choices?.find(({ Next }) => Next === 'Anything to install?');
    expect(ok?.Condition).toBe('{% $sync.ended and $sync.ok %}');
    const again = run.States['Another attempt?']?.Choices?.find(({ Next }) => Next === 'Start training');
    expect(again?.Condition).toBe('{% $plan.next = "start" and $sync.ok %}');
    expect([...reachable(run, run.StartAt, ['Code synced?', 'Another attempt?'])]).not.toContain('Start training');
    expect([...reachable(run, 'Start training', ['Confirm PID', 'Plan attempt'])]).not.toContain('Watch training');
  });

  it('starts an install again only once, when it was interrupted', async () => {
    const { Choices = [] } = run.States['Requirements installed?'] ?? {};
    const next = async (install: object) => {
      for (const { Condition, Next } of Choices)
        if (await jsonata(Condition.slice(2, -2)).evaluate({}, { install, spec: { install: 'required' } })) return Next;
      return 'none';
    };
    const killed = { state: 'exited', ended: true, ok: false, exit: { code: null, signal: 'SIGTERM' } };
    const vanished = { state: 'vanished', ended: true, ok: false, exit: null };
    expect(await next(vanished)).toBe('Install requirements');
    expect(await next(killed)).toBe('Install requirements');
    for (const step of [vanished, killed]) {
      expect(await next({ ...step, again: true })).toBe('Plan attempt');
      expect(await next({ ...step, ended: false })).toBe('Watch install');
    }
    expect(await next({ ...killed, state: 'stopped' })).toBe('Plan attempt');
    expect(await next({ ...killed, exit: { code: 1, signal: null } })).toBe('Plan attempt');
  });

  it('goes on with the attempt that was planned, and ends when none was', async () => {
    const { Choices = [], Default } = run.States['Another attempt?'] ?? {};
    const next = async (plan: object) => {
      for (const { Condition, Next } of Choices)
        if (await jsonata(Condition.slice(2, -2)).evaluate({}, { plan, sync: { ok: true } })) return Next;
      return Default;
    };
    expect(await next({ next: 'attempt' })).toBe('Sync code');
    expect(await next({ next: 'start' })).toBe('Start training');
    expect(await next({ next: 'watch' })).toBe('Watch training');
    expect(await next({ next: 'wait' })).toBe('Wait for instance to return');
    expect(await next({ next: 'finish' })).toBe('Finish run');
    expect(run.States['Wait for instance to return']).toMatchObject({ Type: 'Wait', Next: 'Plan attempt' });
  });

  it('restores a checkpoint again once, when it was interrupted or its URLs were too old', async () => {
    const { Choices = [], Default } = run.States['Checkpoint restored?'] ?? {};
    const next = async (restore: object | null) => {
      for (const { Condition, Next } of Choices)
        if (await jsonata(Condition.slice(2, -2)).evaluate({}, { restore })) return Next;
      return Default;
    };
    const failed = (name: string) => ({ ended: true, ok: false, state: 'exited', result: { error: { name } } });
    expect(await next(null)).toBe('Start training');
    expect(await next({ ended: true, ok: true, state: 'exited' })).toBe('Start training');
    expect(await next({ ended: false, ok: false, state: 'running' })).toBe('Watch restore');
    expect(await next({ ended: true, ok: false, state: 'vanished', exit: null })).toBe('Restore checkpoint');
    expect(await next(failed('RestoreFailed'))).toBe('Restore checkpoint');
    expect(await next({ ...failed('RestoreFailed'), again: true })).toBe('Plan attempt');
    expect(await next(failed('DiskFull'))).toBe('Plan attempt');
  });

  it('names nested watches within 80 characters', () => {
    const longest = runKey({ id: 'x'.repeat(80), arn: 'a', startedAt: 'b' });
    for (const name of ['Watch sync', 'Watch install', 'Watch restore', 'Watch training']) {
      expect(run.States[name]?.Arguments?.Name).toBe('{% $run.key & "-" & $string($watches) %}');
    }
    expect(`${longest}-9999999`.length).toBeLessThanOrEqual(80);
  });

  it('waits for nested watches, and ties them to their parent', () => {
    for (const name of ['Watch sync', 'Watch install', 'Watch training']) {
      expect(run.States[name]?.Resource).toMatch(/:states:startExecution\.sync:2$/);
      expect(JSON.stringify(run.States[name]?.Arguments)).toContain('AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID');
    }
  });
});

describe('runctl-watch', () => {
  it('polls, waits as long as the poll says, and polls again', () => {
    expect(watch.States['Poll logs']?.Next).toBe('Job ended?');
    expect(watch.States.Wait).toMatchObject({ Type: 'Wait', Next: 'Poll logs' });
    expect(JSON.stringify(watch.States.Wait)).toContain('$step.wait');
  });

  it('ends with the job, asks EC2 about silence, hands over after 2,000 polls, in this order', () => {
    expect(watch.States['Job ended?']?.Choices?.map(({ Condition, Next }) => [Condition, Next])).toEqual([
      ['{% $step.ended or $step.state = "absent" %}', 'Ended'],
      ['{% $step.silentSince != null %}', 'Check instance'],
      ['{% $polls >= 2000 %}', 'Hand over'],
      ['{% $step.wait = 0 %}', 'Poll logs'],
    ]);
  });

  it('fails with the error that it caught', () => {
    for (const [name, task] of tasksOf(watch)) {
      expect([...new Set(task.Catch?.map(({ Next }) => Next))], name).toEqual(['Watch failed']);
    }
    expect(watch.States['Watch failed']).toMatchObject({
      Type: 'Fail',
      Error: '{% $failure.Error %}',
      Cause: '{% $failure.Cause %}',
    });
  });
});

describe('runctl-power', () => {
  it('waits, looks, and ends when the instance is stopped or used, or after 1,000 looks', () => {
    expect(power.States.Begin?.Next).toBe('Wait until idle');
    expect(power.States['Wait until idle']).toMatchObject({ Seconds: '{% $wait %}', Next: 'Stop if idle' });
    expect(power.States['Stop if idle']?.Next).toBe('Stopped?');
    expect(power.States['Stopped?']).toMatchObject({
      Choices: [{ Condition: '{% $wait = null or $looks >= 1000 %}', Next: 'Ended' }],
      Default: 'Wait until idle',
    });
  });

  it('looks again after every error: what is not known counts as use', () => {
    expect([...new Set(power.States['Stop if idle']?.Catch?.map(({ Next }) => Next))]).toEqual(['Look again later']);
    expect(power.States['Look again later']).toMatchObject({ Type: 'Pass', Next: 'Stopped?' });
  });
});
