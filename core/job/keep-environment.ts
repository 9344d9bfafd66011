import { commitEnvironment, lookForEnvironment } from '../environments/store-environment.ts';
import type { JobStatus } from '../protocol/answers.ts';
import type { EnvironmentProgress, WatchInput } from '../workflow/data.ts';
import { type JobPorts, tryToKeep } from './job-status.ts';

/** Looks, before the first poll of a training, whether its environment is stored. Nothing of a run depends on it. */
export async function withKnownEnvironment(ports: JobPorts, input: WatchInput): Promise<WatchInput> {
  const { environment } = input.step;
  if (!ports.checkpoints || environment?.state !== 'new') return input;
  const known = await tryToKeep(ports, environment, (store) =>
    lookForEnvironment(store, input, environment, ports.now()),
  );
  return { ...input, step: { ...input.step, environment: known } };
}

/** Commits what the instance has sent of the environment. */
export async function keepEnvironment(
  ports: JobPorts,
  input: WatchInput,
  { environment: report }: JobStatus,
): Promise<EnvironmentProgress | undefined> {
  const { environment } = input.step;
  if (environment?.state !== 'pending' || report === null) return environment;
  return tryToKeep(ports, environment, (store) => commitEnvironment(store, input, environment, report, ports.now()));
}
