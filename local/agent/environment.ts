import type { CommandRequest } from './executor.ts';

/** Where the services of this cloud are, in the variables of the AWS SDKs. On AWS an agent has none of them. */
export type ServiceAddresses = Readonly<Record<string, string>>;

/** @param env the agent's own environment, as `up` made it */
export function serviceAddresses(env: NodeJS.ProcessEnv): ServiceAddresses {
  const { AWS_ENDPOINT_URL: endpoint, AWS_ENDPOINT_URL_SSM: ssm } = env;
  return {
    ...(endpoint === undefined ? {} : { AWS_ENDPOINT_URL: endpoint, AWS_EC2_METADATA_SERVICE_ENDPOINT: endpoint }),
    ...(ssm === undefined ? {} : { AWS_ENDPOINT_URL_SSM: ssm }),
  };
}

/** What systemd gives the agent, and what the agent adds: no HOME, no USER. */
export function bareEnvironment(
  request: Pick<CommandRequest, 'commandId' | 'instanceId' | 'region'>,
  services: ServiceAddresses,
  extra: unknown = undefined,
): Record<string, string> {
  const given = extra !== null && typeof extra === 'object' ? Object.entries(extra) : [];
  return {
    LANG: 'C.UTF-8',
    PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin',
    ...Object.fromEntries(given.map(([key, value]) => [key, String(value)])),
    ...services,
    SSM_COMMAND_ID: request.commandId,
    AWS_SSM_INSTANCE_ID: request.instanceId,
    AWS_SSM_REGION_NAME: request.region,
    AWS_SSM_PLATFORM_NAME: 'Ubuntu',
    AWS_SSM_PLATFORM_VERSION: '24.04',
  };
}
