import type { EC2Client } from '@aws-sdk/client-ec2';
import type { SSMClient } from '@aws-sdk/client-ssm';
import { instancesOver } from '../../aws/instances.ts';
import { ERRORS, type ErrorName, RunError } from '../../core/errors.ts';
import { ENABLED_TAG } from '../../core/names.ts';
import {
  chooseInstance,
  type FoundInstance,
  foundInstance,
  foundOf,
  parseSelector,
  type RunRequest,
} from '../../core/workflow/choose-instance.ts';
import type { Instance } from '../../core/workflow/data.ts';
import { isBooting } from '../../core/workflow/start-instance.ts';
import { type CliError, setUpError } from '../errors.ts';
import { findInstances } from './instances.ts';

interface InstanceClients {
  readonly ec2: Pick<EC2Client, 'send'>;
  readonly ssm: Pick<SSMClient, 'send'>;
}

/**
 * Finds the instance that a run would use, as the state Find instance does, before anything is uploaded.
 * @param selector `i-…` or `tag:Key=value`
 * @returns `isStarted`: the run starts it, or waits until it has started
 * @throws CliError with the command that resolves it, where there is one
 */
export async function resolveInstance(
  clients: InstanceClients,
  selector: string,
  request: RunRequest,
): Promise<Instance & { readonly isStarted?: true }> {
  const found = (await findInstances(clients.ec2, selector)).map(foundInstance);
  let instance: Instance;
  try {
    instance = chooseInstance(found, selector, request, { mayStart: true });
  } catch (error) {
    if (error instanceof RunError) throw await explain(clients.ec2, error, found, selector);
    throw error;
  }
  const one = foundOf(found, instance);
  if (one.state !== 'running') return { ...instance, isStarted: true };
  const ping = await instancesOver(clients.ec2, clients.ssm).ping(instance.id, one.startedAt);
  if (ping === 'Online') return instance;
  if (instance.managed && isBooting(one, Date.now())) return { ...instance, isStarted: true };
  throw setUpError(
    `The SSM agent of ${instance.id} is not online: ${ping ?? 'SSM does not know the instance'}.`,
    `${ERRORS.AgentOffline.next} After a start, the agent may take a few minutes. To check more: runctl doctor`,
  );
}

async function explain(
  ec2: Pick<EC2Client, 'send'>,
  error: RunError,
  found: readonly FoundInstance[],
  selector: string,
): Promise<CliError> {
  const commands: Partial<Record<ErrorName, string>> = {
    InstanceNotRunning: `aws ec2 start-instances --instance-ids ${idsOf(found, 'stopped')}`,
    InstanceNotEnabled: `aws ec2 create-tags --resources ${idsOf(found, 'running')} --tags Key=${ENABLED_TAG.key},Value=${ENABLED_TAG.value}`,
  };
  const command = commands[error.name];
  const hint = error.name === 'InstanceNotFound' ? await candidates(ec2, selector) : command && `Run: ${command}`;
  return setUpError(error.message, [ERRORS[error.name].next, hint].filter(Boolean).join('\n'), { cause: error });
}

function idsOf(found: readonly FoundInstance[], state: string): string {
  const ids = found.filter((instance) => instance.state === state).map(({ id }) => id);
  return ids.length === 0 ? 'i-…' : ids.join(' ');
}

/** Instances that may be meant. */
async function candidates(ec2: Pick<EC2Client, 'send'>, selector: string): Promise<string> {
  const enabled = (await findInstances(ec2, `tag:${ENABLED_TAG.key}=${ENABLED_TAG.value}`)).map(foundInstance);
  const running = enabled.filter(({ state }) => state === 'running');
  if (running.length > 0)
    return `Instances with the tag ${ENABLED_TAG.key}=${ENABLED_TAG.value}: ${running.map(({ id, type, tags }) => `${id} (${type}${tags.Project === undefined ? '' : `, Project=${tags.Project}`})`).join(', ')}.`;
  const parsed = parseSelector(selector);
  const tag = 'tag' in parsed ? ` Key=${parsed.tag},Value=${parsed.value}` : '';
  return `No running instance has the tag ${ENABLED_TAG.key}=${ENABLED_TAG.value}. To tag yours: aws ec2 create-tags --resources i-… --tags Key=${ENABLED_TAG.key},Value=${ENABLED_TAG.value}${tag}`;
}
