import { createCheckpointStore } from '../aws/checkpoint-store.ts';
import { createExecutions, type Execution, type Executions, isRunning } from '../aws/executions.ts';
import { RunError } from '../core/errors.ts';
import { accept, requestBase } from '../core/job/instance-commands.ts';
import { MANIFEST, runFileKey, STOPPED, STOPPING } from '../core/names.ts';
import { beginCleanUp, type CleanUpPorts, cleanUp, hasStopped, LAST_SEND_MS } from '../core/outcome/clean-up.ts';
import { type ReconstructedRun, reconstructRun } from '../core/outcome/reconstruct-run.ts';
import { isManifestOf, type ManifestPorts, writeManifest } from '../core/outcome/write-manifest.ts';
import { type WatchPower, watchAfterRun } from '../core/power/watch-power.ts';
import type { CleanUpProgress } from '../core/workflow/data.ts';
import { entry } from './adapters/entry.ts';
import { requireEnv } from './adapters/environment.ts';
import { logger } from './adapters/logger.ts';
import { createCleanUpPorts } from './adapters/ports.ts';

/** The end of an execution, as EventBridge or Sync code reports it. Only the ARN is used. */
export interface StopEvent {
  readonly detail: { readonly executionArn: string; readonly holdsInstance?: boolean };
}

/** The function's own time is 15 minutes; no request is begun in the last three. */
const BEGIN_WITHIN_MS = 12 * 60_000;
/**
 * An event may come before DescribeExecution shows the end: "The results are best effort and may not reflect very recent updates" (API
 * reference). Pauses between looks, ms.
 */
const LOOK_AGAIN_MS = [1_000, 2_000, 4_000, 8_000];
/** Requests without an answer, 20 s apart: an agent that restarts, a reboot. */
const MAX_SILENT = 15;
/** The run has ended, and every other sender of its log has finished: polls of this function may take long. */
const NO_OTHER_SENDER = () => Promise.resolve(false);
/** Another call of this function ends within its own time. */
const CLAIM_MS = 15 * 60_000;

interface Ports extends CleanUpPorts, ManifestPorts {
  readonly executions: Pick<Executions, 'describe' | 'history' | 'lastOutput' | 'stop'>;
  readonly runMachineArn: string;
  readonly watchMachineArn: string;
  readonly watchPower: WatchPower;
  readonly sleep: (ms: number) => Promise<void>;
}

/**
 * Does what Finish run would have done for an execution that was aborted, timed out, or failed without it: stops the jobs, uploads outputs
 * and logs, releases the instance, writes the manifest. Idempotent.
 */
export function createStop(ports: Ports) {
  return async ({ detail }: StopEvent, claimant: string): Promise<{ outcome: string }> => {
    const execution = await describe(detail.executionArn);
    if (execution === null) return { outcome: 'not an ended run' };
    const isDone = await isConcluded(execution);
    if (isDone && !detail.holdsInstance) return { outcome: 'done before' };
    if (!(await claim(execution, claimant))) return { outcome: 'another call is stopping it' };
    const run = await reconstructRun(ports.executions, execution, ports.watchMachineArn);
    if (run.watch !== null) await ports.executions.stop(run.watch, 'the run has ended');
    const { progress, facts } = await endThere(run, isDone ? 'release' : 'save', () => noteStopped(execution));
    if (isDone) return { outcome: 'released' };
    const interrupted =
      execution.status === 'ABORTED' ? 'stopped' : execution.status === 'TIMED_OUT' ? 'timed-out' : null;
    const asked = { execution: about(execution), input: JSON.parse(execution.input ?? '{}') as unknown };
    const { outcome, warnings } = await writeManifest(ports, { ...asked, facts, progress, interrupted });
    for (const warning of warnings) logger.warn(warning);
    logger.info('the run has ended', { outcome });
    return { outcome };
  };

  /** null: a forged event, or an execution that runs again. */
  async function describe(arn: string): Promise<Execution | null> {
    if (!arn.startsWith(`${ports.runMachineArn.replace(':stateMachine:', ':execution:')}:`)) return null;
    let execution = await ports.executions.describe(arn);
    for (const pause of LOOK_AGAIN_MS) {
      if (execution === null || !isRunning(execution)) break;
      await ports.sleep(pause);
      execution = await ports.executions.describe(arn);
    }
    return execution !== null && !isRunning(execution) ? execution : null;
  }

  async function isConcluded(execution: Execution): Promise<boolean> {
    if (!(await ports.files.exists(runFileKey(execution.name, MANIFEST)))) return false;
    return isManifestOf(ports.files, { id: execution.name, startedAt: about(execution).startedAt });
  }

  /** Two events, or an event and a waiting run, may arrive at once: one of them does the work, or log lines would be doubled. */
  async function claim(execution: Execution, claimant: string): Promise<boolean> {
    const { name, arn, startedAt } = about(execution);
    const key = runFileKey(name, STOPPING);
    const mine = JSON.stringify({ claimant, arn, startedAt, at: ports.now() });
    if (await ports.files.write(key, mine, { onlyFirst: true })) return true;
    const there = JSON.parse(Buffer.from(await ports.files.read(key)).toString('utf8')) as Record<string, unknown>;
    const isOver = there.startedAt !== startedAt || ports.now() - Number(there.at) > CLAIM_MS;
    // A retry by Lambda has the request id of the first try.
    if (there.claimant !== claimant && !isOver) return false;
    return ports.files.write(key, mine, { onlyFirst: false });
  }

  /** For `runctl stop`, which waits for it. */
  async function noteStopped({ name }: Execution): Promise<void> {
    const text = JSON.stringify({ at: new Date(ports.now()).toISOString() });
    await ports.files.write(runFileKey(name, STOPPED), text, { onlyFirst: true });
  }

  /** @param onStopped called once, when no process of the run is left */
  async function endThere(
    { facts }: ReconstructedRun,
    phase: CleanUpProgress['phase'],
    onStopped: () => Promise<void>,
  ) {
    const { run, spec, archive, instance } = facts;
    if (!run || !spec || !archive || !instance) return { facts, progress: null };
    const began = ports.now();
    await stopJobs(run, spec, instance);
    const context = { enteredAt: new Date(began + LAST_SEND_MS).toISOString(), retryCount: 0 };
    let ending: Parameters<typeof cleanUp>[1] = {
      run,
      spec,
      archive,
      instance,
      context,
      grace: spec.stopGrace,
      steps: { sync: facts.sync, install: facts.install, restore: facts.restore ?? null, train: facts.train },
      progress: { ...beginCleanUp(began, true), phase },
      maxSilent: MAX_SILENT,
      until: 0,
    };
    for (let isStopped = phase === 'release'; ; ) {
      const turn = await cleanUp({ ...ports, hasEnded: NO_OTHER_SENDER }, ending);
      ending = { ...turn, progress: await watchAfterRun(ports.watchPower, { run, spec, instance }, turn.progress) };
      if (!isStopped && hasStopped(turn)) {
        isStopped = true;
        await onStopped();
      }
      if (turn.wait === null) return { facts: { ...facts, ...turn.steps }, progress: ending.progress };
      if (ports.now() - began > BEGIN_WITHIN_MS) {
        throw new RunError(
          'ServiceUnavailable',
          `the run could not be stopped within ${BEGIN_WITHIN_MS / 60_000} minutes`,
        );
      }
      await ports.sleep(turn.wait * 1_000);
    }
  }

  /** First of all: after it the instance refuses every start of this run that is still on its way. */
  async function stopJobs(
    run: NonNullable<ReconstructedRun['facts']['run']>,
    spec: NonNullable<ReconstructedRun['facts']['spec']>,
    instance: NonNullable<ReconstructedRun['facts']['instance']>,
  ): Promise<void> {
    const base = requestBase({ run, instance, project: spec.project, user: spec.user });
    const request = { ...base, verb: 'stop', grace: spec.stopGrace, reason: 'stopped' } as const;
    try {
      accept('stop', await ports.commands.ask(instance.id, run.program, request));
    } catch (error) {
      // The clean-up that follows repeats its requests, and ends the jobs as well.
      logger.warn('the instance did not answer the stop', error as Error);
    }
  }
}

function about({ name, arn, startedAt }: Execution) {
  return { name, arn, startedAt: new Date(startedAt).toISOString() };
}

export const handler = entry(
  (event: StopEvent) => event.detail.executionArn,
  () => {
    const executions = createExecutions();
    const stop = createStop({
      ...createCleanUpPorts(),
      checkpoints: createCheckpointStore(requireEnv('uploadBucket')),
      onCheckpointError: (error) => logger.warn('a checkpoint was not committed', error),
      executions,
      runMachineArn: requireEnv('runMachineArn'),
      watchMachineArn: requireEnv('watchMachineArn'),
      sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
    });
    return stop;
  },
);
