import type { Instance } from '@aws-sdk/client-ec2';
import { instancesOver } from '../../aws/instances.ts';
import { ENABLED_TAG } from '../../core/names.ts';
import { parseSelector } from '../../core/workflow/choose-instance.ts';
import type { Account } from '../account/account.ts';
import { allInstances, findInstances, tagOf } from '../account/instances.ts';
import { type Finding, failed, find, ok, skipped } from './finding.ts';

/** As many as a person reads through to find their own. */
const SHOWN = 5;

/** Looks for the one instance that a run would use. Its own part ends where the instance itself would have to be asked. */
export async function* checkInstance(
  account: Account,
  wanted: { readonly value: string; readonly from: string },
): AsyncGenerator<Finding, Instance | null> {
  let found: Instance[] = [];
  const instance = await find('instance', async () => {
    found = await findInstances(account.ec2, wanted.value);
    return await judge(account, found, wanted);
  });
  yield instance;
  const [one] = running(found);
  if (instance.state !== 'ok' || one === undefined) {
    for (const check of ['tag', 'role', 'ssm']) yield skipped(check, 'needs one running instance');
    return null;
  }
  const tag = tagFinding(one);
  yield tag;
  const ping = await find('ssm', () => lookAtAgent(account, one));
  yield roleFinding(one, ping.state === 'ok');
  yield ping;
  return tag.state === 'ok' && ping.state === 'ok' ? one : null;
}

async function judge(
  account: Account,
  found: readonly Instance[],
  wanted: { readonly value: string; readonly from: string },
): Promise<Finding | string> {
  const about = `${wanted.value} (from ${wanted.from})`;
  const live = running(found);
  const [one] = live;
  if (one && live.length === 1) {
    if (one.Platform === 'Windows') return failed('instance', `${one.InstanceId} runs Windows; runctl needs Linux`);
    return `${one.InstanceId}, ${one.InstanceType}, running: ${about}`;
  }
  if (one)
    return failed(
      'instance',
      `${live.length} running instances are ${about}: ${live.map(nameOf).join(', ')}`,
      `Name one: --instance ${one.InstanceId}, or \`instance: ${one.InstanceId}\` in runctl.yaml`,
    );
  const ids = found.map((instance) => instance.InstanceId).join(' ');
  if (ids !== '')
    return failed(
      'instance',
      `${found.map((instance) => `${nameOf(instance)} is ${instance.State?.Name}`).join(', ')}: ${about}`,
      `aws ec2 start-instances --instance-ids ${ids}`,
    );
  return await none(account, wanted.value, about);
}

async function none(account: Account, wanted: string, about: string): Promise<Finding> {
  const selector = parseSelector(wanted);
  const others = (await allInstances(account.ec2)).slice(0, SHOWN);
  const [first] = others;
  const region = await account.region();
  if (!first)
    return failed(
      'instance',
      `no instance is ${about}; ${region} has none at all`,
      'Start one: docs/guide/first-run.md',
    );
  const there = `no instance is ${about}; in ${region} there are ${others.map(nameOf).join(', ')}`;
  if ('id' in selector) return failed('instance', there, `Name one: --instance ${first.InstanceId}`);
  const tags = `Key=${ENABLED_TAG.key},Value=${ENABLED_TAG.value} Key=${selector.tag},Value=${selector.value}`;
  return failed('instance', there, `aws ec2 create-tags --resources ${first.InstanceId} --tags ${tags}`);
}

function tagFinding(instance: Instance): Finding {
  const wanted = `${ENABLED_TAG.key}=${ENABLED_TAG.value}`;
  const value = tagOf(instance, ENABLED_TAG.key);
  if (value === ENABLED_TAG.value) return ok('tag', `${wanted}: runctl may send it commands`);
  return failed(
    'tag',
    `${instance.InstanceId} has ${value === null ? 'no tag' : `${ENABLED_TAG.key}=${value}, not`} ${wanted}: nothing of runctl may send it commands`,
    `aws ec2 create-tags --resources ${instance.InstanceId} --tags Key=${ENABLED_TAG.key},Value=${ENABLED_TAG.value}`,
  );
}

/** An agent that is online has its permissions from somewhere, an instance profile or the account's default for all instances. */
function roleFinding(instance: Instance, online: boolean): Finding {
  const profile = instance.IamInstanceProfile?.Arn?.split('/').at(-1);
  if (profile !== undefined) return ok('role', `instance profile ${profile}`);
  if (online) return ok('role', 'no instance profile, and the SSM agent does without');
  return failed(
    'role',
    `${instance.InstanceId} has no instance profile: its SSM agent may not connect`,
    `aws ec2 associate-iam-instance-profile --instance-id ${instance.InstanceId} --iam-instance-profile Name=runctl-instance`,
    'That profile is made as docs/guide/first-run.md shows ("An instance").',
  );
}

async function lookAtAgent(account: Account, instance: Instance): Promise<Finding | string> {
  const id = instance.InstanceId ?? '';
  const ping = await instancesOver(account.ec2, account.ssm).ping(id);
  if (ping === 'Online') return 'the SSM agent is online';
  const again = `aws ec2 reboot-instances --instance-ids ${id}`;
  if (ping !== null) return failed('ssm', `the SSM agent of ${id} is not online: ${ping}`, again);
  return failed(
    'ssm',
    `SSM does not know ${id}: its agent has never connected`,
    `It needs a role with AmazonSSMManagedInstanceCore, outbound HTTPS, and a few minutes after its start. Then: ${again}`,
  );
}

function running(instances: readonly Instance[]): Instance[] {
  return instances.filter((instance) => instance.State?.Name === 'running');
}

function nameOf(instance: Instance): string {
  const name = tagOf(instance, 'Name');
  return name === null ? `${instance.InstanceId}` : `${instance.InstanceId} (${name})`;
}
