import {
  DescribeInstanceAttributeCommand,
  EC2Client,
  StopInstancesCommand,
  TerminateInstancesCommand,
} from '@aws-sdk/client-ec2';
import type { CloudCredentials } from '../cloud/credentials.ts';

/** Does what EC2 does when an instance has shut down from inside. */
export type PowerOff = (instanceId: string) => Promise<void>;

export function powerOffOf(upstream: string, region: string, credentials: CloudCredentials): PowerOff {
  const client = new EC2Client({ endpoint: upstream, region, credentials });
  return async (instanceId) => {
    const Attribute = 'instanceInitiatedShutdownBehavior' as const;
    const asked = await client.send(new DescribeInstanceAttributeCommand({ InstanceId: instanceId, Attribute }));
    const InstanceIds = [instanceId];
    if (asked.InstanceInitiatedShutdownBehavior?.Value === 'terminate')
      await client.send(new TerminateInstancesCommand({ InstanceIds }));
    else await client.send(new StopInstancesCommand({ InstanceIds }));
  };
}
