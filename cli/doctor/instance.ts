import type { Instance } from '@aws-sdk/client-ec2';
import { instancesOver } from '../../aws/instances.ts';
import { powerOver } from '../../aws/power.ts';
import { ENABLED_TAG } from '../../core/names.ts';
import { foundInstance, isManaged, parseSelector } from '../../core/workflow/choose-instance.ts';
import type { Account } from '../account/account.ts';
import { allInstances, findInstances, tagOf } from '../account/instances.ts';
import type { Found } from '../project/project.ts';
import { type Check, failed, ok, runCheck, skipped, warning } from './check.ts';

/** More would be too many to read through. */
const SHOWN = 5;

/** Checks the instance that a run would use, as far as AWS knows it. @returns the instance if commands can be sent to it */
export async function* checkInstance(
  account: Account,
  selector: Found<string>,
): AsyncGenerator<Check, Instance | null> {
  let found: Instance[] = [];
  const instance = await runCheck('instance', async () => {
    found = await findInstances(account.ec2, selector.value);
    return await matchInstance(account, found, selector);
  });
  yield instance;
  const [one] = running(found);
  if (instance.state !== 'ok' || one === undefined) {
    for (const name of ['tag', 'role', 'ssm']) yield skipped(name, 'requires one running instance');
    return null;
  }
  if (isManaged(foundInstance(one))) yield await runCheck('power', () => checkPower(account, one));
  const tag = tagCheck(one);
  yield tag;
  const ping = await runCheck('ssm', () => readAgent(account, one));
  yield roleCheck(one, ping.state === 'ok');
  yield ping;
  return tag.state === 'ok' && ping.state === 'ok' ? one : null;
}

async function matchInstance(
  account: Account,
  found: readonly Instance[],
  selector: Found<string>,
): Promise<Check | string> {
  const about = `${selector.value} (from ${selector.from})`;
  const live = running(found);
  const [one] = live;
  if (one && live.length === 1) {
    if (one.Platform === 'Windows') return failed('instance', `${one.InstanceId} runs Windows; runctl requires Linux`);
    return `${one.InstanceId}, ${one.InstanceType}, running: ${about}`;
  }
  if (one)
    return failed(
      'instance',
      `${live.length} running instances match ${about}: ${live.map(nameOf).join(', ')}`,
      `Choose one: --instance ${one.InstanceId}, or \`instance: ${one.InstanceId}\` in runctl.yaml`,
    );
  const managed = found.filter((instance) => isManaged(foundInstance(instance)));
  const [off] = managed;
  if (off && managed.length === 1)
    return `${off.InstanceId}, ${off.InstanceType}, ${off.State?.Name}; a run starts it: ${about}`;
  const ids = found.map((instance) => instance.InstanceId).join(' ');
  if (ids !== '')
    return failed(
      'instance',
      `${found.map((instance) => `${nameOf(instance)} is ${instance.State?.Name}`).join(', ')}: ${about}`,
      `aws ec2 start-instances --instance-ids ${ids}`,
    );
  return await notFound(account, selector.value, about);
}

async function notFound(account: Account, value: string, about: string): Promise<Check> {
  const selector = parseSelector(value);
  const others = (await allInstances(account.ec2)).slice(0, SHOWN);
  const [first] = others;
  const region = await account.region();
  if (!first)
    return failed(
      'instance',
      `no instance matches ${about}; there are no instances in ${region}`,
      'To start one: docs/guide/first-run.md',
    );
  const detail = `no instance matches ${about}; instances in ${region}: ${others.map(nameOf).join(', ')}`;
  if ('id' in selector) return failed('instance', detail, `Choose one: --instance ${first.InstanceId}`);
  const tags = `Key=${ENABLED_TAG.key},Value=${ENABLED_TAG.value} Key=${selector.tag},Value=${selector.value}`;
  return failed('instance', detail, `aws ec2 create-tags --resources ${first.InstanceId} --tags ${tags}`);
}

function tagCheck(instance: Instance): Check {
  const tag = `${ENABLED_TAG.key}=${ENABLED_TAG.value}`;
  const value = tagOf(instance, ENABLED_TAG.key);
  if (value === ENABLED_TAG.value) return ok('tag', `${tag}: runctl may send commands to it`);
  return failed(
    'tag',
    `${instance.InstanceId} has ${value === null ? 'no tag' : `the tag ${ENABLED_TAG.key}=${value} instead of`} ${tag}, so runctl may not send commands to it`,
    `aws ec2 create-tags --resources ${instance.InstanceId} --tags Key=${ENABLED_TAG.key},Value=${ENABLED_TAG.value}`,
  );
}

/** Of a managed instance: whether it can be stopped, and what becomes of it when it shuts itself down. */
async function checkPower(account: Account, instance: Instance): Promise<Check | string> {
  const id = instance.InstanceId ?? '';
  if (instance.RootDeviceType === 'instance-store')
    return failed(
      'power',
      `${id} cannot be stopped: its root volume is an instance store`,
      'Use an image with an EBS root volume.',
    );
  if (await powerOver(account.ec2).stopsAtShutdown(id)) return 'managed: runs start it, and it is stopped after them';
  return warning(
    'power',
    `managed, but a shutdown from inside terminates ${id}: it is stopped after runs only while runctl's functions work`,
    `aws ec2 modify-instance-attribute --instance-id ${id} --instance-initiated-shutdown-behavior stop`,
  );
}

/** An agent that is online has permissions, from an instance profile or from the account's default for all instances. */
function roleCheck(instance: Instance, online: boolean): Check {
  const profile = instance.IamInstanceProfile?.Arn?.split('/').at(-1);
  if (profile !== undefined) return ok('role', `instance profile ${profile}`);
  if (online) return ok('role', 'no instance profile; the SSM agent works without one');
  return failed(
    'role',
    `${instance.InstanceId} has no instance profile, so its SSM agent cannot connect`,
    `aws ec2 associate-iam-instance-profile --instance-id ${instance.InstanceId} --iam-instance-profile Name=runctl-instance`,
    'docs/guide/first-run.md ("An instance") shows how to create that profile.',
  );
}

async function readAgent(account: Account, instance: Instance): Promise<Check | string> {
  const id = instance.InstanceId ?? '';
  const ping = await instancesOver(account.ec2, account.ssm).ping(id);
  if (ping === 'Online') return 'the SSM agent is online';
  const again = `aws ec2 reboot-instances --instance-ids ${id}`;
  if (ping !== null) return failed('ssm', `the SSM agent of ${id} is not online: ${ping}`, again);
  return failed(
    'ssm',
    `SSM does not know ${id}: its agent has never connected`,
    `The agent needs a role with AmazonSSMManagedInstanceCore, outbound HTTPS, and a few minutes after its start. Then: ${again}`,
  );
}

function running(instances: readonly Instance[]): Instance[] {
  return instances.filter((instance) => instance.State?.Name === 'running');
}

function nameOf(instance: Instance): string {
  const name = tagOf(instance, 'Name');
  return name === null ? `${instance.InstanceId}` : `${instance.InstanceId} (${name})`;
}
