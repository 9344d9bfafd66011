import { DescribeInstancesCommand, EC2Client } from '@aws-sdk/client-ec2';
import { DescribeInstanceInformationCommand, SSMClient } from '@aws-sdk/client-ssm';
import {
  describeInput,
  type FoundInstance,
  foundInstance,
  type InstanceSelector,
  UNKNOWN_INSTANCE,
} from '../../core/workflow/choose-instance.ts';
import { CLIENT_SETTINGS, errorName, translate } from './aws-errors.ts';

export interface Instances {
  /** All instances that fit, whatever their state; none is no error. */
  find(selector: InstanceSelector): Promise<FoundInstance[]>;
  /** Whether the instance's SSM agent is connected: SSM's PingStatus, or null when SSM does not know the instance. */
  ping(instanceId: string): Promise<string | null>;
}

export function createInstances(): Instances {
  return instancesOver(new EC2Client(CLIENT_SETTINGS), new SSMClient(CLIENT_SETTINGS));
}

export function instancesOver(ec2: Pick<EC2Client, 'send'>, ssm: Pick<SSMClient, 'send'>): Instances {
  return {
    async find(selector) {
      const found: FoundInstance[] = [];
      let NextToken: string | undefined;
      try {
        do {
          const paging = NextToken === undefined ? {} : { NextToken };
          const page = await ec2.send(new DescribeInstancesCommand({ ...describeInput(selector), ...paging }));
          const instances = page.Reservations?.flatMap((reservation) => reservation.Instances ?? []) ?? [];
          found.push(...instances.map(foundInstance));
          NextToken = page.NextToken;
        } while (NextToken);
        return found;
      } catch (error) {
        if (UNKNOWN_INSTANCE.includes(errorName(error))) return [];
        throw translate(error, 'ec2:DescribeInstances');
      }
    },
    async ping(instanceId) {
      const Filters = [{ Key: 'InstanceIds', Values: [instanceId] }];
      try {
        const answer = await ssm.send(new DescribeInstanceInformationCommand({ Filters }));
        return answer.InstanceInformationList?.[0]?.PingStatus ?? null;
      } catch (error) {
        throw translate(error, `ssm:DescribeInstanceInformation of ${instanceId}`);
      }
    },
  };
}
