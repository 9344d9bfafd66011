import { describe, expect, it } from 'vitest';
import type { Prices } from '../../../aws/prices.ts';
import { RunError } from '../../../core/errors.ts';
import type { StartRequest } from '../../../core/protocol/messages.ts';
import type { FoundInstance } from '../../../core/workflow/choose-instance.ts';
import type { Instance, JobInput, PowerInput, Starting } from '../../../core/workflow/data.ts';
import { BOOT_S } from '../../../core/workflow/start-instance.ts';
import { createCheck } from '../../../lambdas/check-instance.ts';
import { createConfirm } from '../../../lambdas/confirm-pid.ts';
import { createFind } from '../../../lambdas/find-instance.ts';
import { createInstall } from '../../../lambdas/install-requirements.ts';
import { createStart } from '../../../lambdas/start-training.ts';
import { createSync } from '../../../lambdas/sync-code.ts';
import { MemoryCheckpointStore } from '../../support/fakes/checkpoint-store.ts';
import { FakeLogStore } from '../../support/fakes/log-store.ts';
import { FakeArchives, FakeCommands, fakeNotify, fakePorts } from '../../support/fakes/ports.ts';
import {
  archive,
  exit,
  foundInstance,
  instance,
  jobInput,
  jobStatus,
  jobStep,
  price,
  prices,
  run,
  spec,
  verified,
  watchInput,
} from '../../support/fakes/samples.ts';

const installPorts = (commands: FakeCommands) => ({ ...fakePorts(commands), store: new MemoryCheckpointStore() });
const refusal = (name: string) => ({ protocol: 1, ok: false, error: { name, message: 'why' } });
const busy = jobStatus('sync', '', { state: 'busy', holder: { run: 'other', arn: 'arn:other', since: 1 } });
const done = jobStatus('sync', 'synced\n', { state: 'exited', exit: exit() });

describe('Find instance', () => {
  const power = {
    start: () => Promise.reject(new Error('nobody may start it')),
    stopsAtShutdown: () => Promise.reject(new Error('nobody asks')),
  };
  const find = (state: string, ping: string | null) =>
    createFind({
      instances: { find: () => Promise.resolve([{ ...foundInstance, state }]), ping: () => Promise.resolve(ping) },
      prices,
      power,
      watchPower: () => Promise.reject(new Error('nobody may watch it')),
      now: () => 0,
    })({ ...verified, starting: null });

  it('answers with the instance whose agent is online', async () => {
    expect(await find('running', 'Online')).toEqual({ ...instance, price });
  });

  it('waits for a price as long as the run needs it, and refuses a run with a cap that has none', async () => {
    const instances = { find: () => Promise.resolve([foundInstance]), ping: () => Promise.resolve('Online') };
    const asked: [object, number][] = [];
    const unknown: Prices = {
      priceOf: (...question) => {
        asked.push(question);
        return Promise.resolve(null);
      },
    };
    const findWith = (maxCost: number | null, from: Prices) =>
      createFind({ instances, prices: from, power, watchPower: () => Promise.resolve(), now: () => 0 })({
        ...verified,
        spec: { ...spec, maxCost },
      });
    expect(await findWith(null, unknown)).toEqual({ ...instance, price: null });
    await expect(findWith(5, unknown)).rejects.toMatchObject({
      name: 'PriceUnknown',
      message: expect.stringContaining('g5.xlarge'),
    });
    expect(asked).toEqual([
      [foundInstance.priced, 2_000],
      [foundInstance.priced, 10_000],
    ]);
    expect(await findWith(5, prices)).toMatchObject({ price });
    await expect(findWith(0.001, prices)).rejects.toMatchObject({ name: 'CostCapped' });
  });

  it.each([
    ['running', 'ConnectionLost', 'AgentOffline'],
    ['running', null, 'AgentOffline'],
    ['stopped', 'Online', 'InstanceNotRunning'],
  ])('%s, agent %s: %s', async (state, ping, name) => {
    await expect(find(state, ping)).rejects.toMatchObject({ name });
  });
});

describe('Find instance, of one that runctl may start', () => {
  const managed = { ...foundInstance, tags: { ...foundInstance.tags, 'runctl:power': 'managed' }, startedAt: 500_000 };
  function find(
    changes: Partial<FoundInstance>,
    {
      ping = null as string | null,
      starting = null as Starting | null | 'left out',
      maxCost = null as number | null,
      stops = false as boolean | null,
    } = {},
  ) {
    const started: string[] = [];
    const asked: unknown[] = [];
    const watched: [string, PowerInput, boolean][] = [];
    const answer = createFind({
      watchPower: (name, input) => {
        watched.push([name, input, started.length > 0]);
        return Promise.resolve();
      },
      instances: {
        find: () => Promise.resolve([{ ...managed, ...changes }]),
        ping: (...question) => {
          asked.push(question);
          return Promise.resolve(ping);
        },
      },
      prices,
      power: {
        start: (id) => {
          started.push(id);
          return Promise.resolve(null);
        },
        stopsAtShutdown: () => (stops === null ? Promise.reject(new Error('denied')) : Promise.resolve(stops)),
      },
      now: () => 600_000,
    })({ ...verified, spec: { ...spec, maxCost }, ...(starting === 'left out' ? {} : { starting }) });
    return { answer, started, asked, watched };
  }
  const waiting: Starting = { id: instance.id, kind: 'booting', message: 'm', since: 590, wait: 5, starts: 1 };

  it('starts a stopped one, and answers with what it waits for', async () => {
    const { answer, started, watched } = find({ state: 'stopped' });
    expect(await answer).toEqual({
      starting: expect.objectContaining({ id: instance.id, kind: 'booting', since: 600 }),
    });
    expect(started).toEqual([instance.id]);
    // What stops it again is there before it starts.
    const input = expect.objectContaining({ stopAfter: 600, wait: BOOT_S, project: 'demo' });
    expect(watched).toEqual([[`${run.key}-go`, input, false]]);
  });

  it('goes on once its agent is online, and counts only what the agent said since the start', async () => {
    const { answer, asked } = find({}, { ping: 'Online', starting: waiting });
    expect(await answer).toEqual({ ...instance, managed: true, price });
    expect(asked).toEqual([[instance.id, 500_000]]);
    expect(await find({}, { starting: waiting }).answer).toMatchObject({ starting: { kind: 'booting', since: 590 } });
    const silent = find({ startedAt: -400_000 }, { starting: waiting });
    await expect(silent.answer).rejects.toMatchObject({ name: 'AgentOffline' });
  });

  it('says whether it may shut itself down: only if that stops it, and when that is known', async () => {
    const online = (stops: boolean | null) => find({}, { ping: 'Online', stops }).answer;
    expect(await online(true)).toMatchObject({ mayShutDown: true });
    expect(await online(false)).not.toHaveProperty('mayShutDown');
    expect(await online(null)).not.toHaveProperty('mayShutDown');
    const of = (tags: object) => find({ tags: { ...foundInstance.tags, ...tags } }, { ping: 'Online', stops: true });
    expect(await of({ 'runctl:made-by': 'runctl-bake' }).answer).toMatchObject({ mayShutDown: true });
    expect(await of({}).answer).not.toHaveProperty('mayShutDown');
  });

  it('starts nothing for a run that maxCost does not pay for', async () => {
    const { answer, started } = find({ state: 'stopped' }, { maxCost: 0.001 });
    await expect(answer).rejects.toMatchObject({ name: 'CostCapped' });
    expect(started).toEqual([]);
  });

  it('starts nothing for a run of an older version, which cannot wait, and none without the tag', async () => {
    const old = find({ state: 'stopped' }, { starting: 'left out' });
    await expect(old.answer).rejects.toMatchObject({ name: 'InstanceNotRunning' });
    const untagged = find({ state: 'stopped', tags: foundInstance.tags });
    await expect(untagged.answer).rejects.toMatchObject({ name: 'InstanceNotRunning' });
    expect([...old.started, ...untagged.started]).toEqual([]);
  });
});

describe('Sync code', () => {
  function sync(answers: (object | Error)[], ended: string[] = [], input: Partial<JobInput> = {}) {
    const commands = new FakeCommands(...answers);
    const ports = { ...fakePorts(commands), hasEnded: (arn: string) => Promise.resolve(ended.includes(arn)) };
    const cleared: string[] = [];
    const clearUp = (arn: string) => Promise.resolve(void cleared.push(arn));
    const { notify, notified } = fakeNotify();
    const step = createSync({ ...ports, archives: new FakeArchives(), clearUp, notify, longWait: 600 });
    return { answer: step(jobInput(input)), commands, logs: ports.logs, cleared, notified };
  }

  it('names the program, and a URL of the pinned version, and ships the log', async () => {
    const { answer, commands, logs } = sync([done]);
    expect(await answer).toMatchObject({ job: 'sync', ended: true, ok: true });
    const [asked] = commands.asked;
    expect(asked).toMatchObject({ instanceId: instance.id, program: run.program });
    expect(asked?.request).toMatchObject({
      protocol: 1,
      verb: 'start',
      job: 'sync',
      run: { id: run.id, key: run.key, arn: run.arn },
      ended: [],
      notAfter: 1_795_000_010 + 180,
      sync: { url: 'https://signed.example/v1', sha256: archive.sha256, script: 'train.py', versionId: 'v1' },
    });
    expect(logs.text('demo-1/sync')).toBe('synced\n');
  });

  const managed = { instance: { ...instance, managed: true as const } };
  it.each(['InstanceNotRunning', 'AgentOffline', 'AgentSilent'] as const)(
    '%s: of an instance that may have been stopped meanwhile, the run waits for its next boot, five times in a row',
    async (name) => {
      const gone = new RunError(name, 'why');
      const first = await sync([gone], [], managed).answer;
      expect(first).toMatchObject({ state: 'refused', reason: 'stopping', ended: false, pollFailures: 1 });
      // The start may have had its effect, and its log may be in CloudWatch.
      expect(first.cursor).toEqual({ offset: 0, eventTime: 0, unsettled: 0 });
      await expect(sync([gone]).answer).rejects.toMatchObject({ name });
      const last = { ...first, pollFailures: 5 };
      await expect(sync([gone], [], { ...managed, step: last }).answer).rejects.toMatchObject({ name });
      expect(await sync([done], [], { ...managed, step: last }).answer).toMatchObject({ ended: true, ok: true });
    },
  );

  it('has an instance that may shut itself down do so when no request comes any more', async () => {
    const shutdownOf = async (more: Partial<Instance>, own: object = {}) => {
      const input = { instance: { ...instance, ...more }, spec: { ...spec, ...own } };
      const { answer, commands } = sync([done], [], input);
      await answer;
      const [asked] = commands.asked;
      return (asked?.request as StartRequest | undefined)?.shutdown;
    };
    const may = { managed: true, mayShutDown: true } as const;
    expect(await shutdownOf(may)).toEqual({ after: 660 });
    expect(await shutdownOf(may, { stopAfter: 3_600 })).toEqual({ after: 3_660 });
    // Not within the pauses of a run whose functions work.
    expect(await shutdownOf(may, { stopAfter: 0 })).toEqual({ after: 660 });
    expect(await shutdownOf(may, { stopAfter: 'never' })).toBeUndefined();
    expect([await shutdownOf({ managed: true }), await shutdownOf({})]).toEqual([undefined, undefined]);
    // One that a bake made: no run of a person uses it, whatever stopAfter the project asks for.
    expect(await shutdownOf({ mayShutDown: true }, { stopAfter: 'never' })).toEqual({ after: 660 });
  });

  it('ends with an error of its own on a managed instance, too', async () => {
    const broken = sync([new RunError('RunnerBroken', 'why')], [], managed);
    await expect(broken.answer).rejects.toMatchObject({ name: 'RunnerBroken' });
  });

  it('keeps the URL out of what it answers', async () => {
    expect(JSON.stringify(await sync([done]).answer)).not.toContain('signed.example');
  });

  it('leaves a busy instance to a holder that still runs', async () => {
    const { answer, commands } = sync([busy]);
    expect(await answer).toMatchObject({ state: 'busy', holder: { run: 'other' }, ended: false });
    expect(commands.asked.length).toBe(1);
  });

  it('has stop-run clear up after a holder that has ended, once, and waits for it', async () => {
    const { answer, commands, cleared } = sync([busy], ['arn:other']);
    const step = await answer;
    expect(step).toMatchObject({ state: 'busy', waiting: { over: null, clearing: { arn: 'arn:other' } } });
    expect(cleared).toEqual(['arn:other']);
    expect(commands.asked[0]?.request).toMatchObject({ ended: [], queue: { ttl: 780 } });
    const again = sync([busy], ['arn:other'], { step });
    expect(await again.answer).toMatchObject({ waiting: { clearing: step.waiting?.clearing } });
    expect(again.cleared).toEqual([]);
  });

  it('has the instance itself kill what is left when the clean-up does not come to its end', async () => {
    const clearing = { arn: 'arn:other', since: 1_795_000_010 - 1_201 };
    const step = { ...(await sync([busy]).answer), waiting: { since: clearing.since, over: null, clearing } };
    const { answer, commands } = sync([done], ['arn:other'], { step });
    expect(await answer).toMatchObject({ state: 'exited', ok: true });
    expect(commands.asked[0]?.request).toMatchObject({ ended: ['arn:other'] });
  });

  it('sends the instance the runs ahead that have ended', async () => {
    const queue = {
      place: 3,
      length: 3,
      since: 1,
      ahead: [
        { run: 'a', arn: 'arn:a' },
        { run: 'b', arn: 'arn:b' },
      ],
    };
    const { answer, commands } = sync(
      [
        { ...busy, queue },
        { ...busy, queue: { ...queue, place: 2 } },
      ],
      ['arn:b'],
    );
    expect(await answer).toMatchObject({ queue: { place: 2 }, waiting: { over: null } });
    expect(commands.asked[1]?.request).toMatchObject({ ended: ['arn:b'] });
  });

  it('notifies people once that the run is waiting long', async () => {
    const waits = (seconds: number, more: object = {}) =>
      jobStep('sync', {
        state: 'busy',
        waiting: { since: 1_795_000_010 - seconds, over: null, clearing: null, ...more },
      });
    const early = sync([busy], [], { step: waits(599) });
    expect((await early.answer).waiting?.notified).toBeUndefined();
    expect(early.notified).toEqual([]);
    const late = sync([busy], [], { step: waits(600) });
    const step = await late.answer;
    expect(late.notified).toMatchObject([{ kind: 'waiting', waited: 600, holder: 'other', project: 'demo' }]);
    const later = sync([busy], [], { step });
    expect(await later.answer).toMatchObject({ waiting: { notified: true } });
    expect(later.notified).toEqual([]);
    const last = sync([busy], [], { step: waits(90_000) });
    expect(await last.answer).toMatchObject({ waiting: { over: 'max-wait' } });
    expect(last.notified).toEqual([]);
  });

  it.each(['skip', 'refuse'] as const)('%s: leaves no ticket, and waits only for a clean-up', async (ifBusy) => {
    const input = { spec: { ...spec, ifBusy } };
    const { answer, commands } = sync([busy], [], input);
    expect(await answer).toMatchObject({ waiting: { over: ifBusy } });
    expect(commands.asked[0]?.request).toMatchObject({ queue: null });
    expect(await sync([busy], ['arn:other'], input).answer).toMatchObject({ waiting: { over: null } });
  });

  it.each(['DiskFull', 'NoUser', 'NoHome', 'PythonMissing', 'RunnerBroken'])(
    '%s of the runner is the step’s error',
    async (name) => {
      await expect(sync([refusal(name)]).answer).rejects.toMatchObject({ name, message: 'why' });
    },
  );

  it('calls a refusal that the table does not know a defect', async () => {
    await expect(sync([refusal('BadRequest')]).answer).rejects.toMatchObject({
      name: 'RunnerBroken',
      message: 'BadRequest: why',
    });
  });

  it('takes an answer whose log cannot be read for none', async () => {
    const unreadable = jobStatus('sync', '', { log: { offset: 9, bytes: 3, size: 12, data: '', put: null } });
    await expect(sync([unreadable]).answer).rejects.toMatchObject({ name: 'AgentSilent' });
  });
});

describe('Install requirements', () => {
  it('starts the job with the program that the run began with', async () => {
    const commands = new FakeCommands(jobStatus('install', ''));
    await createInstall(installPorts(commands))(jobInput({ spec: { ...spec, secrets: { A: 'ssm:/a' } } }));
    expect(commands.asked[0]).toMatchObject({
      program: run.program,
      request: {
        job: 'install',
        install: {
          requirements: 'requirements.txt',
          installer: 'auto',
          python: null,
          env: {},
          secrets: { A: 'ssm:/a' },
        },
      },
    });
  });

  it('starts a job that was interrupted again, and remembers it', async () => {
    const commands = new FakeCommands(jobStatus('install', ''), jobStatus('install', ''), jobStatus('install', ''));
    const install = createInstall(installPorts(commands));
    expect(await install(jobInput({}))).not.toHaveProperty('again');
    const step = jobStep('install', { state: 'vanished', ended: true });
    const restarted = await install({ ...jobInput({}), step });
    expect(restarted.again).toBe(true);
    expect(commands.asked.map(({ request }) => request)).toMatchObject([{ again: false }, { again: true }]);
  });

  it('lasts no longer than maxCost pays for', async () => {
    const commands = new FakeCommands(...Array.from({ length: 3 }, () => jobStatus('install', '')));
    const install = createInstall(installPorts(commands));
    const priced = { ...instance, price: { ...price, usdPerHour: 3.6 } };
    const heldSince = '2026-11-24T10:00:05.000Z';
    const step = await install(jobInput({ spec: { ...spec, maxCost: 1 }, instance: priced, heldSince }));
    expect(step.costCap).toEqual({ seconds: 985, usedSeconds: 5 });
    expect(await install(jobInput({ instance: priced, heldSince }))).not.toHaveProperty('costCap');
    // An install that ends after six hours, as every one does, has not reached the cap.
    const rich = { ...spec, maxCost: 22 };
    expect(await install(jobInput({ spec: rich, instance: priced, heldSince }))).not.toHaveProperty('costCap');
    const [capped, free] = commands.asked.map(({ request }) => (request as { install: object }).install);
    expect(capped).toMatchObject({ maxDuration: 985 });
    expect(free).not.toHaveProperty('maxDuration');
  });

  it('has nothing to do without requirements', async () => {
    const input = jobInput({ archive: { ...archive, requirements: null } });
    await expect(createInstall(installPorts(new FakeCommands()))(input)).rejects.toMatchObject({
      name: 'Internal',
    });
  });
});

describe('Start training', () => {
  it('hands on args and env to the letter, and answers with the PID', async () => {
    const commands = new FakeCommands(jobStatus('train', '', { pid: 99 }));
    const args = ['$(id)', '; rm -rf /', '{{ssm:/x}}', '\n', "'"];
    const secrets = { TOKEN: 'secretsmanager:hf#token' };
    const input = jobInput({ spec: { ...spec, args, env: { A: '$$' }, secrets } });
    expect(await createStart(fakePorts(commands))(input)).toMatchObject({ pid: 99, confirmed: false });
    expect(commands.asked[0]).toMatchObject({
      program: run.program,
      request: {
        wait: 0,
        train: {
          script: 'train.py',
          args,
          env: { A: '$$' },
          secrets,
          python: null,
          maxDuration: 86_400,
          stopGrace: 30,
          lingerGrace: 60,
        },
      },
    });
  });

  it('sends no log again that an earlier visit has sent', async () => {
    const logs = new FakeLogStore();
    await logs.put('demo-1/train', ['loss=1\n'], 1_000);
    const commands = new FakeCommands(jobStatus('train', 'loss=1\nloss=2\n'));
    const input = jobInput({ spec, step: null });
    await createStart(fakePorts(commands, logs))(input);
    expect(logs.text('demo-1/train')).toBe('loss=1\nloss=2\n');
  });

  it('reads the metrics of a training that was over at once, from its first line on', async () => {
    const commands = new FakeCommands(jobStatus('train', 'epoch=1 loss=0.5\n'));
    const { metrics } = await createStart(fakePorts(commands))(jobInput({ spec, step: null }));
    expect(JSON.stringify(metrics)).toContain('"loss"');
  });

  it('asks for no secrets in a run that began before there were any', async () => {
    const commands = new FakeCommands(jobStatus('train', ''), jobStatus('install', ''));
    const { secrets: _, ...old } = spec;
    const input = jobInput({ spec: old as typeof spec });
    await createStart(fakePorts(commands))(input);
    await createInstall(installPorts(commands))(input);
    expect(commands.asked.map(({ request }) => request)).toMatchObject([
      { train: { secrets: {} } },
      { install: { secrets: {} } },
    ]);
  });

  it('reads the metrics in the first of the log, of which the rest may be; so does Confirm PID', async () => {
    const started = await createStart(fakePorts(new FakeCommands(jobStatus('train', 'Epoch 7/9\n'))))(jobInput());
    const commands = new FakeCommands(jobStatus('train', 'Epoch 7/9\nLoss: 0.5\n'));
    const confirm = createConfirm({ ...fakePorts(commands), notify: fakeNotify().notify });
    const step = await confirm(watchInput(started));
    expect(step.metrics?.values).toEqual([{ name: 'Loss', step: 7, value: 0.5 }]);
  });

  it('gives no more time than maxCost pays for, and says so', async () => {
    const commands = new FakeCommands(...Array.from({ length: 3 }, () => jobStatus('train', '')));
    const start = createStart(fakePorts(commands));
    const input = (maxCost: number, changes: object = {}) =>
      jobInput({
        spec: { ...spec, maxCost, ...changes },
        instance: { ...instance, price: { ...price, usdPerHour: 3.6 } },
        heldSince: '2026-11-24T09:58:30.000Z', // 100 s before.
      });
    expect((await start(input(1))).costCap).toEqual({ seconds: 870, usedSeconds: 100 });
    expect(await start(input(1, { maxDuration: 869 }))).not.toHaveProperty('costCap');
    expect(await start(input(1_000))).not.toHaveProperty('costCap');
    const limits = commands.asked.map(({ request }) => (request as { train: object }).train);
    expect(limits).toMatchObject([{ maxDuration: 870 }, { maxDuration: 869 }, { maxDuration: 86_400 }]);
    await expect(start(input(0.13))).rejects.toMatchObject({ name: 'CostCapped' });
    expect(commands.asked.length).toBe(3);
  });

  it('gives a further attempt what those before it left of maxCost and maxDuration', async () => {
    const commands = new FakeCommands(...Array.from({ length: 2 }, () => jobStatus('train', '')));
    const start = createStart(fakePorts(commands));
    const input = (trainedSeconds: number) =>
      jobInput({
        run: { ...run, attempt: 2, trainedSeconds, spentUsd: 0.4 },
        spec: { ...spec, maxCost: 1, maxDuration: 1_000 },
        instance: { ...instance, price: { ...price, usdPerHour: 3.6 } },
        heldSince: '2026-11-24T09:58:30.000Z', // 100 s before.
      });
    expect((await start(input(300))).costCap).toEqual({ seconds: 470, usedSeconds: 100, spentUsd: 0.4 });
    expect(await start(input(600))).not.toHaveProperty('costCap');
    const limits = commands.asked.map(({ request }) => (request as { train: object }).train);
    expect(limits).toMatchObject([{ maxDuration: 470 }, { maxDuration: 400 }]);
  });

  it('prefers the user of the spec to the one of the tag', async () => {
    const commands = new FakeCommands(jobStatus('train', ''), jobStatus('train', ''));
    const start = createStart(fakePorts(commands));
    await start(jobInput({ instance: { ...instance, user: 'tagged' } }));
    await start(jobInput({ instance: { ...instance, user: 'tagged' }, spec: { ...spec, user: 'asked' } }));
    expect(commands.asked.map(({ request }) => request.user)).toEqual(['tagged', 'asked']);
  });
});

describe('Confirm PID', () => {
  it.each([
    ['running', null, true],
    ['exited', 0, true],
    ['exited', 1, false],
    ['vanished', null, false],
    ['stopped', 0, false],
    ['absent', null, false],
  ] as const)('%s with code %s: confirmed %s', async (state, code, confirmed) => {
    const status = jobStatus('train', '', { state, exit: code === null ? null : exit({ code }) });
    const { notify, notified } = fakeNotify();
    const confirm = createConfirm({ ...fakePorts(new FakeCommands(status)), notify });
    const step = await confirm(watchInput(jobStep('train')));
    expect(step.confirmed).toBe(confirmed);
    expect(notified).toHaveLength(state === 'running' ? 1 : 0);
  });

  it('leaves an instance that is silent just then to the watch, which confirms it later', async () => {
    const { notify, notified } = fakeNotify();
    const confirm = (answer: object, step = jobStep('train')) =>
      createConfirm({ ...fakePorts(new FakeCommands(answer)), notify })(watchInput(step));
    const silent = await confirm(new RunError('AgentSilent', 'no word'));
    expect(silent).toMatchObject({ state: 'running', ended: false, confirmed: false, polls: 1, pollFailures: 1 });
    expect(notified).toEqual([]);
    expect(await confirm(jobStatus('train', ''), silent)).toMatchObject({ confirmed: true, silentSince: null });
    await expect(confirm(new RunError('AccessDenied', 'no'))).rejects.toMatchObject({ name: 'AccessDenied' });
  });
});

describe('Check instance', () => {
  const check = (state: string | null) =>
    createCheck({ find: () => Promise.resolve(state === null ? [] : [{ ...foundInstance, state }]) })(
      watchInput(jobStep('train')),
    );

  it('continues while EC2 reports the instance as running', async () => {
    expect(await check('running')).toEqual({ state: 'running' });
  });

  it.each([['stopping'], ['stopped'], ['terminated'], [null]])('%s: InstanceLost, with the job', async (state) => {
    await expect(check(state)).rejects.toMatchObject({
      name: 'InstanceLost',
      message: expect.stringContaining('train'),
    });
  });

  it('calls an instance that stopped before the training not running', async () => {
    const gone = createCheck({ find: () => Promise.resolve([]) })(watchInput(jobStep('install')));
    await expect(gone).rejects.toMatchObject({ name: 'InstanceNotRunning' });
  });
});
