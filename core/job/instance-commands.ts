import { isErrorName, RunError } from '../errors.ts';
import { type AnswerTo, checkAnswer, type Verb } from '../protocol/answers.ts';
import { PROTOCOL, type RequestBase, type RunnerRequest } from '../protocol/messages.ts';
import type { ProbeRequest } from '../protocol/probe.ts';
import { isRefusal } from '../protocol/read-answer.ts';
import type { Instance, Run, RunProgram } from '../workflow/data.ts';

/** Speaks with the program on an instance. Implemented on SSM in aws/run-command.ts. */
export interface InstanceCommands {
  /**
   * Sends a request and waits for the answer. Every verb is idempotent, so a request whose answer was lost is sent again. An instance
   * that lacks the program fetches it.
   * @throws RunError `InstanceLost` and `InstanceNotRunning` (EC2 says so), `AgentOffline`, `AgentSilent`, `AccessDenied`, `ServiceUnavailable`
   */
  ask(instanceId: string, program: RunProgram, request: RunnerRequest | ProbeRequest): Promise<object>;
}

/** What every request says about its run. */
export function requestBase(about: {
  run: Pick<Run, 'id' | 'key' | 'arn'>;
  instance: Instance;
  project: string;
  user: string | null;
}): RequestBase {
  const { run, instance } = about;
  return {
    protocol: PROTOCOL,
    root: instance.root,
    home: instance.home,
    user: about.user ?? instance.user,
    // An instance that an older version of Find instance chose has no lists.
    users: instance.users ? [...(instance.user === null ? [] : [instance.user]), ...instance.users] : null,
    projects: instance.projects ?? null,
    run: { id: run.id, key: run.key, arn: run.arn },
    project: about.project,
  };
}

export function isRefusedWith(answer: object, ...names: readonly string[]): boolean {
  return isRefusal(answer) && names.includes(answer.error.name);
}

/**
 * Takes the runner's answer, checked, or throws what it refused with.
 * @throws RunError of the refusal's name; `RunnerBroken` for a name that is not in the table, and for an answer that is not of the protocol
 */
export function accept<V extends Verb>(verb: V, answer: object): AnswerTo<V> {
  return checkAnswer(verb, throwRefusal(answer));
}

/** @throws RunError of the refusal's name; `RunnerBroken` for a name that is not in the table */
export function throwRefusal(answer: object): object {
  if (!isRefusal(answer)) return answer;
  const { name, message } = answer.error;
  throw new RunError(isErrorName(name) ? name : 'RunnerBroken', isErrorName(name) ? message : `${name}: ${message}`);
}
