/** How a run can end. A closed list: people's scripts compare with it. */
export const OUTCOMES = [
  'succeeded',
  'failed',
  'killed',
  'out-of-memory',
  'vanished',
  'instance-unavailable',
  'instance-lost',
  'interrupted',
  'sync-failed',
  'install-failed',
  'rejected',
  'busy',
  'skipped',
  'timed-out',
  'capped',
  'stopped',
  'internal',
] as const;
export type Outcome = (typeof OUTCOMES)[number];

export interface ErrorEntry {
  readonly outcome: Outcome;
  /** Whether the state machine tries the same step again: only where a second attempt can end differently by itself. */
  readonly retried: boolean;
  /** What a person does next, in one sentence. */
  readonly next: string;
}

const rejected = (next: string): ErrorEntry => ({ outcome: 'rejected', retried: false, next });
const unavailable = (next: string): ErrorEntry => ({ outcome: 'instance-unavailable', retried: false, next });
const syncFailed = (next: string): ErrorEntry => ({ outcome: 'sync-failed', retried: false, next });
const installFailed = (next: string): ErrorEntry => ({ outcome: 'install-failed', retried: false, next });
const training = (outcome: Outcome, next: string): ErrorEntry => ({ outcome, retried: false, next });

const PACK_AGAIN = 'Pack the project again, for example with: tar czf code.tar.gz -C <project> .';

/**
 * Every error a run can end with: the one place that says what it means. Classes, Retry and Catch, docs/reference/errors.md and the messages people
 * see are checked against this table (test/contract/errors.test.ts).
 */
export const ERRORS = {
  InvalidSpec: rejected('Correct the named key of the run spec and start the run again.'),
  ArchiveNotFound: rejected('Check bucket and key, or upload the archive again.'),
  ArchiveNotGzip: rejected(PACK_AGAIN),
  ArchiveNotTar: rejected(PACK_AGAIN),
  ArchiveTruncated: rejected('Upload the archive again: its end is missing.'),
  ArchiveCorrupt: rejected('Pack the project and upload the archive again: it is damaged.'),
  ArchiveEmpty: rejected(PACK_AGAIN),
  ArchiveTrailingData: rejected(PACK_AGAIN),
  ArchiveUnsafeName: rejected('Rename or leave out the named entry, and pack again from inside the project folder.'),
  ArchiveUnsafeEntry: rejected('Pack only regular files and folders; tar -h packs links as the files they point to.'),
  ArchiveDuplicateName: rejected('Rename one of the two entries: on some disks they are the same file.'),
  ArchiveTooLarge: rejected(
    'Leave out data and environments (.venv, checkpoints), or raise the cap in the context of cdk.json.',
  ),
  ArchiveChanged: rejected(
    'Upload the archive again and start a new run: the stored object is not the one that the run names.',
  ),
  CheckpointNotFound: rejected(
    'See what is in S3 with runctl checkpoints <run id of that run>, or start the run without the key resume.',
  ),
  PatchUnusable: rejected('Start the run again with `runctl run --full`, which uploads the whole archive.'),
  ScriptNotFound: rejected('Set the key script to the path of a script in the archive.'),
  PriceUnknown: unavailable(
    'Let the function runctl-find-instance call pricing:GetProducts and ec2:DescribeSpotPriceHistory (deploy the stack again), or set maxDuration instead of maxCost.',
  ),
  InstanceNotFound: unavailable(
    'Set the key instance to the id of the instance, or give the instance the tag Project=<project>.',
  ),
  InstanceAmbiguous: unavailable(
    'Set the key instance to the id of one instance, or give the tag to one instance only.',
  ),
  InstanceNotRunning: unavailable(
    'Start the instance and start the run again, or give the instance the tag runctl:power=managed: then runctl starts it.',
  ),
  InstanceStartFailed: unavailable(
    'Start the instance in the EC2 console, which shows the cause, and start the run again.',
  ),
  NoCapacity: unavailable(
    'Start the run again later, with a longer maxWait, or with an instance of another type or Availability Zone.',
  ),
  LaunchTemplateNotFound: unavailable(
    'Name a launch template of this region that has an image: aws ec2 describe-launch-templates.',
  ),
  LaunchTemplateNotEnabled: unavailable(
    'Give the launch template the tag runctl=enabled: without it runctl may not start instances from it.',
  ),
  ScrubFailed: unavailable(
    'Remove what the message names from the image of the launch template, and start the bake again.',
  ),
  ImageFailed: unavailable('Read the reason in the EC2 console, AMIs, and start the bake again.'),
  ImageNotUsable: unavailable('Read the log of the run that tested the image, and start the bake again.'),
  InstanceNotEnabled: unavailable(
    'Give the instance the tag runctl=enabled: without it runctl may not send commands to it.',
  ),
  ProjectNotAllowed: unavailable(
    "Use another instance, or ask its administrator to add the project to the instance's tag runctl:projects.",
  ),
  UserNotAllowed: unavailable(
    "Remove the key user, or ask the instance's administrator to add that user to the instance's tag runctl:users.",
  ),
  InstanceNotLinux: unavailable('Use a Linux instance: runctl does not support other platforms.'),
  AgentOffline: unavailable(
    'Check that the SSM agent is running, and that the instance profile has AmazonSSMManagedInstanceCore.',
  ),
  AgentSilent: unavailable('Reboot the instance: its SSM agent received the command and did not answer.'),
  PythonMissing: unavailable(
    'Install Python 3.8 or newer on the instance: dnf install python3, or apt-get install python3.',
  ),
  ProgramMissing: unavailable(
    'Deploy the stack again: the document version that this run began with no longer exists.',
  ),
  ProgramFetchFailed: unavailable(
    'Check that the instance reaches S3 (route, VPC endpoint, security group), then start the run again.',
  ),
  ProgramBroken: unavailable(
    'Remove the folder programs/ in /var/lib/runctl on the instance and start the run again, which fetches the program again.',
  ),
  ProgramUntrusted: unavailable(
    'Make root the only owner and writer of the named path (chown root, chmod go-w), or give the instance the tag runctl:root=/path.',
  ),
  SecretUnavailable: unavailable(
    'Follow the message for each reference, check it with runctl doctor, and start the run again.',
  ),
  NoUser: unavailable('Set the key user to an existing user of the instance.'),
  NoHome: unavailable('Create a home folder for the user, or give the instance the tag runctl:home=/path.'),
  InstanceBusy: {
    outcome: 'busy',
    retried: false,
    next: 'Start the run again when the run that holds the instance has ended.',
  },
  RunSkipped: {
    outcome: 'skipped',
    retried: false,
    next: 'No action is needed: the instance was busy, and the spec has ifBusy: skip.',
  },
  SyncFailed: syncFailed('Read the log: runctl logs <run id> --sync. The code of the last sync is unchanged.'),
  FetchFailed: syncFailed(
    'Check that the instance can reach S3 (route, VPC endpoint, security group), and start the run again.',
  ),
  DigestMismatch: syncFailed(
    'Upload the archive again and start a new run: the instance received other bytes than were verified.',
  ),
  ArchiveUnsafe: syncFailed('Pack only regular files and folders with names inside the project.'),
  ProjectInUse: syncFailed(
    'Give the code another name with the key project. To replace the other code: runctl run --take-over, or the key takeOver.',
  ),
  RemovalsNotAllowed: syncFailed(
    'Check that the archive has all files of the project. To remove the files: runctl run --allow-removals, or the key allowRemovals.',
  ),
  DiskFull: syncFailed('Free space on the instance, or grow its volume, and start the run again.'),
  RestoreFailed: syncFailed(
    'Read the log: runctl logs <run id> --restore. Then check that the instance can reach S3, and start the run again.',
  ),
  InstallFailed: installFailed(
    'Read the log: runctl logs <run id> --install. Then correct the requirements file or the package index.',
  ),
  RequirementsMissing: installFailed('Add the requirements file to the archive, or correct the key requirements.'),
  PythonNotFound: installFailed('Correct the key python: the instance has no interpreter at that path.'),
  NoInstaller: installFailed('Install pip on the instance: dnf install python3-pip, or apt-get install python3-pip.'),
  TrainingFailed: training('failed', 'Read the last lines, correct the script, and start the run again.'),
  TrainingKilled: training(
    'killed',
    'Read the log: runctl logs <run id>. Then find out which process sent the signal.',
  ),
  OutOfMemory: training('out-of-memory', 'Use smaller batches, or an instance type with more memory.'),
  TrainingVanished: training(
    'vanished',
    'Check whether the instance was rebooted, and continue with: runctl run --resume <run id>',
  ),
  TrainingTimedOut: training('timed-out', 'Increase maxDuration, and continue with: runctl run --resume <run id>'),
  RunTimedOut: training('timed-out', 'Continue with runctl run --resume <run id>: a run may take 65 days at most.'),
  CostCapped: training('capped', 'Increase maxCost, and continue with: runctl run --resume <run id>'),
  RunStopped: training('stopped', 'No action is needed: the run was stopped. Start it again to continue.'),
  InstanceLost: training('instance-lost', 'Start the instance, and continue with: runctl run --resume <run id>'),
  TrainingInterrupted: training(
    'interrupted',
    'Start the run again with --resume <run id>, or add the key retries: then runctl waits for the instance and goes on.',
  ),
  StartRefused: {
    outcome: 'internal',
    retried: false,
    next: 'Start the run again: the instance refused a command that arrived too late.',
  },
  RunnerBroken: {
    outcome: 'internal',
    retried: false,
    next: 'Report the message: this is a defect of runctl.',
  },
  RequestTooLarge: {
    outcome: 'rejected',
    retried: false,
    next: 'Shorten args and env: put long values in a file of the archive.',
  },
  AccessDenied: {
    outcome: 'internal',
    retried: false,
    next: 'Deploy the stack again, and check permission boundaries and service control policies.',
  },
  ServiceUnavailable: {
    outcome: 'internal',
    retried: true,
    next: 'Start the run again: an AWS service failed, and so did all retries.',
  },
  Internal: {
    outcome: 'internal',
    retried: false,
    next: 'Read the Lambda log groups /aws/lambda/runctl-*, and report the message.',
  },
} as const satisfies Record<string, ErrorEntry>;

export type ErrorName = keyof typeof ERRORS;

export function isErrorName(name: string): name is ErrorName {
  return Object.hasOwn(ERRORS, name);
}

/** A named end of a step. Step Functions sees `name` as the error, and the message in the cause. */
export class RunError extends Error {
  override readonly name: ErrorName;

  constructor(name: ErrorName, message: string) {
    super(message);
    this.name = name;
  }
}

/**
 * Puts an error's name in front of its message. AWS keeps the name as the error's type, but not every runtime does: MiniStack's Node workers hand on the
 * message alone.
 */
export function nameInMessage(error: unknown): unknown {
  if (error instanceof Error && isErrorName(error.name)) error.message = `${error.name}: ${error.message}`;
  return error;
}

/** Undoes {@link nameInMessage}; null for a text that begins with no error's name. */
export function splitName(text: string): { name: ErrorName; message: string } | null {
  const [, name = '', message = ''] = /^(\w+): (.*)$/s.exec(text) ?? [];
  return isErrorName(name) ? { name, message } : null;
}
