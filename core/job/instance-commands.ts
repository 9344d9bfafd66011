import { isErrorName, RunError } from '../errors.ts';
import { type AnswerTo, checkAnswer, type Verb } from '../protocol/answers.ts';
import { isRefusal, PROTOCOL, type RequestBase, type RunnerRequest } from '../protocol/messages.ts';
import type { Instance, Run } from '../workflow/data.ts';

/** `prepare` carries the runner and installs it, `prepare-install` the installer, `prepare-finish` the finisher; `job` carries nothing and needs the runner there. */
export type DocumentName = 'prepare' | 'prepare-install' | 'prepare-finish' | 'job';

/** Speaks with the runner. Implemented on SSM in lambdas/adapters/. */
export interface InstanceCommands {
  /**
   * Sends a request and waits for the runner's answer. Every verb may be sent twice, so a lost answer is asked for again.
   * @throws RunError `InstanceLost` and `InstanceNotRunning` (EC2 says so), `AgentOffline`, `AgentSilent`, `AccessDenied`, `ServiceUnavailable`
   */
  ask(instanceId: string, document: DocumentName, request: RunnerRequest): Promise<object>;
}

/** What every request to the runner says about its run. */
export function requestBase(about: {
  run: Run;
  instance: Instance;
  project: string;
  user: string | null;
}): RequestBase {
  const { run, instance } = about;
  return {
    protocol: PROTOCOL,
    runner: run.runner,
    root: instance.root,
    home: instance.home,
    user: about.user ?? instance.user,
    run: { id: run.id, key: run.key, arn: run.arn },
    project: about.project,
  };
}

/** Whether the document `job` found no runner where an earlier document had put it. */
export function lacksRunner(answer: object): boolean {
  return isRefusal(answer) && answer.error.name === 'RunnerMissing';
}

/**
 * Takes the runner's answer, checked, or throws what it refused with.
 * @throws RunError of the refusal's name; `RunnerBroken` for a name that is not in the table, and for an answer that is not of the protocol
 */
export function accept<V extends Verb>(verb: V, answer: object): AnswerTo<V> {
  if (!isRefusal(answer)) return checkAnswer(verb, answer);
  const { name, message } = answer.error;
  throw new RunError(isErrorName(name) ? name : 'RunnerBroken', isErrorName(name) ? message : `${name}: ${message}`);
}
