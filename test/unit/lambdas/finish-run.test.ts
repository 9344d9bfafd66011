import { describe, expect, it } from 'vitest';
import { RunError } from '../../../core/errors.ts';
import { watchName } from '../../../core/names.ts';
import { manifestSchema } from '../../../core/outcome/manifest-schema.ts';
import { createFinish } from '../../../lambdas/finish-run.ts';
import { FakeLogStore } from '../../support/fakes/log-store.ts';
import { FakeCommands, FakeExecutions, FakeRunFiles, fakeCleanUpPorts } from '../../support/fakes/ports.ts';
import { endedStep, execution, exit, finishInput, jobStatus, jobStep, run, spec } from '../../support/fakes/samples.ts';

const answer = (fields: object) => ({ protocol: 1, ok: true, ...fields });
const collected = (names: readonly string[]) =>
  answer({
    state: 'collected',
    jobs: { sync: 'exited', train: 'exited' },
    files: names.map((name) => ({ name, bytes: 7, sha256: 'c'.repeat(64) })),
    warnings: [],
  });
const uploaded = answer({ state: 'uploaded', failed: {} });
const released = answer({ released: true, jobs: {} });
const KEY = 'runs/demo-1/manifest.json';

function finish(
  answers: (object | Error)[],
  changes: Parameters<typeof finishInput>[0] = {},
  logs = new FakeLogStore(),
) {
  const commands = new FakeCommands(...answers);
  const files = new FakeRunFiles();
  return { output: createFinish(fakeCleanUpPorts(commands, { files, logs }))(finishInput(changes)), commands, files };
}
/** With what is known of the executions. */
function finishKnowing(executions: FakeExecutions, answers: object[], changes: Parameters<typeof finishInput>[0]) {
  return createFinish(fakeCleanUpPorts(new FakeCommands(...answers), { executions }))(finishInput(changes));
}
const manifestOf = (files: FakeRunFiles) => manifestSchema.parse(files.json(KEY));

describe('Finish run', () => {
  it('collects, sends, releases, and leaves a manifest that fits its schema', async () => {
    const { output, commands, files } = finish([collected(['train.log.gz', 'outputs.tar.gz']), uploaded, released]);
    expect(await output).toMatchObject({ outcome: 'succeeded', warnings: [], wait: null });
    expect(commands.asked.map(({ request }) => request.verb)).toEqual(['collect', 'upload', 'release']);
    expect(manifestOf(files)).toMatchObject({
      outcome: 'succeeded',
      outputs: { archive: { key: 'runs/demo-1/outputs.tar.gz', bytes: 7 } },
      logs: [{ job: 'train', key: 'runs/demo-1/train.log.gz' }],
    });
  });

  it('returns while the instance is working, and continues where it stopped', async () => {
    const working = answer({ state: 'collecting', jobs: { train: 'exited' }, files: null, warnings: [] });
    const first = await finish([working]).output;
    expect(first).toMatchObject({ wait: 2, progress: { phase: 'collect' } });
    const second = finish([collected([]), released], { finish: first });
    expect(await second.output).toMatchObject({ outcome: 'succeeded', wait: null });
  });

  it('bears a silent agent for a while, then says what is missing; the outcome stays', async () => {
    const silent = new RunError('AgentSilent', 'no word');
    const first = await finish([silent]).output;
    expect(first).toMatchObject({ wait: 20, progress: { failures: 1 } });
    if (first.wait === null) throw new Error('over too soon');
    const last = { ...first, progress: { ...first.progress, failures: 7 } };
    const { output, files } = finish([silent], { finish: last });
    expect(await output).toMatchObject({ outcome: 'succeeded', warnings: [expect.stringContaining('not collected')] });
    expect(manifestOf(files).outputs.archive).toBe(null);
  });

  it.each([
    ['a refusal', answer({ ok: false, error: { name: 'RunnerBroken', message: 'why' } })],
    ['something unforeseen', new TypeError('x')],
  ])('keeps the outcome when the collecting meets %s: a warning, and the lease is given back', async (_, trouble) => {
    const { output, commands } = finish([trouble, released], { warnings: ['old'] });
    expect(await output).toMatchObject({
      outcome: 'succeeded',
      warnings: ['old', expect.stringContaining('not collected')],
    });
    expect(commands.asked[1]).toMatchObject({ request: { verb: 'release' } });
  });

  it('names what could not be sent', async () => {
    const { output, files } = finish([
      collected(['train.log.gz', 'outputs.tar.gz']),
      answer({ state: 'uploaded', failed: { 'outputs.tar.gz': 'S3 answered 403' } }),
      released,
    ]);
    expect((await output) as object).toMatchObject({ warnings: [expect.stringContaining('S3 answered 403')] });
    expect(manifestOf(files)).toMatchObject({ outputs: { archive: null }, logs: [{ job: 'train' }] });
  });

  it('only gives the ticket back of a run that never had its turn', async () => {
    const waiting = { since: 1, over: 'refuse', clearing: null } as const;
    const sync = jobStep('sync', { state: 'busy', waiting });
    const { output, commands } = finish([released], { sync, install: null, train: null });
    expect(await output).toMatchObject({ outcome: 'busy' });
    expect(commands.asked.map(({ request }) => request.verb)).toEqual(['release']);
  });

  it('touches no instance for a rejected run, whose manifest hides what looks like a secret', async () => {
    const failure = { Error: 'InvalidSpec', Cause: 'x', state: 'Verify archive' };
    const none = { run: null, spec: null, archive: null, instance: null, sync: null, install: null, train: null };
    const input = {
      scirpt: 'a.py',
      env: { HF_TOKEN: 'hf_1' },
      args: ['--api-key', 'k1', '--password=p1', '--epochs', '3'],
    };
    const { output, commands, files } = finish([], { ...none, failure, input });
    expect(await output).toMatchObject({ outcome: 'rejected', error: 'InvalidSpec' });
    expect(commands.asked).toEqual([]);
    const manifest = manifestOf(files);
    expect(manifest.spec).toEqual({
      scirpt: 'a.py',
      env: { HF_TOKEN: '***' },
      args: ['--api-key', '***', '--password=***', '--epochs', '3'],
    });
  });

  it('ships what is left of a log when the watch failed, without a byte twice', async () => {
    const logs = new FakeLogStore();
    // A look that is not known of here had sent the first line.
    await logs.put('demo-1/train', ['one\n'], Date.parse('2026-11-24T10:00:05.000Z'));
    const train = jobStep('train', { cursor: { offset: 0, eventTime: 5 } });
    const failure = { Error: 'AccessDenied', Cause: 'x', state: 'Watch training' };
    const ended = jobStatus('train', 'one\ntwo\n', { state: 'stopped', reason: 'stop', exit: exit({ code: null }) });
    const stopped = answer({ state: 'collected', jobs: { train: 'stopped' }, files: [], warnings: [] });
    const gone = answer({ released: true, jobs: { train: 'stopped' } });
    // CloudWatch may not show yet what was sent last.
    const early = await finish([stopped, gone], { train, failure }, logs).output;
    expect(early).toMatchObject({ wait: 22, progress: { phase: 'drain' } });
    if (early.wait === null) throw new Error('over too soon');
    const settled = { ...early, progress: { ...early.progress, logSettledAt: 0 } };
    const { output } = finish([ended], { train, failure, finish: settled }, logs);
    expect(await output).toMatchObject({ outcome: 'internal', error: 'AccessDenied' });
    expect(logs.text('demo-1/train')).toBe('one\ntwo\n');
  });

  it('keeps the first manifest of an execution', async () => {
    const { output, files } = finish([collected([]), released], { train: endedStep('train', 3), spec });
    await output;
    const again = createFinish(fakeCleanUpPorts(new FakeCommands(collected([]), released), { files }));
    await again(finishInput());
    expect(manifestOf(files).outcome).toBe('failed');
  });

  it('asks for the cause of a nested watch that Step Functions has cut; another one is taken as it is', async () => {
    const executions = new FakeExecutions();
    const arn = `arn:aws:states:eu-central-1:111122223333:execution:runctl-watch:${watchName(run.key, 1)}`;
    const Cause = JSON.stringify({ errorMessage: 'InstanceLost: i-1 is terminated' });
    executions.states.set(arn, execution({ arn, status: 'FAILED', error: 'InstanceLost', cause: Cause }));
    const nested = JSON.stringify({ Input: 'x'.repeat(40_000), Error: 'AccessDenied', Cause: 'why' });
    const failure = { Error: 'States.TaskFailed', state: 'Watch training' };
    const ended = (text: string) =>
      finishKnowing(executions, [collected([]), released], {
        watches: 1,
        train: jobStep('train'),
        failure: { ...failure, Cause: text },
      });
    expect(await ended(nested.slice(0, 32_768))).toMatchObject({ error: 'InstanceLost', outcome: 'instance-lost' });
    expect(await ended(nested)).toMatchObject({ error: 'AccessDenied' });
    // Not known, or no more: it stays what it was.
    executions.states.clear();
    expect(await ended(nested.slice(0, 32_768))).toMatchObject({ error: 'Internal' });
  });
});
