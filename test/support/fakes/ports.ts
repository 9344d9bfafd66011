import type { ArchiveStore, OpenArchive } from '../../../aws/archive-store.ts';
import { type Execution, type Executions, isRunning, type ListedExecution } from '../../../aws/executions.ts';
import { RunError } from '../../../core/errors.ts';
import type { InstanceCommands } from '../../../core/job/instance-commands.ts';
import type { RunProgressEvent } from '../../../core/notify/progress-event.ts';
import type { RunFiles } from '../../../core/outcome/write-manifest.ts';
import type { RunnerRequest } from '../../../core/protocol/messages.ts';
import type { ProbeRequest } from '../../../core/protocol/probe.ts';
import type { RunProgram } from '../../../core/workflow/data.ts';
import { isCaught, type StateEvent } from '../../../core/workflow/history.ts';
import { logger } from '../../../lambdas/adapters/logger.ts';
import type { Notify } from '../../../lambdas/adapters/ports.ts';
import { FakeLogStore } from './log-store.ts';

logger.setLogLevel('SILENT'); // failed tests print their own messages

/** Answers requests in order and throws Errors among the answers. More requests than answers fail the test. */
export class FakeCommands implements InstanceCommands {
  readonly asked: { instanceId: string; program: RunProgram; request: RunnerRequest | ProbeRequest }[] = [];
  private readonly answers: (object | Error)[];

  constructor(...answers: (object | Error)[]) {
    this.answers = answers;
  }

  ask(instanceId: string, program: RunProgram, request: RunnerRequest | ProbeRequest): Promise<object> {
    this.asked.push({ instanceId, program, request });
    const answer = this.answers.shift();
    if (answer === undefined) return Promise.reject(new Error('nobody expected another request'));
    return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
  }
}

export function fakePorts(commands: InstanceCommands, logs = new FakeLogStore(), now = 1_795_000_010_000) {
  return { commands, logs, chunks: null, hasEnded: () => Promise.resolve(false), now: () => now };
}

/** Records notifications. */
export function fakeNotify(): { notify: Notify; notified: RunProgressEvent[] } {
  const notified: RunProgressEvent[] = [];
  return { notify: (event) => Promise.resolve(void notified.push(event)), notified };
}

/** One stored upload. */
export class FakeArchives implements ArchiveStore {
  readonly opened: unknown[] = [];
  object: OpenArchive = { versionId: 'v1', size: 0, modifiedAt: null, metadata: null, body: emptyBody() };
  version: string | null = 'v-now';

  missing = false;

  currentVersion(): Promise<string | null> {
    if (this.missing) return Promise.reject(new RunError('ArchiveNotFound', 'gone'));
    return Promise.resolve(this.version);
  }

  open(location: Parameters<ArchiveStore['open']>[0]): Promise<OpenArchive> {
    if (this.missing) return Promise.reject(new RunError('ArchiveNotFound', 'gone'));
    this.opened.push(location);
    return Promise.resolve(this.object);
  }

  presign(location: { versionId: string | null }): Promise<string> {
    return Promise.resolve(`https://signed.example/${location.versionId ?? 'latest'}`);
  }
}

async function* emptyBody(): AsyncGenerator<Uint8Array> {}

/** Step Functions with some executions. `started` are names that exist already. */
export class FakeExecutions implements Executions {
  readonly inputs = new Map<string, object>();
  readonly states = new Map<string, Execution>();
  readonly histories = new Map<string, StateEvent[]>();
  readonly stopped: string[] = [];

  start(_machine: string, name: string, input: object): Promise<boolean> {
    if (this.inputs.has(name)) return Promise.resolve(false);
    this.inputs.set(name, input);
    return Promise.resolve(true);
  }

  running(): Promise<string[]> {
    return Promise.resolve([...this.states.values()].filter(isRunning).map(({ arn }) => arn));
  }

  async *newest(): AsyncGenerator<ListedExecution> {
    yield* [...this.states.values()].sort((a, b) => b.startedAt - a.startedAt);
  }

  hasEnded(arn: string): Promise<boolean> {
    const execution = this.states.get(arn);
    return Promise.resolve(execution === undefined || !isRunning(execution));
  }

  describe(arn: string): Promise<Execution | null> {
    return Promise.resolve(this.states.get(arn) ?? null);
  }

  history(arn: string): Promise<StateEvent[]> {
    return Promise.resolve(this.histories.get(arn) ?? []);
  }

  async beginning(arn: string): Promise<StateEvent[]> {
    return (await this.history(arn)).slice(0, 50);
  }

  async lastState(arn: string): Promise<string | null> {
    return (await this.history(arn)).findLast(({ kind }) => kind === 'entered')?.state ?? null;
  }

  async lastOutput(arn: string, state: string): Promise<string | null> {
    const exits = (await this.history(arn)).filter(
      (event) => event.kind === 'exited' && event.state === state && !isCaught(event.output),
    );
    return exits.at(-1)?.output ?? null;
  }

  stop(arn: string): Promise<void> {
    this.stopped.push(arn);
    return Promise.resolve();
  }
}

/** The part of the bucket that runs write. */
export class FakeRunFiles implements RunFiles {
  readonly bucket = 'uploads-bucket';
  readonly objects = new Map<string, Uint8Array>();

  presignPut(key: string): Promise<string> {
    return Promise.resolve(`https://signed.example/put/${key}`);
  }

  read(key: string): Promise<Uint8Array> {
    const object = this.objects.get(key);
    return object ? Promise.resolve(object) : Promise.reject(new Error(`there is no ${key}`));
  }

  exists(key: string): Promise<boolean> {
    return Promise.resolve(this.objects.has(key));
  }

  write(key: string, text: string, { onlyFirst }: { onlyFirst: boolean }): Promise<boolean> {
    if (onlyFirst && this.objects.has(key)) return Promise.resolve(false);
    this.objects.set(key, Buffer.from(text));
    return Promise.resolve(true);
  }

  json(key: string): Record<string, unknown> {
    return JSON.parse(Buffer.from(this.objects.get(key) ?? '').toString('utf8')) as Record<string, unknown>;
  }
}

/** The ports of finish-run and stop-run. */
export function fakeCleanUpPorts(
  commands: InstanceCommands,
  options: { logs?: FakeLogStore; files?: FakeRunFiles; executions?: FakeExecutions } = {},
) {
  const files = options.files ?? new FakeRunFiles();
  const executions = options.executions ?? new FakeExecutions();
  const ports = fakePorts(commands, options.logs);
  let slept = 0;
  return {
    ...ports,
    now: () => ports.now() + slept,
    files,
    presignPut: (key: string) => files.presignPut(key),
    finisher: 'f'.repeat(64),
    executions,
    history: (arn: string) => executions.history(arn),
    runMachineArn: 'arn:aws:states:eu-central-1:111122223333:stateMachine:runctl-run',
    watchMachineArn: 'arn:aws:states:eu-central-1:111122223333:stateMachine:runctl-watch',
    sleep: (ms: number) => {
      slept += ms;
      return Promise.resolve();
    },
  };
}
