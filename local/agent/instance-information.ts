import { instanceInformationInput } from './command-input.ts';
import type { Faults } from './faults.ts';
import type { Instance } from './instances.ts';

// Every instance of the emulator has an agent. If the instance is stopped, the agent's connection is lost; those that are
// pending or terminated are not listed.

/** DescribeInstanceInformation. */
export function instanceInformation(input: unknown, instances: readonly Instance[], faults: Faults) {
  const { Filters, InstanceInformationFilterList } = instanceInformationInput.parse(input);
  const filters = [
    ...Filters,
    ...InstanceInformationFilterList.map(({ key, valueSet }) => ({ Key: key, Values: valueSet })),
  ];
  const list = instances
    .filter((one) => !['pending', 'terminated', 'shutting-down'].includes(one.state))
    .map((one) => ({ one, row: row(one, faults) }))
    .filter(({ one, row: shown }) =>
      filters.every(({ Key, Values }) => Values.some((value) => fits(Key, value, one, shown))),
    )
    .map(({ row: shown }) => shown);
  return { InstanceInformationList: list };
}

type Row = ReturnType<typeof row>;

function row(one: Instance, faults: Faults) {
  const online = one.state === 'running' && !faults.isOffline(one.id);
  return {
    InstanceId: one.id,
    PingStatus: online ? 'Online' : 'ConnectionLost',
    // Not before the start of an instance that has just been started.
    LastPingDateTime: Date.now() / 1_000 - (online ? 0 : 600),
    AgentVersion: '3.3.2299.0',
    IsLatestVersion: true,
    PlatformType: one.windows ? 'Windows' : 'Linux',
    PlatformName: one.windows ? 'Microsoft Windows Server 2022' : 'Ubuntu',
    PlatformVersion: one.windows ? '10.0.20348' : '24.04',
    ResourceType: 'EC2Instance',
    IPAddress: one.privateIp,
    ComputerName: one.id,
  };
}

function fits(key: string, value: string, one: Instance, shown: Row): boolean {
  if (key.startsWith('tag:')) return one.tags[key.slice(4)] === value;
  if (key === 'tag-key') return value in one.tags;
  if (key === 'InstanceIds') return shown.InstanceId === value;
  if (key === 'PingStatus') return shown.PingStatus === value;
  if (key === 'PlatformTypes') return shown.PlatformType === value;
  if (key === 'ResourceType') return value === 'EC2Instance' || value === 'EC2';
  return false;
}
