import type { Instance } from '@aws-sdk/client-ec2';
import { DEFAULT_ROOT, INSTANCE_TAGS, PREPARE_INSTALL_DOCUMENT } from '../../core/names.ts';
import { PROTOCOL } from '../../core/protocol/messages.ts';
import type { Disk, ProbeAnswer, ProbeRequest } from '../../core/protocol/probe.ts';
import type { SpecInput } from '../../core/spec/spec.ts';
import { formatSize } from '../../core/units.ts';
import type { Account } from '../account/account.ts';
import { askInstance } from '../account/ask-instance.ts';
import { tagOf } from '../account/instances.ts';
import { setUpError } from '../errors.ts';
import { deployedInstaller } from './account.ts';
import { type Finding, failed, find, ok, skipped, warning } from './finding.ts';

const CHECKS = ['disk', 'python3', 'pip', 'uv', 'gpu'];
/** Installing torch with its CUDA libraries takes about 5 GB, twice that while it is unpacked. */
const LITTLE_ROOM = 10 * 2 ** 30;
/** Not even a small install and its log fit. */
const NO_ROOM = 2 ** 29;

/** Asks the instance itself, by our own document: what a training would find there. `instance` is null when it cannot be asked. */
export async function* checkInside(
  account: Account,
  instance: Instance | null,
  spec: SpecInput,
  signal: AbortSignal,
): AsyncGenerator<Finding> {
  if (instance === null) {
    for (const check of CHECKS) yield skipped(check, 'the instance cannot be asked');
    return;
  }
  let answer: ProbeAnswer | null = null;
  const asked = await find('disk', async () => {
    answer = await probe(account, instance, spec, signal);
    return diskFinding(answer.disk, instance);
  });
  yield asked;
  if (answer === null) for (const check of CHECKS.slice(1)) yield skipped(check, 'the instance did not say');
  else yield* findings(answer, instance);
}

async function probe(account: Account, instance: Instance, spec: SpecInput, signal: AbortSignal) {
  const installer = await deployedInstaller(account.ssm);
  if (installer === null)
    throw setUpError(
      `The document ${PREPARE_INSTALL_DOCUMENT} does not say which program it carries: an older runctl deployed it.`,
      'runctl deploy',
    );
  const request: ProbeRequest = {
    protocol: PROTOCOL,
    verb: 'probe',
    runner: installer,
    root: tagOf(instance, INSTANCE_TAGS.root) ?? DEFAULT_ROOT,
    home: tagOf(instance, INSTANCE_TAGS.home),
    user: spec.user ?? tagOf(instance, INSTANCE_TAGS.user),
    python: spec.python ?? null,
  };
  const about = { instanceId: instance.InstanceId ?? '', document: PREPARE_INSTALL_DOCUMENT };
  return await askInstance<ProbeAnswer>(account.ssm, about, request, signal);
}

function diskFinding({ home, root }: ProbeAnswer['disk'], instance: Instance): Finding {
  const least = home.free < root.free ? home : root;
  const text = (disk: Disk) => `${formatSize(disk.free)} of ${formatSize(disk.bytes)} free at ${disk.path}`;
  const detail = home.free === root.free ? text(home) : `${text(home)}, ${text(root)}`;
  const mend = [
    `Remove what is not needed: ${session(instance)}, then: df -h; sudo du -xhd2 ${least.path}`,
    `Or grow the volume: aws ec2 describe-volumes --filters Name=attachment.instance-id,Values=${instance.InstanceId}, then: aws ec2 modify-volume`,
  ];
  if (least.free < NO_ROOM) return failed('disk', detail, ...mend);
  return least.free < LITTLE_ROOM
    ? warning('disk', `${detail}: little for torch and checkpoints`, ...mend)
    : ok('disk', detail);
}

function* findings({ python, uv, gpu, user }: ProbeAnswer, instance: Instance): Generator<Finding> {
  const install = (name: string) =>
    `${session(instance)}, then: sudo apt-get install -y ${name} (Amazon Linux: sudo dnf install -y ${name})`;
  const missing = python.error !== null;
  if (missing) yield failed('python3', python.error, install('python3'));
  else yield ok('python3', `${python.version}, ${python.path}, for ${user}: ${python.reason}`);
  const bringsItself = 'an install brings its own';
  if (missing) yield skipped('pip', 'needs python3');
  else if (python.pip) yield ok('pip', `of ${python.path}`);
  else yield warning('pip', `${python.path} has none; uv does without it`, install('python3-pip'));
  if (uv === null) yield ok('uv', `none: ${bringsItself}`);
  else if (uv.error === null) yield ok('uv', `${uv.version}, ${uv.path}`);
  else
    yield warning(
      'uv',
      `${uv.path} does not run: ${uv.error}`,
      `${session(instance)}, then: rm ${uv.path}. ${bringsItself}`,
    );
  yield gpuFinding(gpu, instance);
}

function gpuFinding(gpu: ProbeAnswer['gpu'], instance: Instance): Finding {
  if (gpu.error !== null)
    return failed(
      'gpu',
      `${gpu.devices} on the machine, but ${gpu.error}`,
      `Restart it once, which loads a driver that was updated: aws ec2 reboot-instances --instance-ids ${instance.InstanceId}`,
      'An image that has the driver: a Deep Learning AMI (docs/guide/first-run.md)',
    );
  if (gpu.names.length === 0) return ok('gpu', `none: training uses the CPU of this ${instance.InstanceType}`);
  return ok(
    'gpu',
    [...new Set(gpu.names)].map((name) => `${gpu.names.filter((one) => one === name).length} × ${name}`).join(', '),
  );
}

/** A shell on the instance, without SSH. */
function session(instance: Instance): string {
  return `aws ssm start-session --target ${instance.InstanceId}`;
}
