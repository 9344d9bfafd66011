import { randomUUID } from 'node:crypto';
import { cancelInput, getInvocationInput, listInput, sendCommandInput } from './command-input.ts';
import { commandOutput, invocationOutput, listedInvocation } from './command-output.ts';
import type { Documents } from './documents.ts';
import type { Executor } from './executor.ts';
import type { Faults } from './faults.ts';
import type { Instance, ListInstances } from './instances.ts';
import { type Command, Invocation } from './invocation.ts';
import type { MachineVariables } from './machine.ts';
import { checkParameters } from './parameters.ts';
import { ServiceError } from './service-error.ts';
import { Workers } from './workers.ts';

const workersPerInstance = 5;
// A long run polls thousands of times, with up to 24 KB an answer. Old answers are not requested again.
const maxRemembered = 1_000;

export interface CommandsOptions {
  readonly region: string;
  readonly documents: Documents;
  readonly faults: Faults;
  readonly instances: ListInstances;
  /** Added to the environment of an instance's commands. */
  readonly variablesOf: (instance: Instance) => MachineVariables;
  readonly execute: Executor;
  readonly onError: (error: unknown) => void;
}

/** Run Command: the commands that were sent and their invocations. Kept in the agent's memory only. */
export class Commands {
  readonly #options: CommandsOptions;
  readonly #commands = new Map<string, { readonly command: Command; readonly invocations: readonly Invocation[] }>();
  readonly #workers = new Map<string, Workers>();

  constructor(options: CommandsOptions) {
    this.#options = options;
  }

  /** SendCommand. If `answerLost` is true, the caller must not receive the answer. */
  async send(input: unknown): Promise<{ answer: object; answerLost: boolean }> {
    const { documents, faults, instances, variablesOf } = this.#options;
    const request = sendCommandInput.parse(input);
    const { name, version, content } = documents.content(request.DocumentName, request.DocumentVersion);
    checkParameters(content, request.Parameters);
    const chosen = chooseInstances(await instances(), request);
    const targets = chosen.map(({ id }) => id);
    const command: Command = {
      id: randomUUID(),
      documentName: name,
      documentVersion: version,
      content,
      parameters: request.Parameters,
      comment: request.Comment,
      timeoutSeconds: request.TimeoutSeconds,
      requestedAt: new Date(),
    };
    const invocations = chosen.map((one) => new Invocation(command, one.id, variablesOf(one)));
    this.#commands.set(command.id, { command, invocations });
    this.#forgetOldest();
    for (const invocation of invocations) this.#deliver(invocation);
    return {
      answer: { Command: commandOutput(command, invocations) },
      answerLost: faults.take('lose-answer', { ...command, instanceIds: targets }) !== undefined,
    };
  }

  getInvocation(input: unknown) {
    const { CommandId, InstanceId, PluginName } = getInvocationInput.parse(input);
    const invocation = this.#visible(CommandId).find((one) => one.instanceId === InstanceId);
    if (invocation === undefined || this.#isMissing(invocation)) throw new ServiceError('InvocationDoesNotExist', '');
    return invocationOutput(invocation, PluginName);
  }

  listInvocations(input: unknown) {
    const { CommandId, InstanceId, Details } = listInput.parse(input);
    const listed = this.#visible(CommandId)
      .filter((one) => (InstanceId ?? one.instanceId) === one.instanceId)
      .filter((one) => !this.#isMissing(one));
    return { CommandInvocations: listed.map((one) => listedInvocation(one, Details)) };
  }

  list(input: unknown) {
    const { CommandId, InstanceId } = listInput.parse(input);
    const found = [...this.#commands.values()].filter(
      ({ command, invocations }) =>
        (CommandId ?? command.id) === command.id &&
        (InstanceId === undefined || invocations.some((one) => one.instanceId === InstanceId)),
    );
    return { Commands: found.map(({ command, invocations }) => commandOutput(command, invocations)) };
  }

  cancel(input: unknown) {
    const { CommandId, InstanceIds } = cancelInput.parse(input);
    const found = this.#commands.get(CommandId);
    if (found === undefined) throw new ServiceError('InvalidCommandId', 'The command ID is not valid.');
    for (const invocation of found.invocations) {
      if (InstanceIds.length === 0 || InstanceIds.includes(invocation.instanceId)) invocation.cancel();
    }
    return {};
  }

  /** The instances that have received a command. */
  instanceIds(): string[] {
    return [...this.#workers.keys()];
  }

  /** The instance has stopped: the status of its unfinished commands no longer changes. */
  loseInstance(instanceId: string): void {
    for (const { invocations } of this.#commands.values()) {
      for (const one of invocations) if (one.instanceId === instanceId && !one.ended) one.lose();
    }
  }

  /** Kills all running scripts. */
  abandonAll(): void {
    for (const { invocations } of this.#commands.values()) for (const one of invocations) one.abandon();
  }

  #deliver(invocation: Invocation): void {
    const { region, execute, faults, onError } = this.#options;
    let workers = this.#workers.get(invocation.instanceId);
    if (workers === undefined) {
      workers = new Workers(workersPerInstance);
      this.#workers.set(invocation.instanceId, workers);
    }
    invocation.deliver({ region, execute, faults, workers }).catch(onError);
  }

  #forgetOldest(): void {
    for (const [id, { invocations }] of this.#commands) {
      if (this.#commands.size <= maxRemembered) return;
      if (invocations.every((one) => one.ended)) this.#commands.delete(id);
    }
  }

  /** The invocations that the API shows now: those of one command, or all. */
  #visible(commandId?: string): Invocation[] {
    const now = Date.now();
    const one = commandId === undefined ? undefined : this.#commands.get(commandId);
    const entries = commandId === undefined ? [...this.#commands.values()] : one === undefined ? [] : [one];
    return entries.flatMap(({ invocations }) => invocations.filter(({ visibleAt }) => visibleAt <= now));
  }

  #isMissing(invocation: Invocation): boolean {
    return this.#options.faults.take('missing', invocation.subject) !== undefined;
  }
}

/** @throws ServiceError InvalidInstanceId if an instance does not exist or is not running */
function chooseInstances(
  all: readonly Instance[],
  request: { InstanceIds: readonly string[]; Targets: readonly { Key: string; Values: readonly string[] }[] },
): Instance[] {
  const running = all.filter((one) => one.state === 'running');
  const named = request.Targets.filter((target) => target.Key === 'InstanceIds').flatMap((target) => target.Values);
  const ids = [...request.InstanceIds, ...named];
  const absent = ids.filter((id) => !running.some((one) => one.id === id));
  if (absent.length > 0) {
    throw new ServiceError(
      'InvalidInstanceId',
      `Instances [[${absent.join(', ')}]] not in a valid state for account 000000000000`,
    );
  }
  const tagged = request.Targets.filter((target) => target.Key !== 'InstanceIds');
  if (tagged.length === 0) {
    if (ids.length === 0) throw new ServiceError('ValidationException', 'Either InstanceIds or Targets must be given.');
    return running.filter(({ id }) => ids.includes(id));
  }
  const matching = running.filter((one) =>
    tagged.every(({ Key, Values }) => Key.startsWith('tag:') && Values.includes(one.tags[Key.slice(4)] ?? '')),
  );
  return running.filter((one) => ids.includes(one.id) || matching.includes(one));
}
