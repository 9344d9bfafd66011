import {
  DescribeInstanceAttributeCommand,
  EC2Client,
  StartInstancesCommand,
  StopInstancesCommand,
} from '@aws-sdk/client-ec2';
import type { StartRefusal } from '../core/workflow/start-instance.ts';
import { errorName, isTransient, toAwsError, withAwsErrors } from './errors.ts';
import { CLIENT_SETTINGS } from './settings.ts';

export interface Power {
  /** Asks EC2 to start it; one that runs stays so. null: it will. */
  start(instanceId: string): Promise<StartRefusal | null>;
  /** Stops it; one that is stopped, or stopping, stays so. */
  stop(instanceId: string): Promise<void>;
  /** Whether a shutdown from inside stops it; false: it terminates it. */
  stopsAtShutdown(instanceId: string): Promise<boolean>;
}

/** What other instances, of this account or of others, take up (EC2 API Reference, "Error codes"). */
const NO_CAPACITY = [
  'InsufficientInstanceCapacity',
  'InsufficientHostCapacity',
  'InsufficientReservedInstanceCapacity',
  'InsufficientCapacityOnHost',
  'ReservationCapacityExceeded',
  'InstanceLimitExceeded',
  'VcpuLimitExceeded',
  'MaxSpotInstanceCountExceeded',
];
/** The instance is stopping, or a Spot request of it is not yet back in the state in which it can be started. */
const CHANGED = ['IncorrectInstanceState', 'IncorrectSpotRequestState'];

/** Why EC2 does not start an instance. @throws AwsError when the service failed, or the call is not allowed */
export function refusalOf(error: unknown, action: string): StartRefusal {
  const name = errorName(error).replace(/^Server\./, '');
  const message = `${name}: ${error instanceof Error ? error.message : String(error)}`;
  // A lack of capacity comes with status 500.
  if (NO_CAPACITY.includes(name)) return { kind: 'no-capacity', message };
  if (CHANGED.includes(name)) return { kind: 'changed', message };
  const known = toAwsError(error, action) as Error;
  if (isTransient(error) || known.name === 'AccessDenied') throw known;
  return { kind: 'other', message };
}

export function createPower(): Power {
  return powerOver(new EC2Client(CLIENT_SETTINGS));
}

export function powerOver(ec2: Pick<EC2Client, 'send'>): Power {
  return {
    async start(instanceId) {
      try {
        await ec2.send(new StartInstancesCommand({ InstanceIds: [instanceId] }));
        return null;
      } catch (error) {
        return refusalOf(error, `ec2:StartInstances of ${instanceId}`);
      }
    },

    async stopsAtShutdown(instanceId) {
      const Attribute = 'instanceInitiatedShutdownBehavior';
      const sent = ec2.send(new DescribeInstanceAttributeCommand({ InstanceId: instanceId, Attribute }));
      const answer = await withAwsErrors(`ec2:DescribeInstanceAttribute of ${instanceId}`, sent);
      return answer.InstanceInitiatedShutdownBehavior?.Value === 'stop';
    },

    async stop(instanceId) {
      const sent = ec2.send(new StopInstancesCommand({ InstanceIds: [instanceId] }));
      await withAwsErrors(`ec2:StopInstances of ${instanceId}`, sent);
    },
  };
}
