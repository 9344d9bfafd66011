import { DescribeInstancesCommand, EC2Client, type Instance } from '@aws-sdk/client-ec2';
import { DescribeInstanceInformationCommand, SSMClient } from '@aws-sdk/client-ssm';
import {
  describeInput,
  type FoundInstance,
  foundInstance,
  type InstanceSelector,
  UNKNOWN_INSTANCE,
} from '../core/workflow/choose-instance.ts';
import { unless, withAwsErrors } from './errors.ts';
import { CLIENT_SETTINGS } from './settings.ts';

export interface Instances {
  /** All instances that match, whatever their state; none is not an error. */
  find(selector: InstanceSelector): Promise<FoundInstance[]>;
  /**
   * SSM's PingStatus of the instance's agent, or null when SSM does not know the instance.
   * @param since epoch milliseconds of the instance's start: the agent's status from before it says nothing, and counts as null
   */
  ping(instanceId: string, since?: number | null): Promise<string | null>;
}

export function createInstances(): Instances {
  return instancesOver(new EC2Client(CLIENT_SETTINGS), new SSMClient(CLIENT_SETTINGS));
}

export function instancesOver(ec2: Pick<EC2Client, 'send'>, ssm: Pick<SSMClient, 'send'>): Instances {
  return {
    find: async (selector) => (await describeInstances(ec2, selector)).map(foundInstance),

    async ping(instanceId, since = null) {
      const Filters = [{ Key: 'InstanceIds', Values: [instanceId] }];
      const sent = ssm.send(new DescribeInstanceInformationCommand({ Filters }));
      const answer = await withAwsErrors(`ssm:DescribeInstanceInformation of ${instanceId}`, sent);
      const { PingStatus = null, LastPingDateTime } = answer.InstanceInformationList?.[0] ?? {};
      const isOld = since !== null && LastPingDateTime !== undefined && LastPingDateTime.getTime() < since;
      return isOld ? null : PingStatus;
    },
  };
}

/** As EC2 describes them. @param selector null: all of the account and region */
export async function describeInstances(
  ec2: Pick<EC2Client, 'send'>,
  selector: InstanceSelector | null,
): Promise<Instance[]> {
  const input = selector === null ? {} : describeInput(selector);
  const found: Instance[] = [];
  let NextToken: string | undefined;
  do {
    const sent = ec2.send(new DescribeInstancesCommand({ ...input, NextToken }));
    const page = await unless(UNKNOWN_INSTANCE, 'ec2:DescribeInstances', sent);
    found.push(...(page?.Reservations ?? []).flatMap((reservation) => reservation.Instances ?? []));
    NextToken = page?.NextToken;
  } while (NextToken);
  return found;
}
