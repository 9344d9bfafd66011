import type { CommandRequest } from './executor.ts';

/** What systemd gives the agent, and what the agent adds: no HOME, no USER. */
export function bareEnvironment(
  request: Pick<CommandRequest, 'commandId' | 'instanceId' | 'region'>,
  extra: unknown = undefined,
): Record<string, string> {
  const given = extra !== null && typeof extra === 'object' ? Object.entries(extra) : [];
  return {
    LANG: 'C.UTF-8',
    PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin',
    ...Object.fromEntries(given.map(([key, value]) => [key, String(value)])),
    SSM_COMMAND_ID: request.commandId,
    AWS_SSM_INSTANCE_ID: request.instanceId,
    AWS_SSM_REGION_NAME: request.region,
    AWS_SSM_PLATFORM_NAME: 'Ubuntu',
    AWS_SSM_PLATFORM_VERSION: '24.04',
  };
}
