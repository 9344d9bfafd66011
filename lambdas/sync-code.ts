import { type ArchiveStore, createArchiveStore } from '../aws/archive-store.ts';
import { createFunctions, type Functions } from '../aws/functions.ts';
import { type ErrorName, RunError } from '../core/errors.ts';
import type { JobPorts } from '../core/job/job-status.ts';
import { refusedSnapshot } from '../core/job/snapshot.ts';
import { startJob } from '../core/job/start-job.ts';
import { archiveProject, indexKey } from '../core/names.ts';
import { runWaiting } from '../core/notify/progress-event.ts';
import { shutdownAfter } from '../core/power/watch-power.ts';
import { outputFolders } from '../core/spec/output-globs.ts';
import { requirementsFile } from '../core/spec/requirements.ts';
import type { JobInput, JobSnapshot, VerifiedArchive, Waiting } from '../core/workflow/data.ts';
import { isOverdue, longWaitToNotify, ticketLife, waitForInstance } from '../core/workflow/queue-wait.ts';
import { entry } from './adapters/entry.ts';
import { requireEnv } from './adapters/environment.ts';
import { createJobPorts, createNotify, type Notify } from './adapters/ports.ts';

interface Ports extends JobPorts {
  readonly archives: Pick<ArchiveStore, 'presign'>;
  /** Invokes stop-run to clean up after an execution. Returns at once. */
  readonly clearUp: (executionArn: string) => Promise<void>;
  readonly notify: Notify;
  /** Seconds in the queue after which people are notified. */
  readonly longWait: number;
}

/** Why the runner refuses a start on an instance that is about to be stopped (instance/CONTRACT.md). */
const STOPPING = 'stopping';
/** What a start says whose instance was stopped after Find instance had seen it. */
const AWAY: readonly ErrorName[] = ['InstanceNotRunning', 'AgentOffline', 'AgentSilent'];
/** In a row; the next error ends the attempt. */
const MOST_LOOKS = 5;

/**
 * Takes the instance's lease and starts the job `sync`. On a busy instance AWS is asked about those before this run: an ended holder is handed to stop-run, since
 * the event of its end may have been lost, and an ended run in the queue loses its place.
 */
export function createSync(ports: Ports) {
  return async (input: JobInput): Promise<JobSnapshot> => {
    const { spec } = input;
    const before = input.step?.waiting ?? null;
    const now = ports.now() / 1_000;
    const queued = spec.ifBusy === 'queue' || before !== null ? { ttl: ticketLife(spec.maxWait) } : null;
    // A clean-up that timed out is overridden: the instance kills the remaining processes of the holder.
    const overdue = before?.clearing && isOverdue(before.clearing, now) ? [before.clearing.arn] : [];
    const first = await startOrWait(input, overdue, queued);
    if (first.state !== 'busy') return first;
    const gone = await endedAhead(first, input.run.arn);
    const clearing = await clearUpHolder(first, before, now);
    const step =
      gone.length > 0 ? await start(input, gone, clearing ? { ttl: ticketLife(spec.maxWait) } : queued) : first;
    if (step.state !== 'busy') return step;
    return notifyLongWait(input, waitForInstance(step, before, { spec, now, clearing }), now);
  };

  /** Of an instance that may have been stopped meanwhile: the run looks for it again, and waits for its next boot. */
  async function startOrWait(
    input: JobInput,
    ended: readonly string[],
    queue: { ttl: number } | null,
  ): Promise<JobSnapshot> {
    const before = input.step?.reason === STOPPING ? input.step.pollFailures : 0;
    try {
      return await start(input, ended, queue);
    } catch (error) {
      const isAway = error instanceof RunError && AWAY.includes(error.name);
      if (!input.instance.managed || !isAway || before >= MOST_LOOKS) throw error;
      return refusedSnapshot('sync', STOPPING, { previous: input.step, failures: before + 1 });
    }
  }

  async function notifyLongWait(input: JobInput, step: JobSnapshot, now: number): Promise<JobSnapshot> {
    const waited = longWaitToNotify(step, now, ports.longWait);
    if (waited === null || step.waiting === null) return step;
    await ports.notify(runWaiting(input, step, waited));
    return { ...step, waiting: { ...step.waiting, notified: true } };
  }

  async function start(input: JobInput, ended: readonly string[], queue: { ttl: number } | null): Promise<JobSnapshot> {
    const { archive, spec } = input;
    const sync = {
      url: await ports.archives.presign(archive),
      sha256: archive.sha256,
      bytes: archive.bytes,
      script: spec.script,
      requirements: archive.requirements === null ? null : requirementsFile(archive.requirements),
      strip: archive.strip,
      versionId: archive.versionId,
      folders: outputFolders(spec.outputs),
      allowRemovals: spec.allowRemovals,
      takeOver: spec.takeOver,
      index: await presignIndex(archive),
    };
    return startJob(ports, input, { job: 'sync', work: { sync }, ended, queue, shutdown: shutdownAfter(input) });
  }

  /** Where the instance reads the members of the archive; null when nobody wrote them down. */
  async function presignIndex({ bucket, key, sha256, indexed }: VerifiedArchive): Promise<string | null> {
    const project = archiveProject(key);
    if (indexed !== true || project === null) return null;
    return await ports.archives.presign({ bucket, key: indexKey(project, sha256), versionId: null });
  }

  /** Of those who came before this run and wait as well. */
  async function endedAhead({ queue, holder }: JobSnapshot, own: string): Promise<string[]> {
    const arns = (queue?.ahead ?? []).map(({ arn }) => arn).filter((arn) => arn !== own && arn !== holder?.arn);
    const ended = await Promise.all(arns.map((arn) => ports.hasEnded(arn)));
    return arns.filter((_, index) => ended[index]);
  }

  async function clearUpHolder(
    { holder }: JobSnapshot,
    before: Waiting | null,
    now: number,
  ): Promise<Waiting['clearing']> {
    if (holder === null || !(await ports.hasEnded(holder.arn))) return null;
    if (before?.clearing?.arn === holder.arn) return before.clearing;
    await ports.clearUp(holder.arn);
    return { arn: holder.arn, since: now };
  }
}

export const handler = entry(
  (input: JobInput) => input.run.id,
  () => {
    const functions: Functions = createFunctions();
    const stopRun = requireEnv('stopFunction');
    return createSync({
      ...createJobPorts(),
      archives: createArchiveStore(),
      clearUp: (executionArn) => functions.invokeLater(stopRun, { detail: { executionArn, holdsInstance: true } }),
      notify: createNotify(),
      longWait: Number(requireEnv('longWait')),
    });
  },
);
