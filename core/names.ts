import { createHash } from 'node:crypto';

/** Names that people's scripts and our tests use; built and parsed here alone. */
export const STACK_NAME = 'runctl';
export const STOP_FUNCTION = `${STACK_NAME}-stop-run`;
export const ASSEMBLE_FUNCTION = `${STACK_NAME}-assemble-archive`;
export const NOTIFY_FUNCTION = `${STACK_NAME}-notify-run`;
export const RUN_MACHINE = 'runctl-run';
export const WATCH_MACHINE = 'runctl-watch';
/** Stops managed instances that nobody uses. */
export const POWER_MACHINE = 'runctl-power';
/** Makes images with a project's packages. */
export const BAKE_MACHINE = 'runctl-bake';
export const UPLOAD_PREFIX = 'uploads/';
/** Archives that start nothing by themselves. */
export const ARCHIVE_PREFIX = 'archives/';
/** What turns an earlier archive into the one of a run. */
export const PATCH_PREFIX = 'patches/';
/** The members of archives that were verified, written by functions only. */
export const INDEX_PREFIX = 'indexes/';
/**
 * Marks an archive that expires when it is ARCHIVE_DAYS old: one that was uploaded for a run alone, or that nothing names any
 * more. The tag is for S3's lifecycle rule; HeadObject shows the metadata, which only the first ones have.
 */
export const EXPIRING = { tag: { key: 'runctl-expires', value: 'yes' }, metadata: 'expires' } as const;
export const EXPIRING_TAGGING = `${EXPIRING.tag.key}=${EXPIRING.tag.value}`;
export const ARCHIVE_DAYS = 90;
/** An older one is copied, within S3, when it is used again: what is named today is not about to expire. */
export const ARCHIVE_REUSE_DAYS = 60;
/** A run names the version of its archive, waits 30 days at most, and syncs: that version is there for some days more. */
export const VERSION_DAYS = 37;
export const ARCHIVE_SUFFIX = '.tar.gz';
export const RUN_LOG_GROUP = '/runctl/runs';
/** The functions' document: runs any request. */
export const RUN_DOCUMENT = STACK_NAME;
/** The document for people: it accepts only requests that change nothing of a run. */
export const LOOK_DOCUMENT = `${STACK_NAME}-look`;
export const DOCUMENTS = [RUN_DOCUMENT, LOOK_DOCUMENT] as const;
export const VERBS_FOR_PEOPLE = ['poll', 'probe', 'fetch'] as const;
/** Begins the keys of the stack's assets in the bucket of the CDK, among them the program that instances fetch. */
export const ASSET_PREFIX = `${STACK_NAME}/`;
export const DEFAULT_ROOT = '/var/lib/runctl';
/** The user that the runner makes for jobs, where the instance's tags name nobody else. */
export const DEFAULT_USER = 'runctl';
/** The one user-defined metadata key read from an upload (S3 returns keys in lower case). */
export const METADATA_KEY = 'runctl';

export const ENABLED_TAG = { key: 'runctl', value: 'enabled' } as const;
/**
 * What the administrator of an instance decides about it. A run may choose among what these tags allow, and nothing else.
 * Whoever may write them (`ec2:CreateTags`) decides who runs code there.
 */
export const INSTANCE_TAGS = {
  /** Folder of the runner's files. Default: DEFAULT_ROOT. */
  root: 'runctl:root',
  /** Home folder of the user that runs the jobs. Default: as in the password database. */
  home: 'runctl:home',
  /** User that runs the jobs. Default: a user `runctl` that the runner makes. */
  user: 'runctl:user',
  /** Other users that the key `user` of a run may name; separated by spaces. */
  users: 'runctl:users',
  /** Projects that may use the instance; separated by spaces. Default: every project. */
  projects: 'runctl:projects',
  /** `allow`: jobs reach the instance metadata service, and so the instance's role. Default: they do not. */
  imds: 'runctl:imds',
  /** `managed`: runctl starts and stops the instance. Default: it does neither. */
  power: 'runctl:power',
  /** With power: how long it runs on after its last run, such as `10m`, or `never`. Default: DEFAULT_STOP_AFTER_S. */
  stopAfter: 'runctl:stop-after',
} as const;
/** With {@link ENABLED_TAG}, the consent to start and stop an instance. */
export const MANAGED_TAG = { key: INSTANCE_TAGS.power, value: 'managed' } as const;

export const OUTPUTS = {
  machine: 'RunStateMachineArn',
  bakeMachine: 'BakeStateMachineArn',
  bucket: 'UploadBucketName',
  logGroup: 'RunLogGroupName',
  scheduleRole: 'ScheduleRoleArn',
  startFunction: 'StartFunctionArn',
  deadLetters: 'DeadLetterQueueArn',
  summaryDeadLetters: 'SummaryDeadLetterQueueArn',
  notifications: 'NotificationTopicArn',
  program: 'ProgramUri',
} as const;

/** Managed policies for people; the region is behind the name. */
export const MANAGED_POLICIES = {
  upload: `${STACK_NAME}-upload`,
  watch: `${STACK_NAME}-watch`,
  operator: `${STACK_NAME}-operator`,
} as const;

/** EventBridge Scheduler's group of all schedules that start runs: only from it they may. */
export const SCHEDULE_GROUP = STACK_NAME;

/** @param parts the project and a name, or a name of cdk.json's */
export function scheduleName(...parts: readonly string[]): string {
  return [STACK_NAME, ...parts].join('-');
}

/** Environment variables of the Lambdas: set by lib/, read in lambdas/adapters/environment.ts. */
export const ENV = {
  runMachineArn: 'RUNCTL_RUN_MACHINE_ARN',
  uploadBucket: 'RUNCTL_UPLOAD_BUCKET',
  logGroup: 'RUNCTL_LOG_GROUP',
  stopFunction: 'RUNCTL_STOP_FUNCTION',
  notifyFunction: 'RUNCTL_NOTIFY_FUNCTION',
  topicArn: 'RUNCTL_TOPIC_ARN',
  longWait: 'RUNCTL_LONG_WAIT',
  watchMachineArn: 'RUNCTL_WATCH_MACHINE_ARN',
  powerMachineArn: 'RUNCTL_POWER_MACHINE_ARN',
  program: 'RUNCTL_PROGRAM',
  archiveCaps: 'RUNCTL_ARCHIVE_CAPS',
  durationLimits: 'RUNCTL_DURATION_LIMITS',
} as const;

export const JOBS = ['sync', 'install', 'restore', 'train'] as const;
export type JobName = (typeof JOBS)[number];

/** A job of an attempt, as its log stream, its log file and its folder on the instance have it: `train`, `train-2`. */
export function jobOfAttempt(job: JobName, attempt: number): string {
  return attempt === 1 ? job : `${job}-${attempt}`;
}

/** The name of a log that is kept in S3. */
export function logFileName(job: JobName, attempt = 1): string {
  return `${jobOfAttempt(job, attempt)}.log.gz`;
}

/** The log that has this name; null: it is no log. */
export function readLogName(name: string): { readonly job: JobName; readonly attempt: number } | null {
  const [, job, attempt = '1'] = /^([a-z]+)(?:-([1-9]\d*))?\.log(?:\.gz)?$/.exec(name) ?? [];
  const known = JOBS.find((one) => one === job);
  return known === undefined ? null : { job: known, attempt: Number(attempt) };
}

/** First 8 bytes of the SHA-256, as 16 hex digits: names come from few enough things that these never meet. */
function shortHash(...parts: string[]): string {
  return createHash('sha256').update(parts.join('\0')).digest('hex').slice(0, 16);
}

/** Step Functions allows 80 characters; the ones kept here are safe in a path, a stream's name and a shell as well. */
function safe(text: string, length: number): string {
  const cleaned = text.normalize('NFKD').replace(/[^A-Za-z0-9._-]+/g, '-');
  return cleaned.replace(/^[^A-Za-z0-9]+/, '').slice(0, length);
}

/** Names that a run may have: they become names of folders, objects and log streams. Step Functions accepts more, such as `..`. */
const RUN_ID = /^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$/;

export function isRunId(name: string): boolean {
  return RUN_ID.test(name);
}

/** The name of a run's folder, in the bucket and on a person's disk: its id; for a name that no run may have, one made of it. */
export function runFolder(id: string): string {
  return isRunId(id) ? id : `${safe(id, 47) || 'run'}-${shortHash(id)}`;
}

/**
 * The run's folder name on the instance, 64 characters at most, so that it also fits into the names of the nested watches (80).
 * Execution names come back after 90 days; ARN and start together do not.
 */
export function runKey(run: { id: string; arn: string; startedAt: string }): string {
  return `${safe(run.id, 47) || 'run'}-${shortHash(run.arn, run.startedAt)}`;
}

/** The same S3 event twice gives the same execution name, and so one run. */
export function executionNameForUpload(upload: { bucket: string; key: string; version: string }): string {
  const stem = upload.key.slice(UPLOAD_PREFIX.length).replace(ARCHIVE_SUFFIX, '');
  const readable = safe(stem, 60).replaceAll('.', '-');
  return `${readable || 'run'}-${shortHash(upload.bucket, upload.key, upload.version)}`;
}

/** Where the CLI puts an archive: the same bytes have the same key. */
export function archiveKey(project: string, sha256: string, prefix = ARCHIVE_PREFIX): string {
  return `${prefix}${project}/${sha256.slice(0, 16)}${ARCHIVE_SUFFIX}`;
}

/** Metadata of an index: the archive's key, with percent signs as in a URL, and its version. */
export const INDEX_METADATA = { key: 'archive-key', versionId: 'archive-version' } as const;

/** Where the function that verified an archive writes its members. */
export function indexKey(project: string, sha256: string): string {
  return `${INDEX_PREFIX}${project}/${sha256}.json.gz`;
}

/** Notes that runs used an archive, written by functions only. Expire ARCHIVE_DAYS after the last one. */
export const USE_PREFIX = 'used/';

/** @param key of an archive */
export function useKey(key: string): string {
  return `${USE_PREFIX}${key}`;
}

export function patchKey(project: string, sha256: string): string {
  return `${PATCH_PREFIX}${project}/${sha256}`;
}

/** Name of an execution that a person starts: `digits-20261124-171530-3f9a`, in UTC. @param random hex digits */
export function executionNameAt(project: string, at: Date, random: string): string {
  const stamp = at.toISOString().slice(0, 19).replace(/[-:]/g, '').replace('T', '-');
  return `${safe(project, 50)}-${stamp}-${random}`;
}

/** Name of an execution that a schedule starts: the same for each attempt to start it. @param name the schedule's full name */
export function executionNameForSchedule(name: string, at: Date): string {
  const own = name.startsWith(`${STACK_NAME}-`) ? name.slice(STACK_NAME.length + 1) : name;
  return executionNameAt(own, at, shortHash(name, at.toISOString()).slice(0, 8));
}

/** Whether an object starts a run: every one under `uploads/`, so that one that is not an archive is refused visibly; except folders that the S3 console creates. */
export function isUpload(key: string): boolean {
  return key.startsWith(UPLOAD_PREFIX) && !key.endsWith('/');
}

/** `uploads/<project>/…` → `<project>`, or null when the archive is directly under `uploads/`. */
export function projectFolder(key: string): string | null {
  if (!key.startsWith(UPLOAD_PREFIX)) return null;
  const parts = key.slice(UPLOAD_PREFIX.length).split('/');
  return parts.length > 1 ? (parts[0] ?? null) : null;
}

/** The project in the key of an archive that starts nothing, `archives/<project>/<name>`; null for another form. */
export function archiveProject(key: string): string | null {
  const [, project] = /^archives\/([^/]+)\/[^/]+$/.exec(key) ?? [];
  return project ?? null;
}

/** Makes a project name of a folder's or a package's name, accents taken off; null when nothing usable is left. */
export function toProjectName(text: string): string | null {
  const name = safe(text.normalize('NFKD').replace(/\p{M}/gu, ''), 63)
    .toLowerCase()
    .replace(/^[^a-z0-9]+/, '');
  return name === '' ? null : name;
}

/** Manifest, outputs and logs of a run are stored under `runs/<run id>/`. */
export const RUN_PREFIX = 'runs/';
export const MANIFEST = 'manifest.json';
/** What `runctl pull` placed in a folder and the manifest does not list: SHA-256 by path. */
export const PULLED = '.pulled.json';
/** Written beside it by stop-run when it begins, and when no process of the run is left. */
export const STOPPING = 'stopping.json';
export const STOPPED = 'stopped.json';

export function runFileKey(runId: string, name: string): string {
  return `${RUN_PREFIX}${runFolder(runId)}/${name}`;
}

/** The run whose manifest has this key; null for any other key. */
export function runOfManifest(key: string): string | null {
  const name = key.slice(RUN_PREFIX.length).split('/')[0] ?? '';
  return key === runFileKey(name, MANIFEST) ? name : null;
}

/** Records of notifications that were sent. Expire after a day. */
export const NOTIFIED_PREFIX = 'notified/';

export function notifiedKey(what: string): string {
  return `${NOTIFIED_PREFIX}${what}`;
}

/** Notes that EC2 takes Spot Instances back. Expire after a day. */
export const INTERRUPTED_PREFIX = 'interrupted/';

export function interruptionKey(instanceId: string): string {
  return `${INTERRUPTED_PREFIX}${instanceId}.json`;
}

/** Files that people fetched from an instance. Expire after a day. */
export const FETCHED_PREFIX = 'fetched/';

/** @param id of the request */
export function fetchedKey(runId: string, id: string): string {
  return `${FETCHED_PREFIX}${runFolder(runId)}/${id}.tar.gz`;
}

/** Log on its way to CloudWatch. Expires after a day. */
export const LOG_CHUNK_PREFIX = 'pieces/';

export function logChunkKey(runId: string, job: JobName, offset: number, attempt = 1): string {
  return `${LOG_CHUNK_PREFIX}${runId}/${jobOfAttempt(job, attempt)}-${offset}.gz`;
}

/** The list of a checkpoint's files with presigned URLs, for the instance that restores it. Expires as chunks of log do. */
export function restoreListKey(runId: string, attempt: number): string {
  return `${LOG_CHUNK_PREFIX}${runId}/${jobOfAttempt('restore', attempt)}.json`;
}

/** The list of a project's environments with presigned URLs, for the instance that installs. Expires as chunks of log do. */
export function environmentListKey(runId: string, attempt: number): string {
  return `${LOG_CHUNK_PREFIX}${runId}/${jobOfAttempt('install', attempt)}.json`;
}

/** The nested watch number `count` of a run: its execution's name. */
export function watchName(runKey: string, count: number): string {
  return `${runKey}-${count}`;
}

export function logStream(runId: string, job: JobName, attempt = 1): string {
  return `${runId}/${jobOfAttempt(job, attempt)}`;
}

/** A program in S3, with its SHA-256: the value of the stack's output. */
export function programUri({ bucket, key, sha256 }: { bucket: string; key: string; sha256: string }): string {
  return `s3://${bucket}/${key}#${sha256}`;
}

/** null: an output of an older runctl. */
export function parseProgramUri(uri: string): { bucket: string; key: string; sha256: string } | null {
  const [, bucket = '', key = '', sha256 = ''] = /^s3:\/\/([^/]+)\/([^#]+)#([0-9a-f]{64})$/.exec(uri) ?? [];
  return sha256 === '' ? null : { bucket, key, sha256 };
}

export interface ArchiveLocation {
  readonly bucket: string;
  readonly key: string;
  readonly versionId: string | null;
}

/** Reads `s3://bucket/key`, with an optional `?versionId=` at the end; null when it is something else. */
export function parseArchiveUri(uri: string): ArchiveLocation | null {
  const match = /^s3:\/\/([^/]+)\/(.+?)(?:\?versionId=([^?]+))?$/s.exec(uri);
  if (!match?.[1] || !match[2]) return null;
  return { bucket: match[1], key: match[2], versionId: match[3] ?? null };
}

export function archiveUri(location: ArchiveLocation): string {
  const version = location.versionId === null ? '' : `?versionId=${location.versionId}`;
  return `s3://${location.bucket}/${location.key}${version}`;
}
