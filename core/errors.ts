/** How a run can end. A closed list: people's scripts compare with it. */
export const OUTCOMES = [
  'succeeded',
  'failed',
  'killed',
  'out-of-memory',
  'vanished',
  'instance-unavailable',
  'instance-lost',
  'sync-failed',
  'install-failed',
  'rejected',
  'busy',
  'skipped',
  'timed-out',
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
  ArchiveTruncated: rejected('Upload the archive again: its end is missing or damaged.'),
  ArchiveCorrupt: rejected('Upload the archive again: its bytes were damaged on the way.'),
  ArchiveEmpty: rejected(PACK_AGAIN),
  ArchiveTrailingData: rejected(PACK_AGAIN),
  ArchiveUnsafeName: rejected('Rename or leave out the named entry, and pack again from inside the project folder.'),
  ArchiveUnsafeEntry: rejected('Pack only regular files and folders; tar -h packs links as the files they point to.'),
  ArchiveDuplicateName: rejected('Rename one of the two entries: on some disks they are the same file.'),
  ArchiveTooLarge: rejected(
    'Leave out data and environments (.venv, checkpoints), or raise the cap in the context of cdk.json.',
  ),
  ArchiveChanged: rejected(
    'Upload the archive again and start a new run: the stored object is not the one that was named.',
  ),
  ScriptNotFound: rejected('Name the entry script with the key script, or put it where the spec says it is.'),
  InstanceNotFound: unavailable('Give the instance id with the key instance, or tag the instance Project=<project>.'),
  InstanceAmbiguous: unavailable('Name one instance by its id, or give the tag to one instance only.'),
  InstanceNotRunning: unavailable('Start the instance, wait until it is running, and start the run again.'),
  InstanceNotEnabled: unavailable('Tag the instance runctl=enabled: without it runctl may not send it commands.'),
  ProjectNotAllowed: unavailable(
    "Use another instance, or ask its administrator to add the project to the instance's tag runctl:projects.",
  ),
  UserNotAllowed: unavailable(
    "Remove the key user, or ask the instance's administrator to add that user to the instance's tag runctl:users.",
  ),
  InstanceNotLinux: unavailable('Use a Linux instance: runctl runs on no other platform.'),
  AgentOffline: unavailable(
    'Check that the SSM agent runs and that the instance profile has AmazonSSMManagedInstanceCore.',
  ),
  AgentSilent: unavailable(
    'Look at the instance: its SSM agent took the command but did not answer. A reboot mends most agents.',
  ),
  PythonMissing: unavailable(
    'Install Python 3.8 or newer on the instance: dnf install python3, or apt-get install python3.',
  ),
  NoUser: unavailable('Name an existing user of the instance with the key user.'),
  SecretUnavailable: unavailable(
    'Do what the message says about each reference, check it with runctl doctor, and start the run again.',
  ),
  NoHome: unavailable('Give the user a home folder, or tag the instance runctl:home=/path.'),
  InstanceBusy: {
    outcome: 'busy',
    retried: false,
    next: 'Start the run again when the run that holds the instance has ended.',
  },
  RunSkipped: {
    outcome: 'skipped',
    retried: false,
    next: 'Nothing: the instance was busy and the spec says ifBusy: skip.',
  },
  SyncFailed: syncFailed('Read the log stream <run id>/sync; the old code is untouched.'),
  FetchFailed: syncFailed(
    'Check that the instance reaches S3 (route, VPC endpoint, security group), then start the run again.',
  ),
  DigestMismatch: syncFailed('Upload the archive again and start a new run: what arrived is not what was verified.'),
  ArchiveUnsafe: syncFailed('Pack only regular files and folders with names inside the project.'),
  DiskFull: syncFailed('Free space on the instance, or grow its volume, and start the run again.'),
  InstallFailed: installFailed('Read the log stream <run id>/install; correct the requirements file or the index.'),
  RequirementsMissing: installFailed('Put the requirements file into the archive, or correct the key requirements.'),
  PythonNotFound: installFailed('Correct the key python: there is no interpreter at that path on the instance.'),
  NoInstaller: installFailed('Install pip on the instance: dnf install python3-pip, or apt-get install python3-pip.'),
  TrainingFailed: training('failed', 'Read the last lines, correct the script, and start the run again.'),
  TrainingKilled: training('killed', 'Find out who sent the signal: the log stream <run id>/train has the last lines.'),
  OutOfMemory: training('out-of-memory', 'Use smaller batches, or an instance type with more memory.'),
  TrainingVanished: training(
    'vanished',
    'Look whether the instance rebooted: the process is gone and left no exit code.',
  ),
  TrainingTimedOut: training('timed-out', 'Raise maxDuration, or resume from the last checkpoint.'),
  RunTimedOut: training(
    'timed-out',
    'Start the run again: the execution reached the longest time that a run may take.',
  ),
  RunStopped: training('stopped', 'Nothing: a person stopped the run. Start it again to go on.'),
  InstanceLost: training(
    'instance-lost',
    'Start the instance again, then start the run again from its last checkpoint.',
  ),
  StartRefused: {
    outcome: 'internal',
    retried: false,
    next: 'Start the run again: a late command of this run was refused.',
  },
  RunnerBroken: {
    outcome: 'internal',
    retried: false,
    next: 'Report this with the message; it is a defect of runctl.',
  },
  RequestTooLarge: {
    outcome: 'rejected',
    retried: false,
    next: 'Shorten args and env: put long values into a file of the archive.',
  },
  AccessDenied: {
    outcome: 'internal',
    retried: false,
    next: 'Deploy the stack again, and check permission boundaries and service control policies.',
  },
  ServiceUnavailable: {
    outcome: 'internal',
    retried: true,
    next: 'Start the run again: an AWS service failed for longer than the retries last.',
  },
  Internal: {
    outcome: 'internal',
    retried: false,
    next: 'Look into the Lambda log groups /aws/lambda/runctl-*, and report the message.',
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
