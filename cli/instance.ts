import { type EC2Client, paginateDescribeInstances } from '@aws-sdk/client-ec2';
import { DescribeInstanceInformationCommand, type SSMClient } from '@aws-sdk/client-ssm';
import {
  chooseInstance,
  describeInput,
  type FoundInstance,
  foundInstance,
  type InstanceSelector,
  parseSelector,
  UNKNOWN_INSTANCE,
} from '../core/choose-instance.ts';
import { ERRORS, type ErrorName, RunError } from '../core/errors.ts';
import { ENABLED_TAG } from '../core/names.ts';
import type { Instance } from '../core/run-states.ts';
import { at, nameOf } from './aws-errors.ts';
import { type CliError, setUpError } from './errors.ts';

interface InstanceClients {
  readonly ec2: EC2Client;
  readonly ssm: Pick<SSMClient, 'send'>;
}

/**
 * Finds the instance that a run would use, as the state Find instance does, before anything is uploaded.
 * @param wanted `i-…` or `tag:Key=value`
 * @throws CliError that says what to do, with the command where one does it
 */
export async function resolveInstance(clients: InstanceClients, wanted: string): Promise<Instance> {
  const found = await describe(clients.ec2, parseSelector(wanted));
  let instance: Instance;
  try {
    instance = chooseInstance(found, wanted);
  } catch (error) {
    if (error instanceof RunError) throw await explain(clients.ec2, error, found, wanted);
    throw error;
  }
  const ping = await pingStatus(clients.ssm, instance.id);
  if (ping === 'Online') return instance;
  throw setUpError(
    `The SSM agent of ${instance.id} is not online (${ping ?? 'SSM does not know the instance'}).`,
    `${ERRORS.AgentOffline.next} A minute after it started is early days; runctl doctor looks closer.`,
  );
}

/** All instances that fit, whatever their state; none is no error. */
export async function describe(client: EC2Client, selector: InstanceSelector): Promise<FoundInstance[]> {
  const found: FoundInstance[] = [];
  const pages = paginateDescribeInstances({ client }, describeInput(selector));
  const reading = async () => {
    for await (const page of pages)
      found.push(...(page.Reservations ?? []).flatMap(({ Instances }) => Instances ?? []).map(foundInstance));
  };
  try {
    await reading();
  } catch (error) {
    if (!UNKNOWN_INSTANCE.includes(nameOf(error))) await at('ec2:DescribeInstances', Promise.reject(error));
  }
  return found;
}

/** SSM's PingStatus; null when SSM does not know the instance. */
export async function pingStatus(ssm: Pick<SSMClient, 'send'>, instanceId: string): Promise<string | null> {
  const Filters = [{ Key: 'InstanceIds', Values: [instanceId] }];
  const asked = ssm.send(new DescribeInstanceInformationCommand({ Filters }));
  const { InstanceInformationList } = await at(`ssm:DescribeInstanceInformation of ${instanceId}`, asked);
  return InstanceInformationList?.[0]?.PingStatus ?? null;
}

async function explain(
  ec2: EC2Client,
  error: RunError,
  found: readonly FoundInstance[],
  wanted: string,
): Promise<CliError> {
  const commands: Partial<Record<ErrorName, string>> = {
    InstanceNotRunning: `aws ec2 start-instances --instance-ids ${idsOf(found, 'stopped')}`,
    InstanceNotEnabled: `aws ec2 create-tags --resources ${idsOf(found, 'running')} --tags Key=${ENABLED_TAG.key},Value=${ENABLED_TAG.value}`,
  };
  const command = commands[error.name];
  const hint = error.name === 'InstanceNotFound' ? await candidates(ec2, wanted) : command && `Do it with: ${command}`;
  return setUpError(error.message, [ERRORS[error.name].next, hint].filter(Boolean).join('\n'), { cause: error });
}

function idsOf(found: readonly FoundInstance[], state: string): string {
  const ids = found.filter((instance) => instance.state === state).map(({ id }) => id);
  return ids.length === 0 ? 'i-…' : ids.join(' ');
}

/** What the person might have meant. */
async function candidates(ec2: EC2Client, wanted: string): Promise<string> {
  const enabled = await describe(ec2, { tag: ENABLED_TAG.key, value: ENABLED_TAG.value });
  const running = enabled.filter(({ state }) => state === 'running');
  if (running.length > 0)
    return `Instances that runctl may use here: ${running.map(({ id, type, tags }) => `${id} (${type}${tags.Project === undefined ? '' : `, Project=${tags.Project}`})`).join(', ')}.`;
  const selector = parseSelector(wanted);
  const tag = 'tag' in selector ? ` Key=${selector.tag},Value=${selector.value}` : '';
  return `No running instance here has the tag ${ENABLED_TAG.key}=${ENABLED_TAG.value}. Give it to yours: aws ec2 create-tags --resources i-… --tags Key=${ENABLED_TAG.key},Value=${ENABLED_TAG.value}${tag}`;
}
