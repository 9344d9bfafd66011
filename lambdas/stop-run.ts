import { createExecutions, type Execution, type Executions, isRunning } from '../aws/executions.ts';
import { RunError } from '../core/errors.ts';
import { accept, requestBase } from '../core/job/instance-commands.ts';
import { VISIT_MS } from '../core/job/ship-log.ts';
import { MANIFEST, runFileKey } from '../core/names.ts';
import { beginEnd, type EndPorts, endRun, nextJobToDrain } from '../core/outcome/clean-up.ts';
import { findRun, type InterruptedRun } from '../core/outcome/reconstruct-run.ts';
import { type ConcludePorts, concludeRun, isManifestOf } from '../core/outcome/write-manifest.ts';
import type { StopAnswer } from '../core/protocol/messages.ts';
import type { EndProgress } from '../core/workflow/data.ts';
import { entry } from './adapters/entry.ts';
import { requireEnv } from './adapters/environment.ts';
import { logger } from './adapters/logger.ts';
import { createEndPorts } from './adapters/ports.ts';

/** The end of an execution, as EventBridge tells it or as Sync code does who found it: only its ARN is believed. */
export interface StopEvent {
  readonly detail: { readonly executionArn: string; readonly holdsInstance?: boolean };
}

/** The function's own time is 15 minutes; no request is begun in the last three. */
const BEGIN_WITHIN_MS = 12 * 60_000;
/** A look that was under way when the execution ended has sent its log by then, ms, and CloudWatch shows it, which takes up to ten seconds. */
const LAST_LOOK_MS = VISIT_MS + 10_000;
/** Looks without an answer, 20 s apart: an agent that restarts, a reboot. */
const PATIENCE = 15;
/** The run has ended, and whoever else sent its log has done so by then: this function's own looks may last. */
const NOBODY_ELSE = () => Promise.resolve(false);
/** What another call of this function does, it ends within its own time. */
const CLAIM_MS = 15 * 60_000;

interface Ports extends EndPorts, ConcludePorts {
  readonly executions: Pick<Executions, 'describe' | 'history' | 'lastOutput' | 'stop'>;
  readonly runMachineArn: string;
  readonly watchMachineArn: string;
  readonly sleep: (ms: number) => Promise<void>;
}

/**
 * Does for an execution that was aborted, timed out, or failed without Finish run what Finish run would have done: stops the jobs, keeps outputs and logs,
 * gives the instance back, writes the manifest. Twice is the same as once.
 */
export function createStop(ports: Ports) {
  return async ({ detail }: StopEvent, claimant: string): Promise<{ outcome: string }> => {
    const execution = await describe(detail.executionArn);
    if (execution === null) return { outcome: 'not an ended run' };
    const isDone = await isConcluded(execution);
    if (isDone && !detail.holdsInstance) return { outcome: 'concluded before' };
    if (!(await claim(execution, claimant))) return { outcome: 'another call is at it' };
    const run = await findRun(ports.executions, execution, ports.watchMachineArn);
    if (run.watch !== null) await ports.executions.stop(run.watch, 'the run has ended');
    const { progress, facts } = await endThere(run, isDone ? 'release' : 'collect');
    if (isDone) return { outcome: 'released' };
    const interrupted =
      execution.status === 'ABORTED' ? 'stopped' : execution.status === 'TIMED_OUT' ? 'timed-out' : null;
    const asked = { execution: about(execution), input: JSON.parse(execution.input ?? '{}') as unknown };
    const { outcome, warnings } = await concludeRun(ports, { ...asked, facts, progress, interrupted });
    for (const warning of warnings) logger.warn(warning);
    logger.info('concluded', { outcome });
    return { outcome };
  };

  /** null: an event that somebody made up, or of an execution that runs again. */
  async function describe(arn: string): Promise<Execution | null> {
    if (!arn.startsWith(`${ports.runMachineArn.replace(':stateMachine:', ':execution:')}:`)) return null;
    const execution = await ports.executions.describe(arn);
    return execution !== null && !isRunning(execution) ? execution : null;
  }

  async function isConcluded(execution: Execution): Promise<boolean> {
    if (!(await ports.files.exists(runFileKey(execution.name, MANIFEST)))) return false;
    return isManifestOf(ports.files, { id: execution.name, startedAt: about(execution).startedAt });
  }

  /** Two events, or an event and a waiting run, come at once: one of them does the work, since log lines would be doubled. */
  async function claim(execution: Execution, claimant: string): Promise<boolean> {
    const { name, arn, startedAt } = about(execution);
    const key = runFileKey(name, 'stopping.json');
    const mine = JSON.stringify({ claimant, arn, startedAt, at: ports.now() });
    if (await ports.files.write(key, mine, { onlyFirst: true })) return true;
    const there = JSON.parse(Buffer.from(await ports.files.read(key)).toString('utf8')) as Record<string, unknown>;
    const isOver = there.startedAt !== startedAt || ports.now() - Number(there.at) > CLAIM_MS;
    // Lambda's own second try has the first one's request id.
    if (there.claimant !== claimant && !isOver) return false;
    return ports.files.write(key, mine, { onlyFirst: false });
  }

  async function endThere({ facts }: InterruptedRun, phase: EndProgress['phase']) {
    const { run, spec, archive, instance } = facts;
    if (!run || !spec || !archive || !instance) return { facts, progress: null };
    const began = ports.now();
    await stopJobs(run, spec, instance);
    const context = { enteredAt: new Date(began + LAST_LOOK_MS).toISOString(), retryCount: 0 };
    let ending: Parameters<typeof endRun>[1] = {
      run,
      spec,
      archive,
      instance,
      context,
      grace: spec.stopGrace,
      steps: { sync: facts.sync, install: facts.install, train: facts.train },
      progress: { ...beginEnd(began), phase },
      patience: PATIENCE,
      until: 0,
    };
    for (;;) {
      const turn = await endRun({ ...ports, hasEnded: NOBODY_ELSE }, ending);
      ending = turn;
      if (turn.wait === null) return { facts: { ...facts, ...turn.steps }, progress: turn.progress };
      if (ports.now() - began > BEGIN_WITHIN_MS) {
        throw new RunError('ServiceUnavailable', `the run could not be stopped in ${BEGIN_WITHIN_MS / 60_000} minutes`);
      }
      const isDraining = turn.progress.phase === 'drain' && nextJobToDrain(turn) !== undefined;
      const unsettled = isDraining ? began + LAST_LOOK_MS - ports.now() : 0;
      await ports.sleep(Math.max(turn.wait * 1_000, unsettled));
    }
  }

  /** First of all: after it the instance refuses every start of this run that is still on its way. */
  async function stopJobs(
    run: NonNullable<InterruptedRun['facts']['run']>,
    spec: NonNullable<InterruptedRun['facts']['spec']>,
    instance: NonNullable<InterruptedRun['facts']['instance']>,
  ): Promise<void> {
    const base = requestBase({ run, instance, project: spec.project, user: spec.user });
    const request = { ...base, verb: 'stop', grace: spec.stopGrace, reason: 'stopped' } as const;
    try {
      accept<StopAnswer>(await ports.commands.ask(instance.id, run.program, request));
    } catch (error) {
      // What follows asks again and again, and ends the jobs as well.
      logger.warn('the stop was not answered', error as Error);
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
      ...createEndPorts(),
      executions,
      runMachineArn: requireEnv('runMachineArn'),
      watchMachineArn: requireEnv('watchMachineArn'),
      sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
    });
    return stop;
  },
);
