import { mkdir } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { AgentOptions } from '../agent/options.ts';
import { type CloudAccess, region } from './credentials.ts';
import { cloudEnvironment } from './environment.ts';
import { answers } from './ministack.ts';
import { projectRoot, type StatePaths } from './paths.ts';
import { startBackground } from './processes.ts';
import type { ProcessRef } from './state.ts';

const main = fileURLToPath(new URL('../agent/main.ts', import.meta.url));

/** Starts the local SSM agent; it may not answer yet. `agentCommand` is a program that takes the imitation's place. */
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
    args: [
      '--import',
      pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href,
      main,
      JSON.stringify(options),
    ],
    cwd: projectRoot,
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
