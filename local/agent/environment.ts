import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { CommandRequest } from './executor.ts';

/** The addresses of this cloud's services, as AWS SDK variables. An agent on AWS has none of them. */
export type ServiceAddresses = Readonly<Record<string, string>>;

/** @param env the agent's own environment, which `up` set */
export function serviceAddresses(env: NodeJS.ProcessEnv): ServiceAddresses {
  const { AWS_ENDPOINT_URL: endpoint, AWS_ENDPOINT_URL_SSM: ssm } = env;
  return {
    ...(endpoint === undefined ? {} : { AWS_ENDPOINT_URL: endpoint }),
    ...(ssm === undefined ? {} : { AWS_ENDPOINT_URL_SSM: ssm }),
  };
}

function ofServices({ [BOOTS]: _, ...services }: ServiceAddresses): ServiceAddresses {
  return services;
}

/** The metadata service of an instance, which has notices of its own. */
function metadataAddress(instanceId: string, { AWS_ENDPOINT_URL: endpoint }: ServiceAddresses): Record<string, string> {
  return endpoint === undefined ? {} : { AWS_EC2_METADATA_SERVICE_ENDPOINT: `${endpoint}/instances/${instanceId}` };
}

/** The folder with the number of each instance's boots, in the agent's own variables. */
export const BOOTS = 'RUNCTL_LOCAL_BOOTS';

/**
 * An instance that was stopped and started again has another boot id than this machine, and so has one with a system of
 * its own from its first boot on: it may have the disk of another instance.
 */
function ofBoot(
  { instanceId, variables }: Pick<CommandRequest, 'instanceId' | 'variables'>,
  { [BOOTS]: folder }: ServiceAddresses,
): Record<string, string> {
  const boots = folder === undefined ? 0 : countBoots(folder, instanceId);
  const isOwn = boots > 0 || 'RUNCTL_SYSTEM_ROOT' in variables;
  return isOwn ? { RUNCTL_BOOT_ID: `${instanceId}-boot-${boots + 1}` } : {};
}

function countBoots(folder: string, instanceId: string): number {
  try {
    return Number(readFileSync(join(folder, `${instanceId}.boots`), 'utf8'));
  } catch {
    return 0; // it was never stopped
  }
}

/** Notes that an instance was stopped: its next commands are those of another boot. */
export function noteStop(folder: string, instanceId: string): void {
  writeFileSync(join(folder, `${instanceId}.boots`), String(countBoots(folder, instanceId) + 1));
}

/** The environment of a command: what systemd and the agent set. It has no HOME and no USER. */
export function bareEnvironment(
  request: Pick<CommandRequest, 'commandId' | 'instanceId' | 'region' | 'variables'>,
  services: ServiceAddresses,
  extra: unknown = undefined,
): Record<string, string> {
  const added = extra !== null && typeof extra === 'object' ? Object.entries(extra) : [];
  return {
    LANG: 'C.UTF-8',
    PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin',
    ...Object.fromEntries(added.map(([key, value]) => [key, String(value)])),
    ...ofServices(services),
    ...metadataAddress(request.instanceId, services),
    ...request.variables,
    ...ofBoot(request, services),
    SSM_COMMAND_ID: request.commandId,
    AWS_SSM_INSTANCE_ID: request.instanceId,
    AWS_SSM_REGION_NAME: request.region,
    AWS_SSM_PLATFORM_NAME: 'Ubuntu',
    AWS_SSM_PLATFORM_VERSION: '24.04',
  };
}
