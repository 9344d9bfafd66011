import type { InstanceCommands } from '../../core/instance-commands.ts';
import type { RunnerRequest } from '../../core/job-protocol.ts';
import type { ArchiveStore, OpenArchive } from '../../lambdas/adapters/archive-store.ts';
import type { Executions } from '../../lambdas/adapters/executions.ts';
import { logger } from '../../lambdas/adapters/logger.ts';
import { FakeLogStore } from './log-store.ts';

logger.setLogLevel('SILENT'); // A test that fails says why by itself.

/** Answers requests in order; an Error among the answers is thrown. More requests than answers fail the test. */
export class FakeCommands implements InstanceCommands {
  readonly asked: { instanceId: string; document: string; request: RunnerRequest }[] = [];
  private readonly answers: (object | Error)[];

  constructor(...answers: (object | Error)[]) {
    this.answers = answers;
  }

  ask(instanceId: string, document: string, request: RunnerRequest): Promise<object> {
    this.asked.push({ instanceId, document, request });
    const answer = this.answers.shift();
    if (answer === undefined) return Promise.reject(new Error('nobody expected another request'));
    return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
  }
}

export function fakePorts(commands: InstanceCommands, logs = new FakeLogStore(), now = 1_795_000_010_000) {
  return { commands, logs, now: () => now };
}

/** One stored upload. */
export class FakeArchives implements ArchiveStore {
  readonly opened: unknown[] = [];
  object: OpenArchive = { versionId: 'v1', size: 0, metadata: null, body: emptyBody() };
  version: string | null = 'v-now';

  currentVersion(): Promise<string | null> {
    return Promise.resolve(this.version);
  }

  open(location: Parameters<ArchiveStore['open']>[0]): Promise<OpenArchive> {
    this.opened.push(location);
    return Promise.resolve(this.object);
  }

  presign(location: { versionId: string | null }): Promise<string> {
    return Promise.resolve(`https://signed.example/${location.versionId ?? 'latest'}`);
  }
}

async function* emptyBody(): AsyncGenerator<Uint8Array> {}

/** Step Functions that knows some executions. `started` are names that exist already. */
export class FakeExecutions implements Executions {
  readonly inputs = new Map<string, object>();
  readonly ended = new Set<string>();

  start(name: string, input: object): Promise<boolean> {
    if (this.inputs.has(name)) return Promise.resolve(false);
    this.inputs.set(name, input);
    return Promise.resolve(true);
  }

  hasEnded(arn: string): Promise<boolean> {
    return Promise.resolve(this.ended.has(arn));
  }
}
