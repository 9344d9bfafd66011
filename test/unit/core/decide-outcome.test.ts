import { describe, expect, it } from 'vitest';
import { ERRORS } from '../../../core/errors.ts';
import { decideOutcome, readFailure } from '../../../core/outcome/decide-outcome.ts';
import type { JobState } from '../../../core/protocol/answers.ts';
import type { FinishInput, JobSnapshot, RunOutcome } from '../../../core/workflow/data.ts';
import { endedStep, exit, finishInput, instance, jobStep, price, spec } from '../../support/fakes/samples.ts';

const required = { ...spec, install: 'required' } as const;
const failure = (name: string, cause = 'why', state = 'Sync code') => ({ Error: name, Cause: cause, state });
const failedIn = (job: 'sync' | 'install', name: string, message = 'why') =>
  endedStep(job, 1, { result: { error: { name, message } } });
const end = (job: 'train', state: JobState, changes: Partial<JobSnapshot> = {}) =>
  jobStep(job, { state, ended: true, confirmed: true, ...changes });

const costCap = { seconds: 60, usedSeconds: 30 };
const capped = { spec: { ...spec, maxCost: 0.05 }, instance: { ...instance, price } };

const busy = (over: 'skip' | 'refuse' | 'max-wait') =>
  jobStep('sync', {
    state: 'busy',
    holder: { run: 'other', arn: 'arn:other', since: 1 },
    waiting: { since: 1, over, clearing: null },
  });

interface Cause {
  readonly outcome: string;
  readonly message: string;
  readonly next: string;
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly warnings: string[];
  readonly lastLines: string[];
}
const causeOf = (output: RunOutcome) => JSON.parse(output.cause ?? 'null') as Cause;

const rows: [what: string, changes: Partial<FinishInput>, outcome: string, error: string | null][] = [
  ['exit code 0', {}, 'succeeded', null],
  ['exit code 3', { train: endedStep('train', 3, { confirmed: true }) }, 'failed', 'TrainingFailed'],
  [
    'a signal',
    { train: end('train', 'exited', { exit: exit({ code: null, signal: 'SIGTERM' }) }) },
    'killed',
    'TrainingKilled',
  ],
  [
    'out of memory',
    { train: end('train', 'exited', { exit: exit({ code: null, signal: 'SIGKILL', outOfMemory: true }) }) },
    'out-of-memory',
    'OutOfMemory',
  ],
  ['vanished', { train: end('train', 'vanished') }, 'vanished', 'TrainingVanished'],
  ['exited without exit.json', { train: end('train', 'exited') }, 'failed', 'TrainingFailed'],
  ['absent', { train: jobStep('train', { state: 'absent' }) }, 'vanished', 'TrainingVanished'],
  ['maxDuration', { train: end('train', 'stopped', { reason: 'max-duration' }) }, 'timed-out', 'TrainingTimedOut'],
  [
    'maxDuration, and it tidied up and exited with 0',
    { train: end('train', 'stopped', { reason: 'max-duration', exit: exit({ code: 0 }) }) },
    'timed-out',
    'TrainingTimedOut',
  ],
  [
    'maxCost',
    { ...capped, train: end('train', 'stopped', { reason: 'max-duration', costCap }) },
    'capped',
    'CostCapped',
  ],
  [
    'maxCost, and it saved a checkpoint and exited with 0',
    { ...capped, train: end('train', 'stopped', { reason: 'max-duration', exit: exit({ code: 0 }), costCap }) },
    'capped',
    'CostCapped',
  ],
  [
    'maxCost in an install that was required',
    {
      ...capped,
      spec: { ...capped.spec, install: 'required' },
      install: jobStep('install', { state: 'stopped', ended: true, reason: 'max-duration', costCap }),
      train: null,
    },
    'capped',
    'CostCapped',
  ],
  [
    'maxCost before the training',
    { ...capped, train: null, failure: failure('CostCapped', 'why', 'Start training') },
    'capped',
    'CostCapped',
  ],
  [
    'maxDuration in a run whose maxCost was not reached',
    { ...capped, train: end('train', 'stopped', { reason: 'max-duration' }) },
    'timed-out',
    'TrainingTimedOut',
  ],
  [
    'stopped, with maxCost',
    { ...capped, train: end('train', 'stopped', { reason: 'stop', exit: exit(), costCap }) },
    'stopped',
    'RunStopped',
  ],
  ['stopped', { train: end('train', 'stopped', { reason: 'stop', exit: exit() }) }, 'stopped', 'RunStopped'],
  [
    'a secret that the training cannot have',
    { train: endedStep('train', 127, { result: { error: { name: 'SecretUnavailable', message: 'why' } } }) },
    'instance-unavailable',
    'SecretUnavailable',
  ],
  [
    'a secret that a required install cannot have',
    { spec: required, install: failedIn('install', 'SecretUnavailable'), train: null },
    'instance-unavailable',
    'SecretUnavailable',
  ],
  ['busy', { sync: jobStep('sync', { state: 'busy' }), install: null, train: null }, 'busy', 'InstanceBusy'],
  [
    'no start',
    { sync: jobStep('sync', { state: 'refused', reason: 'too-late' }), install: null, train: null },
    'internal',
    'StartRefused',
  ],
  [
    'a job of an earlier attempt that does not end',
    { sync: jobStep('sync', { state: 'refused', reason: 'attempt-open' }), install: null, train: null },
    'busy',
    'InstanceBusy',
  ],
  [
    'the training refused',
    { train: jobStep('train', { state: 'refused', reason: 'closed' }) },
    'internal',
    'StartRefused',
  ],
  [
    'sync: a disk that is full',
    { sync: failedIn('sync', 'DiskFull'), install: null, train: null },
    'sync-failed',
    'DiskFull',
  ],
  [
    'sync: a name nobody knows',
    { sync: failedIn('sync', 'Strange'), install: null, train: null },
    'sync-failed',
    'SyncFailed',
  ],
  ['sync: died', { sync: endedStep('sync', 137), install: null, train: null }, 'sync-failed', 'SyncFailed'],
  [
    'sync: vanished',
    { sync: jobStep('sync', { state: 'vanished', ended: true }), install: null, train: null },
    'sync-failed',
    'SyncFailed',
  ],
  [
    'required install',
    { spec: required, install: failedIn('install', 'NoInstaller'), train: null },
    'install-failed',
    'NoInstaller',
  ],
  [
    'required install died',
    { spec: required, install: endedStep('install', 2), train: null },
    'install-failed',
    'InstallFailed',
  ],
  [
    'best-effort install failed, training went well',
    { install: failedIn('install', 'InstallFailed') },
    'succeeded',
    null,
  ],
  [
    'Finish run ended what its failed watch had left running',
    { train: end('train', 'stopped', { reason: 'stop' }), failure: failure('AccessDenied', 'why', 'Watch training') },
    'internal',
    'AccessDenied',
  ],
  [
    'the watch failed, and the training had ended well by then',
    { failure: failure('InstanceLost', 'why', 'Watch training') },
    'succeeded',
    null,
  ],
  ['skipped', { sync: busy('skip'), install: null, train: null }, 'skipped', 'RunSkipped'],
  ['refused', { sync: busy('refuse'), install: null, train: null }, 'busy', 'InstanceBusy'],
  ['waited too long', { sync: busy('max-wait'), install: null, train: null }, 'busy', 'InstanceBusy'],
  [
    'a bad spec',
    { run: null, spec: null, sync: null, install: null, train: null, failure: failure('InvalidSpec') },
    'rejected',
    'InvalidSpec',
  ],
  [
    'a bad archive',
    { sync: null, install: null, train: null, failure: failure('ArchiveUnsafeName') },
    'rejected',
    'ArchiveUnsafeName',
  ],
  [
    'no instance',
    { sync: null, install: null, train: null, failure: failure('InstanceNotFound') },
    'instance-unavailable',
    'InstanceNotFound',
  ],
  [
    'a silent agent',
    { sync: null, install: null, train: null, failure: failure('AgentSilent') },
    'instance-unavailable',
    'AgentSilent',
  ],
  ['an instance lost', { train: jobStep('train'), failure: failure('InstanceLost') }, 'instance-lost', 'InstanceLost'],
  ['something strange', { train: jobStep('train'), failure: failure('States.Timeout') }, 'internal', 'Internal'],
  ['a failure after the training ended well', { failure: failure('ServiceUnavailable') }, 'succeeded', null],
  ['nothing at all', { sync: null, install: null, train: null }, 'internal', 'Internal'],
  ['training that still runs', { train: jobStep('train') }, 'internal', 'Internal'],
];

describe('decideOutcome', () => {
  it.each(rows)('%s', (_, changes, outcome, error) => {
    const output = decideOutcome(finishInput(changes));
    expect(output).toMatchObject({ outcome, error });
    if (error === null) expect(output.cause).toBeNull();
    else expect(causeOf(output)).toMatchObject({ outcome, next: ERRORS[error as keyof typeof ERRORS].next });
  });

  it('succeeds with nothing but an exit code 0 of a training that ended', () => {
    const states: JobState[] = ['running', 'exited', 'stopped', 'vanished', 'absent', 'busy', 'refused'];
    for (const state of states) {
      for (const code of [0, 1, 137, null]) {
        for (const ended of [true, false]) {
          const train = jobStep('train', { state, ended, ok: true, exit: exit({ code }) });
          const succeeded = decideOutcome(finishInput({ train })).outcome === 'succeeded';
          expect(succeeded, `${state} ${code} ${ended}`).toBe(state === 'exited' && code === 0 && ended);
        }
      }
    }
  });

  it('reports code, PID and last lines of a failed training', () => {
    const train = endedStep('train', 3, { confirmed: true, pid: 77, tail: ['Traceback', 'ValueError: no'] });
    const output = decideOutcome(finishInput({ train }));
    expect(output).toMatchObject({ pid: 77, exitCode: 3, message: 'Training ended with exit code 3.' });
    expect(causeOf(output)).toMatchObject({ exitCode: 3, lastLines: ['Traceback', 'ValueError: no'] });
  });

  it('reports the last lines of a training that Finish run had to end', () => {
    const train = end('train', 'stopped', {
      reason: 'stop',
      exit: exit({ code: null, signal: 'SIGKILL' }),
      tail: ['step 9'],
    });
    const output = decideOutcome(finishInput({ train, failure: failure('TrainingTimedOut', 'why', 'Watch training') }));
    expect(output).toMatchObject({ outcome: 'timed-out', message: 'why', lastLines: ['step 9'] });
  });

  it('reports after how many seconds a script ended that was never seen running', () => {
    const unseen = (changes: Partial<JobSnapshot>) =>
      decideOutcome(finishInput({ train: { ...endedStep('train', 1), confirmed: false, elapsed: 0.42, ...changes } }))
        .message;
    expect(unseen({})).toBe('The script ended after 0.4 s with exit code 1.');
    expect(unseen({ elapsed: 12.6 })).toBe('The script ended after 13 s with exit code 1.');
    const killed = endedStep('train', 0, {
      exit: { code: null, signal: 'SIGKILL', endedAt: 1, maxRssBytes: null, outOfMemory: false },
    });
    expect(unseen({ exit: killed.exit })).toBe('Training was killed by SIGKILL after 0.4 s.');
    expect(decideOutcome(finishInput({ train: endedStep('train', 1) })).message).toBe(
      'Training ended with exit code 1.',
    );
  });

  it.each(['SIGSEGV', 'SIGABRT', 'SIGBUS', 'SIGFPE', 'SIGILL'])(
    '%s is a crash of native code, which nobody sent',
    (signal) => {
      const exit = { code: null, signal, endedAt: 1, maxRssBytes: null, outOfMemory: false };
      const output = decideOutcome(finishInput({ train: endedStep('train', 0, { exit }) }));
      expect(output).toMatchObject({ outcome: 'killed', signal });
      expect(output.message).toMatch(/crashed in native code: SIG/);
      expect(causeOf(output).next).toContain('PYTHONFAULTHANDLER=1');
    },
  );

  it.each([
    ['MemoryError', /allocation of memory failed; it had used 2/, /more memory/],
    [
      'numpy._core._exceptions._ArrayMemoryError: Unable to allocate 7 GiB',
      /allocation of memory failed/,
      /more memory/,
    ],
    [
      "RuntimeError: [enforce fail] DefaultCPUAllocator: can't allocate memory",
      /allocation of memory failed/,
      /more memory/,
    ],
    ['torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB', /memory of the GPU/, /GPU has more memory/],
  ])('names memory when the script gave up by itself: %s', (line, message, next) => {
    const exit = { code: 1, signal: null, endedAt: 1, maxRssBytes: 2 * 1024 ** 3, outOfMemory: false };
    const output = decideOutcome(finishInput({ train: endedStep('train', 1, { exit, tail: ['Traceback', line] }) }));
    expect(output.outcome).toBe('failed');
    expect(output.message).toMatch(message);
    expect(causeOf(output).next).toMatch(next);
  });

  it.each([
    ['7', /The worker of rank 2 ended first, with exit code 7\.$/, /^Read the last lines/],
    ['-11', /The worker of rank 2 ended first, by SIGSEGV\.$/, /PYTHONFAULTHANDLER/],
    ['-9', /The worker of rank 2 ended first, by SIGKILL\.$/, /more memory/],
    ['-15', /The worker of rank 2 ended first, by signal 15\.$/, /^Read the last lines/],
  ])('names the worker that failed first, when torchrun says so: %s', (code, message, next) => {
    // As torchrun of PyTorch 2.13 prints it.
    const worker = (rank: number, exit: string) => [
      '  host      : localhost',
      `  rank      : ${rank} (local_rank: ${rank})`,
      `  exitcode  : ${exit} (pid: 27438)  (SIGTERM)`,
      '  error_file: <N/A>',
    ];
    const first = ['Root Cause (first observed failure):', '[0]:', ...worker(2, code), '='.repeat(60)];
    const tail = ['train.py FAILED', 'Failures:', '[1]:', ...worker(0, '-15'), '-'.repeat(60), ...first];
    const { message: said, next: does } = decideOutcome(finishInput({ train: endedStep('train', 1, { tail }) }));
    expect(said).toMatch(message);
    expect(does).toMatch(next);
    const others = decideOutcome(finishInput({ train: endedStep('train', 1, { tail: tail.slice(0, -8) }) }));
    expect(others.message).toBe('Training ended with exit code 1.');
  });

  it('names the missing module, whatever the install did', () => {
    const tail = ['Traceback', "ModuleNotFoundError: No module named 'torch.utils'"];
    const output = decideOutcome(finishInput({ install: null, train: endedStep('train', 1, { tail }) }));
    expect(output.message).toBe('Training ended with exit code 1. Python has no module torch.utils.');
    expect(output.next).toMatch(/^Add the package of torch\.utils to the requirements/);
    const forged = ["ModuleNotFoundError: No module named 'x'; run $(this)"];
    expect(decideOutcome(finishInput({ train: endedStep('train', 1, { tail: forged }) })).next).toMatch(
      /module x|of x /,
    );
  });

  it.each([
    [137, /SIGKILL ended a process/, /too little memory/],
    [247, /SIGKILL ended a process/, /too little memory/],
    [139, /SIGSEGV \(segmentation fault\) ended a process/, /PYTHONFAULTHANDLER/],
    [250, /SIGABRT \(abort\) ended a process/, /PYTHONFAULTHANDLER/],
    [1, /^Training ended with exit code 1\.$/, /^Read the last lines/],
    [120, /^Training ended with exit code 120\.$/, /^Read the last lines/],
    [194, /^Training ended with exit code 194\.$/, /^Read the last lines/],
    [255, /^Training ended with exit code 255\.$/, /^Read the last lines/],
  ])('says what exit code %d means', (code, message, next) => {
    const output = decideOutcome(finishInput({ train: endedStep('train', code, { confirmed: true }) }));
    expect(output.error).toBe('TrainingFailed');
    expect(output.message).toMatch(message);
    expect(output.next).toMatch(next);
  });

  it('names the run in what to do next', () => {
    const killed = finishInput({ train: end('train', 'exited', { exit: exit({ code: null, signal: 'SIGTERM' }) }) });
    expect(decideOutcome(killed, null, 'digits-1').next).toContain('runctl logs digits-1.');
    const failed = failedIn('sync', 'SyncFailed');
    const output = decideOutcome(finishInput({ sync: failed, install: null, train: null }), null, 'digits-1');
    expect(causeOf(output).next).toContain('runctl logs digits-1 --sync');
  });

  it('names the key module when a script of a package was run by its path', () => {
    const tail = ['Traceback', 'ImportError: attempted relative import with no known parent package'];
    const install = failedIn('install', 'InstallFailed', 'no version of torch fits');
    const output = decideOutcome(finishInput({ install, train: endedStep('train', 1, { tail }) }));
    expect(output.message).toContain('has relative imports');
    expect(causeOf(output).next).toContain('module: package.train');
  });

  it('says what the supervisor knows beside the exit code', () => {
    const result = { error: { name: 'DiskFull', message: 'the filesystem of /data is full' } };
    expect(decideOutcome(finishInput({ train: endedStep('train', 1, { result }) })).message).toContain('/data is full');
  });

  it('carries the warnings of an install that succeeded', () => {
    const install = endedStep('install', 0, { result: { warnings: ['The project b installed another version.'] } });
    expect(decideOutcome(finishInput({ install, train: endedStep('train', 0) })).warnings).toEqual([
      'The project b installed another version.',
    ]);
  });

  it('names a failed install as the likely cause of a missing module', () => {
    const install = failedIn('install', 'InstallFailed', 'no version of torch fits');
    const missing = endedStep('train', 1, { tail: ['Traceback', "ModuleNotFoundError: No module named 'torch'"] });
    const output = decideOutcome(finishInput({ install, train: missing }));
    expect(output.warnings).toEqual(['The install failed: no version of torch fits']);
    expect(causeOf(output).warnings).toEqual(output.warnings);
    expect(output.message).toMatch(/Likely cause: the requirements were not installed/);
    expect(causeOf(output).next).toMatch(/^Correct the requirements/);
    const other = endedStep('train', 1, { tail: ['ValueError: no'] });
    expect(decideOutcome(finishInput({ install, train: other })).message).not.toMatch(/Likely/);
    expect(decideOutcome(finishInput({ train: missing })).message).not.toMatch(/Likely/);
  });

  it('carries a failed install as a warning when the training went well', () => {
    const output = decideOutcome(finishInput({ install: failedIn('install', 'InstallFailed'), warnings: ['old'] }));
    expect(output).toMatchObject({ outcome: 'succeeded', warnings: ['old', 'The install failed: why'] });
  });

  it('says who holds a busy instance, and since when', () => {
    const holder = { run: 'other-1', arn: 'arn:x', since: 1_795_000_000 };
    const sync = jobStep('sync', { state: 'busy', holder });
    const { message } = decideOutcome(finishInput({ sync, install: null, train: null }));
    expect(message).toBe('The instance is busy with run other-1 since 2026-11-18T11:06:40.000Z.');
  });

  it('keeps at most the last 20 lines and 4 KB', () => {
    const tail = Array.from({ length: 50 }, (_, line) => `${line}`);
    const last = (lines: string[]) =>
      causeOf(decideOutcome(finishInput({ train: endedStep('train', 1, { tail: lines }) }))).lastLines;
    expect(last(tail)).toEqual(tail.slice(-20));
    const long = Array.from({ length: 20 }, (_, line) => `${line}${'€'.repeat(200)}`);
    expect(Buffer.byteLength(last(long).join('\n'))).toBeLessThanOrEqual(4096);
    expect(last(long).at(-1)).toBe(long.at(-1));
    expect(last([`begin${'€'.repeat(4000)}end`])[0]).toMatch(/^€+end$/);
    expect(Buffer.byteLength(last([`begin${'€'.repeat(4000)}end`]).join('\n'))).toBeLessThanOrEqual(4096);
  });

  it('keeps the cause within what a Fail state takes, however its parts are written as JSON', () => {
    const NUL = '\0';
    const tail = Array.from({ length: 20 }, () => NUL.repeat(200));
    const warnings = Array.from({ length: 50 }, (_, number) => `${number}: ${NUL.repeat(500)}`);
    const train = endedStep('train', 1, { tail, result: { error: { name: 'X', message: NUL.repeat(20_000) } } });
    const output = decideOutcome({ ...finishInput({ train }), warnings });
    expect(output.cause?.length).toBeLessThan(32_000);
    const cause = causeOf(output);
    expect(cause.warnings.at(-1)).toMatch(/^\d+ more warnings are in the manifest\.$/);
    expect(cause.lastLines.length).toBeGreaterThan(2);
    expect(output.warnings).toHaveLength(50);
  });

  it('keeps the cause within what a Fail state takes', () => {
    const output = decideOutcome(
      finishInput({ train: null, sync: null, failure: failure('InvalidSpec', 'x'.repeat(200_000)) }),
    );
    expect(output.cause?.length).toBeLessThan(32_768);
  });
});

describe('readFailure', () => {
  const lambda = (errorType: string, errorMessage: string) => JSON.stringify({ errorType, errorMessage, trace: [] });

  it('takes the message of a named error out of the cause', () => {
    expect(readFailure(failure('AgentOffline', lambda('AgentOffline', 'i-1 is offline')))).toEqual({
      name: 'AgentOffline',
      message: 'i-1 is offline',
    });
  });

  it('says of an instance that was lost with the rest of a log how its training had ended', () => {
    const progress = {
      lineage: 'demo-1',
      committed: 0,
      latest: null,
      kept: [],
      uploading: null,
      warnings: [],
      drainingSince: null,
    };
    const notice = { action: 'terminate', time: 1_795_514_400 } as const;
    const decided = (train: Partial<JobSnapshot>) =>
      decideOutcome(
        finishInput({ train: jobStep('train', train), failure: failure('InstanceLost', 'i-1 is stopped.') }),
      );
    for (const checkpoints of [progress, { ...progress, notice }]) {
      expect(decided({ state: 'exited', exit: exit({ code: 0 }), checkpoints })).toMatchObject({
        outcome: 'instance-lost',
        message: 'i-1 is stopped. Before that: Training ended with exit code 0.',
        exitCode: 0,
      });
    }
    expect(decided({ checkpoints: { ...progress, notice } })).toMatchObject({ outcome: 'interrupted', exitCode: null });
  });

  it('unwraps the failure of a nested watch', () => {
    const nested = {
      ExecutionArn: 'arn',
      Status: 'FAILED',
      Error: 'InstanceLost',
      Cause: lambda('InstanceLost', 'gone'),
    };
    expect(readFailure(failure('States.TaskFailed', JSON.stringify(nested)))).toEqual({
      name: 'InstanceLost',
      message: 'gone',
    });
  });

  it.each([
    ['States.Timeout', 'took too long'],
    ['Lambda.Unknown', ''],
    ['TypeError', lambda('TypeError', 'x is undefined')],
    ['States.TaskFailed', '{"Status":"ABORTED"}'],
    ['States.TaskFailed', 'not json'],
    ['toString', '[]'],
    ['States.DataLimitExceeded', 'null'],
  ])('calls %s internal, and says in which state it was', (error, cause) => {
    const { name, message } = readFailure(failure(error, cause, 'Watch training'));
    expect(name).toBe('Internal');
    expect(message).toMatch(/^Watch training: /);
    expect(message.length).toBeLessThan(1_200);
  });
});

describe('an execution that was ended from outside', () => {
  it.each([
    ['stopped', 'stopped', 'RunStopped'],
    ['timed-out', 'timed-out', 'RunTimedOut'],
  ] as const)('%s: never succeeded, also when the training had just ended well', (interrupted, outcome, error) => {
    const decided = decideOutcome(finishInput(), interrupted);
    expect(decided).toMatchObject({ outcome, error, exitCode: 0 });
    expect(decided.message).toContain('Before that: Training ended with exit code 0.');
    expect(decideOutcome(finishInput({ train: null }), interrupted).message).not.toContain('Before that');
  });
});
