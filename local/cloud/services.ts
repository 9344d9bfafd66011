import getPort from 'get-port';
import { type CloudAccess, newCredentials, region } from './credentials.ts';
import { LocalError } from './errors.ts';
import { host, ministackAnswers, ministackLog, startMinistack, untilReady } from './ministack.ts';
import { makePrivateFolders, type StatePaths } from './paths.ts';
import { endGroup, isAlive } from './processes.ts';
import { agentAnswers, agentLog, startSsmAgent } from './ssm-agent.ts';
import { type LocalState, writeState } from './state.ts';

export interface Health {
  readonly ministack: boolean;
  readonly agent: boolean;
}

/** Whether each of the two services runs and answers. */
export async function healthOf(state: LocalState): Promise<Health> {
  const [ministack, agent] = await Promise.all([
    isAlive(state.ministack).then((alive) => alive && ministackAnswers(state)),
    state.agent === null ? false : isAlive(state.agent).then((alive) => alive && agentAnswers(state)),
  ]);
  return { ministack, agent };
}

/** Starts the emulator on a free port, writes the state to disk, and waits until it answers. */
export async function startMinistackService(
  venv: string,
  agentCommand: string | null,
  paths: StatePaths,
  signal: AbortSignal,
): Promise<LocalState> {
  await makePrivateFolders(paths);
  const [port, ssmPort] = [await getPort({ host }), await getPort({ host })];
  if (port === ssmPort)
    throw new LocalError('Two free ports on 127.0.0.1 could not be found.', 'Run `runctl local up` again.');
  const access: CloudAccess = {
    endpoint: `http://${host}:${port}`,
    ssmEndpoint: `http://${host}:${ssmPort}`,
    credentials: newCredentials(),
  };
  const ministack = await startMinistack(venv, access, paths);
  const state: LocalState = {
    ...access,
    region,
    ministack,
    agent: null,
    agentCommand,
    instanceId: null,
    deployed: null,
  };
  await writeState(paths, state);
  await untilReady('MiniStack', ministack, () => ministackAnswers(state), ministackLog(paths), signal);
  return state;
}

/** Starts the SSM agent at the address that the emulator's workers have, after stopping an earlier one. */
export async function startAgentService(
  before: LocalState,
  agentCommand: string | null,
  paths: StatePaths,
  signal: AbortSignal,
): Promise<LocalState> {
  if (before.agent !== null) await endGroup(before.agent, 3_000);
  const agent = await startSsmAgent(before, agentCommand, paths);
  const state: LocalState = { ...before, agent, agentCommand };
  await writeState(paths, state);
  await untilReady('The SSM agent', agent, () => agentAnswers(state), agentLog(paths), signal);
  return state;
}
