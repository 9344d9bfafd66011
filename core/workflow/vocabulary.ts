import { OUTCOMES, type Outcome } from '../errors.ts';
import { RUN_STATES, type RunState } from './states.ts';

/**
 * The words for what a run does and for how it ended. The command line prints them, its JSON has them, notifications use them, and
 * docs/reference/errors.md explains them in this order. People's scripts compare with them: they are a contract.
 */

/** What a run does, and what that means, as the predicate of "the run". */
export const PHASES = {
  starting: 'has been started, and has not begun its first step',
  verifying: 'reads and checks the archive and the run spec',
  'finding-instance': 'checks the instance and its SSM agent',
  'starting-instance': 'starts its instance, and waits until the SSM agent answers',
  queued: 'waits for its instance, which another run has',
  syncing: 'copies the code to the instance',
  installing: 'installs the requirements',
  restoring: 'brings a checkpoint to the instance',
  launching: 'starts the training process and confirms its PID',
  training: 'trains',
  retrying: 'lost its training or its instance, and prepares another attempt',
  saving: 'has trained; outputs and logs are being saved',
  stopping: 'was stopped; its training is being ended, and outputs and logs are being saved',
} as const;
export type RunPhase = keyof typeof PHASES;

/** How a run ended. `failure`: somebody should look into it; `requested`: it ended as somebody asked. */
export const ENDINGS = {
  succeeded: { kind: 'success', meaning: 'trained, and its script ended with exit code 0' },
  failed: { kind: 'failure', meaning: 'trained, and its script ended with another exit code' },
  killed: { kind: 'failure', meaning: 'trained until a signal ended its script' },
  'out-of-memory': { kind: 'failure', meaning: 'trained until the instance ran out of memory' },
  vanished: { kind: 'failure', meaning: 'trained, and its process is gone without an exit code' },
  'instance-unavailable': { kind: 'failure', meaning: 'found no instance that it could use' },
  'instance-lost': { kind: 'failure', meaning: 'lost its instance while it trained' },
  interrupted: { kind: 'failure', meaning: 'trained until EC2 took its Spot Instance back' },
  'sync-failed': { kind: 'failure', meaning: 'could not copy its code to the instance' },
  'install-failed': { kind: 'failure', meaning: 'could not install its requirements' },
  rejected: { kind: 'failure', meaning: 'was refused because of its archive or its run spec; no instance was touched' },
  busy: { kind: 'failure', meaning: 'gave up because another run had the instance' },
  skipped: { kind: 'requested', meaning: 'did not start because another run had the instance, as `ifBusy: skip` says' },
  'timed-out': { kind: 'failure', meaning: 'reached `maxDuration`, or the longest time that a run may take' },
  capped: { kind: 'failure', meaning: 'reached `maxCost`' },
  stopped: { kind: 'requested', meaning: 'was stopped by a person' },
  internal: { kind: 'failure', meaning: 'met a fault of runctl or of AWS' },
} as const satisfies Record<Outcome, { kind: 'success' | 'requested' | 'failure'; meaning: string }>;

/** The one word for a run: what it does, or how it ended. */
export type RunWord = RunPhase | Outcome;

export const RUN_WORDS: readonly RunWord[] = [...(Object.keys(PHASES) as RunPhase[]), ...OUTCOMES];

/** Whether somebody should look into a run that ended so. */
export function isFailure(outcome: Outcome): boolean {
  return ENDINGS[outcome].kind === 'failure';
}

/** Whether a run that ended so can have outputs or logs. */
export function hasResults(outcome: Outcome): boolean {
  return outcome !== 'skipped' && outcome !== 'rejected';
}

const PHASE_OF_STATE: Readonly<Record<RunState, RunPhase>> = {
  [RUN_STATES.begin]: 'starting',
  [RUN_STATES.hasPatch]: 'starting',
  [RUN_STATES.assemble]: 'verifying',
  [RUN_STATES.verify]: 'verifying',
  [RUN_STATES.find]: 'finding-instance',
  [RUN_STATES.found]: 'finding-instance',
  [RUN_STATES.starting]: 'starting-instance',
  [RUN_STATES.sync]: 'syncing',
  [RUN_STATES.synced]: 'syncing',
  [RUN_STATES.queue]: 'queued',
  [RUN_STATES.watchSync]: 'syncing',
  [RUN_STATES.hasRequirements]: 'syncing',
  [RUN_STATES.install]: 'installing',
  [RUN_STATES.installed]: 'installing',
  [RUN_STATES.watchInstall]: 'installing',
  [RUN_STATES.hasCheckpoint]: 'installing',
  [RUN_STATES.restore]: 'restoring',
  [RUN_STATES.restored]: 'restoring',
  [RUN_STATES.watchRestore]: 'restoring',
  [RUN_STATES.start]: 'launching',
  [RUN_STATES.started]: 'launching',
  [RUN_STATES.confirm]: 'launching',
  [RUN_STATES.watchTraining]: 'training',
  [RUN_STATES.ended]: 'training',
  [RUN_STATES.plan]: 'retrying',
  [RUN_STATES.planned]: 'retrying',
  [RUN_STATES.returning]: 'retrying',
  [RUN_STATES.finish]: 'saving',
  [RUN_STATES.decided]: 'saving',
  [RUN_STATES.outputs]: 'saving',
  [RUN_STATES.unknown]: 'saving',
  [RUN_STATES.succeeded]: 'saving',
  [RUN_STATES.failed]: 'saving',
};

/** What a run does while its execution is in a state. @param state null: before the first; one that another version has counts so too */
export function phaseOf(state: string | null): RunPhase {
  return (state !== null && PHASE_OF_STATE[state as RunState]) || 'starting';
}
