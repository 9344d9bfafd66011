import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { programArguments } from '../../cli/deploy/installation.ts';
import type { AgentOptions } from '../agent/options.ts';
import { type CloudAccess, region } from './credentials.ts';
import { cloudEnvironment } from './environment.ts';
import { answers } from './ministack.ts';
import type { StatePaths } from './paths.ts';
import { startBackground } from './processes.ts';
import type { ProcessRef } from './state.ts';

/** Starts the local SSM agent; it may not answer yet. `agentCommand` replaces the built-in executor. */
export async function startSsmAgent(
  access: CloudAccess,
  agentCommand: string | null,
  paths: StatePaths,
): Promise<ProcessRef> {
  await mkdir(join(paths.local, 'tmp'), { recursive: true });
  const options: AgentOptions = {
    port: Number(new URL(access.ssmEndpoint).port),
    upstream: access.endpoint,
    region,
    folder: paths.agent,
    ...(agentCommand === null ? {} : { agentCommand }),
  };
  return await startBackground({
    program: process.execPath,
    args: [...programArguments('local/agent/main.ts', 'agent.js'), JSON.stringify(options)],
    cwd: paths.local,
    logFile: agentLog(paths),
    env: cloudEnvironment(access, paths),
  });
}

export function agentLog(paths: StatePaths): string {
  return join(paths.logs, 'ssm-agent.log');
}

export async function agentAnswers({ ssmEndpoint, credentials }: CloudAccess): Promise<boolean> {
  return await answers(`${ssmEndpoint}/_runctl/health`, credentials);
}
