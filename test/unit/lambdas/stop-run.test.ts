import { describe, expect, it } from 'vitest';
import type { Execution } from '../../../aws/executions.ts';
import { RunError } from '../../../core/errors.ts';
import { manifestSchema } from '../../../core/outcome/manifest-schema.ts';
import type { StateEvent } from '../../../core/workflow/history.ts';
import { createStop } from '../../../lambdas/stop-run.ts';
import { FakeLogStore } from '../../support/fakes/log-store.ts';
import { FakeCommands, FakeExecutions, FakeRunFiles, fakeCleanUpPorts } from '../../support/fakes/ports.ts';
import {
  endedStep,
  execution,
  exit,
  instance,
  jobStatus,
  jobStep,
  run,
  verified,
} from '../../support/fakes/samples.ts';

const answer = (fields: object) => ({ protocol: 1, ok: true, ...fields });
const stopped = answer({ jobs: { sync: 'exited', train: 'running' } });
const collected = answer({ state: 'collected', jobs: { sync: 'exited', train: 'stopped' }, files: [], warnings: [] });
const released = answer({ released: true, jobs: { sync: 'exited', train: 'stopped' } });
const ended = (log: string) => jobStatus('train', log, { state: 'stopped', reason: 'stop', exit: exit({ code: 0 }) });
const WATCH = `arn:aws:states:eu-central-1:111122223333:execution:runctl-watch:${run.key}-0`;
const MANIFEST = 'runs/demo-1/manifest.json';

const entered = (state: string): StateEvent => ({ kind: 'entered', state, at: 1, output: null });
const exited = (state: string, output: object): StateEvent => ({
  kind: 'exited',
  state,
  at: 2,
  output: JSON.stringify(output),
});
const UNTIL_WATCH = [
  exited('Verify archive', verified),
  exited('Find instance', instance),
  exited('Sync code', endedStep('sync', 0)),
  exited('Start training', jobStep('train')),
  exited('Confirm PID', jobStep('train', { cursor: { offset: 4, eventTime: 5 } })),
  entered('Watch training'),
];

function stop(
  answers: (object | Error)[],
  options: { status?: Execution['status']; events?: StateEvent[]; files?: FakeRunFiles; logs?: FakeLogStore } = {},
) {
  const executions = new FakeExecutions();
  const { arn } = run;
  const failed = { error: 'States.Runtime', cause: 'a variable is missing' };
  const status = options.status ?? 'ABORTED';
  executions.states.set(arn, execution({ status, ...(status === 'FAILED' ? failed : {}) }));
  executions.histories.set(arn, options.events ?? UNTIL_WATCH);
  const input = JSON.stringify({ step: jobStep('train') });
  executions.states.set(WATCH, execution({ arn: WATCH, input }));
  executions.histories.set(WATCH, [
    exited('Poll logs', jobStep('train', { polls: 9, cursor: { offset: 8, eventTime: 9 } })),
  ]);
  const files = options.files ?? new FakeRunFiles();
  const commands = new FakeCommands(...answers);
  const step = createStop(fakeCleanUpPorts(commands, { files, executions, logs: options.logs ?? new FakeLogStore() }));
  const call = (claimant = 'request-1', detail: object = {}) =>
    step({ detail: { executionArn: arn, ...detail } }, claimant);
  return { call, commands, files, executions };
}

describe('stop-run', () => {
  it('closes the run first, ends the nested watch, keeps what there is, and ships the rest of the log once', async () => {
    const logs = new FakeLogStore();
    await logs.put('demo-1/train', ['known\n'], 9);
    // A look that was under way at the abort had sent this.
    await logs.put('demo-1/train', ['late\n'], 1_000);
    const log = jobStatus('train', 'late\nlast\n').log;
    const rest = { ...ended('late\nlast\n'), log: { ...log, offset: 8, size: 18 } };
    const { call, commands, files, executions } = stop([stopped, collected, released, rest], { logs });
    expect(await call()).toEqual({ outcome: 'stopped' });
    expect(commands.asked.map(({ request }) => request.verb)).toEqual(['stop', 'collect', 'release', 'poll']);
    expect(executions.stopped).toEqual([WATCH]);
    expect(logs.text('demo-1/train')).toBe('known\nlate\nlast\n');
    expect(manifestSchema.parse(files.json(MANIFEST))).toMatchObject({ outcome: 'stopped', polls: 9, logBytes: 18 });
  });

  it('notes that no process is left as soon as the instance says so, before anything is saved', async () => {
    const ending = answer({ state: 'ending', jobs: { train: 'running' }, files: null, warnings: [] });
    const { call, commands, files } = stop([stopped, ending, ending, collected, released, ended('')]);
    const askedBefore: number[] = [];
    const write = files.write.bind(files);
    files.write = async (key, text, options) => {
      if (key === 'runs/demo-1/stopped.json') askedBefore.push(commands.asked.length);
      return await write(key, text, options);
    };
    await call();
    // stop, collect three times: the third says that the training has ended.
    expect(askedBefore).toEqual([4]);
    expect(files.json('runs/demo-1/stopped.json')).toEqual({ at: expect.stringMatching(/^\d{4}-.*Z$/) });
  });

  it('does not note so of an instance that never answered', async () => {
    const silent = Array.from({ length: 40 }, () => new RunError('AgentSilent', 'no answer'));
    const { call, files } = stop(silent);
    await call();
    expect(files.objects.has('runs/demo-1/stopped.json')).toBe(false);
    expect(files.objects.has(MANIFEST)).toBe(true);
  });

  it('is the same when it comes twice: at once, later, and as Lambda’s own second try', async () => {
    const files = new FakeRunFiles();
    const first = stop([new Error('the function died')], { files });
    await first.call('request-1').catch(() => undefined);
    files.objects.delete(MANIFEST);
    expect(await stop([], { files }).call('request-2')).toEqual({ outcome: 'another call is stopping it' });
    const again = stop([stopped, collected, released, ended('')], { files });
    expect(await again.call('request-1')).toEqual({ outcome: 'stopped' });
    expect(await stop([], { files }).call('request-3')).toEqual({ outcome: 'done before' });
    const holding = stop([stopped, released, ended('')], { files });
    expect(await holding.call('request-1', { holdsInstance: true })).toEqual({ outcome: 'released' });
  });

  it.each([
    ['an execution that runs', 'RUNNING', run.arn],
    ['another machine', 'ABORTED', 'arn:aws:states:eu-central-1:111122223333:execution:other:demo-1'],
    ['what AWS does not know', 'ABORTED', `${run.arn}-unknown`],
  ] as const)('does nothing for %s', async (_, status, executionArn) => {
    const { call, commands, files } = stop([], { status });
    expect(await call('request-1', { executionArn })).toEqual({ outcome: 'not an ended run' });
    expect(commands.asked).toEqual([]);
    expect(files.objects.size).toBe(0);
  });

  it('ends a run whose end Step Functions shows later than it reports it', async () => {
    const { call, executions } = stop([stopped, collected, released, ended('')]);
    const shown = executions.states.get(run.arn);
    const describe = executions.describe.bind(executions);
    let looks = 0;
    executions.describe = async (arn) => {
      if (arn === run.arn) looks += 1;
      return shown && arn === run.arn && looks < 4 ? { ...shown, status: 'RUNNING' } : await describe(arn);
    };
    expect(await call()).toEqual({ outcome: 'stopped' });
    expect(looks).toBe(4);
  });

  it('touches no instance when none was found yet', async () => {
    const { call, commands, files } = stop([], { events: [exited('Verify archive', verified)] });
    expect(await call()).toEqual({ outcome: 'stopped' });
    expect(commands.asked).toEqual([]);
    expect(manifestSchema.parse(files.json(MANIFEST))).toMatchObject({ instance: null, jobs: { train: null } });
  });

  it.each([
    ['TIMED_OUT', 'timed-out', 'RunTimedOut'],
    ['FAILED', 'internal', 'Internal'],
  ] as const)('%s is %s', async (status, outcome, error) => {
    const { call, files } = stop([stopped, collected, released, ended('')], { status });
    expect(await call()).toEqual({ outcome });
    expect(manifestSchema.parse(files.json(MANIFEST))).toMatchObject({ outcome, error });
  });
});
