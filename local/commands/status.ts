import type { LocalStatusOutput } from '../../cli/output/schemas.ts';
import { VERSION } from '../../core/version.ts';
import { clientVariables, misleadingVariables } from '../cloud/environment.ts';
import { LocalError } from '../cloud/errors.ts';
import { localCommand, type StatePaths } from '../cloud/paths.ts';
import { healthOf } from '../cloud/services.ts';
import { readState } from '../cloud/state.ts';

/** What `local status --json` prints. */
export type Status = LocalStatusOutput;

/** The state of the local cloud. `up` means that both services answer. */
export async function statusOf(paths: StatePaths): Promise<Status> {
  const state = await readState(paths);
  if (state === undefined) {
    const absent = {
      endpoint: null,
      ssmEndpoint: null,
      region: null,
      instanceId: null,
      ministack: null,
      agent: null,
      deployed: null,
    };
    return { version: VERSION, up: false, ...absent, logs: paths.logs };
  }
  const health = await healthOf(state);
  return {
    version: VERSION,
    up: health.ministack && health.agent,
    endpoint: state.endpoint,
    ssmEndpoint: state.ssmEndpoint,
    region: state.region,
    instanceId: state.instanceId,
    ministack: { pid: state.ministack.pid, healthy: health.ministack },
    agent: state.agent === null ? null : { pid: state.agent.pid, healthy: health.agent, command: state.agentCommand },
    deployed: state.deployed === null ? null : { at: state.deployed.at, outputs: state.deployed.outputs },
    logs: paths.logs,
  };
}

/** The status as lines for a person. */
export function statusLines(status: Status, paths: StatePaths): string[] {
  if (status.ministack === null) return [`The local cloud is not running. Start it: ${localCommand('up', paths)}`];
  const health = (service: { pid: number; healthy: boolean } | null) =>
    service === null ? 'not started' : `${service.healthy ? 'up' : 'DOWN'} (pid ${service.pid})`;
  const rows: [string, string][] = [
    ['MiniStack', `${status.endpoint}  ${health(status.ministack)}`],
    [
      'SSM agent',
      `${status.ssmEndpoint}  ${health(status.agent)}${status.agent?.command ? `, commands by ${status.agent.command}` : ''}`,
    ],
    ['instance', status.instanceId ?? 'not registered'],
    ['stack', status.deployed === null ? 'not deployed' : `deployed ${status.deployed.at}`],
    ...Object.entries(status.deployed?.outputs ?? {}).map(([name, value]): [string, string] => [`  ${name}`, value]),
    ['logs', status.logs],
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  const lines = rows.map(([name, value]) => `${name.padEnd(width)}  ${value}`);
  return status.up ? lines : [...lines, `A service has stopped. Repair it: ${localCommand('up', paths)}`];
}

/** The variables that connect AWS clients to the cloud. @throws LocalError if no cloud was started */
export async function variables(paths: StatePaths): Promise<{ set: Record<string, string>; unset: string[] }> {
  const state = await readState(paths);
  if (state === undefined)
    throw new LocalError('The local cloud is not running.', `Start it: ${localCommand('up', paths)}`);
  return { set: clientVariables(state), unset: misleadingVariables };
}
