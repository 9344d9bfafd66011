import type { Instance } from '@aws-sdk/client-ec2';
import { DEFAULT_ROOT, INSTANCE_TAGS, parseProgramUri } from '../../core/names.ts';
import { check } from '../../core/protocol/answers.ts';
import { PROTOCOL } from '../../core/protocol/messages.ts';
import { type Disk, type ProbeAnswer, type ProbeRequest, probeAnswer } from '../../core/protocol/probe.ts';
import { commandWords } from '../../core/spec/entry.ts';
import type { SpecInput } from '../../core/spec/spec.ts';
import { formatSize } from '../../core/units.ts';
import type { Account } from '../account/account.ts';
import { tagOf } from '../account/instances.ts';
import { createSendRequest } from '../account/send-request.ts';
import { setUpError } from '../errors.ts';
import { type Check, failed, ok, runOperatorCheck, skipped, warning } from './check.ts';

const CHECKS = ['disk', 'user', 'metadata', 'python3', 'pip', 'uv', 'gpu'];
const GUIDE = 'docs/guide/trackers-and-secrets.md shows the policy of the role.';
/** Installing torch with its CUDA libraries takes about 5 GB, and twice that while unpacking. */
const LOW_SPACE_BYTES = 10 * 2 ** 30;
/** Too little even for a small install and its log. */
const NO_SPACE_BYTES = 2 ** 29;

/** Checks on the instance what a training would find there. `instance` is null when it cannot be reached. */
export async function* checkInside(
  account: Account,
  instance: Instance | null,
  spec: SpecInput,
  signal: AbortSignal,
): AsyncGenerator<Check> {
  const secrets = spec.secrets ?? {};
  const program = programOf(spec);
  const checks = [
    ...CHECKS,
    ...(program === null ? [] : ['command']),
    ...(Object.keys(secrets).length === 0 ? [] : ['secrets']),
  ];
  if (instance === null) {
    for (const name of checks) yield skipped(name, 'the instance cannot be reached');
    return;
  }
  let answer: ProbeAnswer | null = null;
  const disk = await runOperatorCheck('disk', async () => {
    answer = await probe(account, instance, spec, signal);
    return diskCheck(answer.disk, instance);
  });
  yield disk;
  if (answer === null) {
    for (const name of checks.slice(1)) yield skipped(name, 'the instance did not answer');
    return;
  }
  yield userCheck(answer);
  yield metadataCheck(answer, tagOf(instance, INSTANCE_TAGS.imds) === 'allow');
  yield* softwareChecks(answer, instance);
  if (program !== null) yield commandCheck(program, answer);
  for (const [name, reference] of Object.entries(secrets)) yield secretCheck(name, reference, answer);
}

/** Who runs the jobs, and whether that user can become root. */
function userCheck({ user, home, administratorGroups: groups = [] }: ProbeAnswer): Check {
  if (groups.length === 0) return ok('user', `jobs run as ${user}, in ${home}`);
  return warning(
    'user',
    `jobs run as ${user}, who is in the administrators' groups ${groups.join(', ')}: code of a run can become root`,
    `Remove the instance's tag runctl:user, or name an unprivileged user there.`,
  );
}

/** Whether jobs are kept from the instance metadata service, and so from the instance's role. */
function metadataCheck({ metadata }: ProbeAnswer, isAllowed: boolean): Check {
  if (isAllowed) return ok('metadata', `jobs can use the instance's role: its tag ${INSTANCE_TAGS.imds} is "allow"`);
  if (metadata === undefined)
    return warning('metadata', 'the stack was deployed by an older version of runctl', 'runctl deploy');
  if (metadata === null) return ok('metadata', "jobs cannot use the instance's role");
  return warning(
    'metadata',
    `jobs can reach the instance metadata service, and so the credentials of the instance's role: ${metadata}`,
    'Use an image with cgroup version 2 and systemd, such as Amazon Linux 2023 or Ubuntu 22.04, or narrow the role.',
  );
}

/** The program of the run spec's command; null without one, or when it is a path, which may be of the archive. */
function programOf({ command }: SpecInput): string | null {
  const [program = null] = command === undefined ? [] : commandWords(command);
  return program === null || program.includes('/') ? null : program;
}

/** Whether the program that the run spec starts is on the instance: an install may bring it only later. */
function commandCheck(program: string, { command }: ProbeAnswer): Check {
  if (command === undefined || command === null)
    return warning('command', `${program}: the stack was deployed by an older version of runctl`, 'runctl deploy');
  if (command.path !== null) return ok('command', `${program} is ${command.path}`);
  return warning(
    'command',
    `${command.error}`,
    'Add the package that brings it to the requirements file: the install of the next run puts it there.',
  );
}

/** Whether the instance can read a secret. Its value is not in the answer. */
function secretCheck(name: string, reference: string, { secrets }: ProbeAnswer): Check {
  const text = `${name} from ${reference}`;
  const problem = secrets?.[name];
  if (problem === null) return ok('secrets', `${text}: the instance can read it`);
  if (problem === undefined)
    return warning('secrets', `${text}: the stack was deployed by an older version of runctl`, 'runctl deploy');
  return failed('secrets', `${text}: ${problem.error}`, problem.next, GUIDE);
}

async function probe(account: Account, instance: Instance, spec: SpecInput, signal: AbortSignal) {
  const command = programOf(spec);
  const program = parseProgramUri(await account.output('program'));
  if (program === null)
    throw setUpError(
      'The stack was deployed by another version of runctl: it does not name the program that instances run.',
      'runctl deploy',
    );
  const request: ProbeRequest = {
    protocol: PROTOCOL,
    verb: 'probe',
    root: tagOf(instance, INSTANCE_TAGS.root) ?? DEFAULT_ROOT,
    home: tagOf(instance, INSTANCE_TAGS.home),
    user: spec.user ?? tagOf(instance, INSTANCE_TAGS.user),
    python: spec.python ?? null,
    secrets: spec.secrets ?? {},
    ...(command === null ? {} : { command }),
  };
  const send = createSendRequest(account, program);
  return await send(instance.InstanceId ?? '', request, (answer) => check(probeAnswer, 'probe', answer), signal);
}

function diskCheck({ home, root }: ProbeAnswer['disk'], instance: Instance): Check {
  const least = home.free < root.free ? home : root;
  const text = (disk: Disk) => `${formatSize(disk.free)} of ${formatSize(disk.bytes)} free at ${disk.path}`;
  const detail = home.free === root.free ? text(home) : `${text(home)}, ${text(root)}`;
  const fix = [
    `Free space: ${session(instance)}, then: df -h; sudo du -xhd2 ${least.path}`,
    `Or grow the volume: aws ec2 describe-volumes --filters Name=attachment.instance-id,Values=${instance.InstanceId}, then: aws ec2 modify-volume`,
  ];
  if (least.free < NO_SPACE_BYTES) return failed('disk', detail, ...fix);
  return least.free < LOW_SPACE_BYTES
    ? warning('disk', `${detail}: may be too little for torch and checkpoints`, ...fix)
    : ok('disk', detail);
}

function* softwareChecks({ python, uv, gpu, user }: ProbeAnswer, instance: Instance): Generator<Check> {
  const install = (name: string) =>
    `${session(instance)}, then: sudo apt-get install -y ${name} (Amazon Linux: sudo dnf install -y ${name})`;
  const missing = python.error !== null;
  if (missing) yield failed('python3', python.error, install('python3'));
  else yield ok('python3', `${python.version}, ${python.path}, for ${user}: ${python.reason}`);
  const installsUv = 'the job install downloads its own copy';
  if (missing) yield skipped('pip', 'requires python3');
  else if (python.pip) yield ok('pip', `of ${python.path}`);
  else yield warning('pip', `${python.path} has no pip; uv works without it`, install('python3-pip'));
  if (uv === null) yield ok('uv', `not installed: ${installsUv}`);
  else if (uv.error === null) yield ok('uv', `${uv.version}, ${uv.path}`);
  else
    yield warning(
      'uv',
      `${uv.path} does not run: ${uv.error}`,
      `${session(instance)}, then: rm ${uv.path}. Without it ${installsUv}.`,
    );
  yield gpuCheck(gpu, instance);
}

function gpuCheck(gpu: ProbeAnswer['gpu'], instance: Instance): Check {
  if (gpu.error !== null)
    return failed(
      'gpu',
      `the machine has ${gpu.devices} GPUs, but ${gpu.error}`,
      `Reboot it once, which loads an updated driver: aws ec2 reboot-instances --instance-ids ${instance.InstanceId}`,
      'Or use an image with the driver, such as a Deep Learning AMI (docs/guide/first-run.md)',
    );
  if (gpu.names.length === 0) return ok('gpu', `none: the training uses the CPU of this ${instance.InstanceType}`);
  return ok(
    'gpu',
    [...new Set(gpu.names)].map((name) => `${gpu.names.filter((one) => one === name).length} × ${name}`).join(', '),
  );
}

/** A shell on the instance, without SSH. */
function session(instance: Instance): string {
  return `aws ssm start-session --target ${instance.InstanceId}`;
}
