import type { JobName } from '../names.ts';

/** The states of runctl-run. People see these names in the console, and scripts find them in the manifest: they are a contract. */
export const RUN_STATES = {
  begin: 'Begin run',
  hasPatch: 'Patch uploaded?',
  assemble: 'Assemble archive',
  verify: 'Verify archive',
  find: 'Find instance',
  found: 'Instance ready?',
  starting: 'Wait for instance to start',
  sync: 'Sync code',
  synced: 'Code synced?',
  queue: 'Wait for instance',
  watchSync: 'Watch sync',
  hasRequirements: 'Anything to install?',
  install: 'Install requirements',
  installed: 'Requirements installed?',
  watchInstall: 'Watch install',
  hasCheckpoint: 'Anything to restore?',
  restore: 'Restore checkpoint',
  restored: 'Checkpoint restored?',
  watchRestore: 'Watch restore',
  start: 'Start training',
  started: 'Training started?',
  confirm: 'Confirm PID',
  watchTraining: 'Watch training',
  ended: 'Training ended?',
  plan: 'Plan attempt',
  planned: 'Another attempt?',
  returning: 'Wait for instance to return',
  finish: 'Finish run',
  decided: 'Run succeeded?',
  outputs: 'Wait for outputs',
  unknown: 'Outcome unknown',
  succeeded: 'Succeeded',
  failed: 'Failed',
} as const;
export type RunState = (typeof RUN_STATES)[keyof typeof RUN_STATES];

/** The states of runctl-watch. */
export const WATCH_STATES = {
  begin: 'Begin watch',
  poll: 'Poll logs',
  ended: 'Job ended?',
  check: 'Check instance',
  wait: 'Wait',
  handOver: 'Hand over',
  jobEnded: 'Ended',
  failed: 'Watch failed',
} as const;

/** The states of runctl-power. */
export const POWER_STATES = {
  begin: 'Begin',
  wait: 'Wait until idle',
  stop: 'Stop if idle',
  failed: 'Look again later',
  decided: 'Stopped?',
  ended: 'Ended',
} as const;

/** The states of runctl-bake. */
export const BAKE_STATES = {
  begin: 'Begin bake',
  prepare: 'Prepare image',
  exists: 'Image exists?',
  start: 'Start builder',
  started: 'Builder ready?',
  starting: 'Wait for builder',
  build: 'Install on builder',
  scrub: 'Scrub builder',
  scrubbed: 'Builder scrubbed?',
  scrubbing: 'Wait for scrub',
  create: 'Create image',
  created: 'Image created?',
  creating: 'Wait for image',
  startTest: 'Start test instance',
  testReady: 'Test instance ready?',
  startingTest: 'Wait for test instance',
  test: 'Run on test instance',
  publish: 'Publish image',
  describe: 'Describe image',
  cleanUp: 'Clean up bake',
  findLeft: 'Find instances left',
  left: 'Instances left?',
  terminateLeft: 'Terminate instances left',
  lost: 'Clean-up failed',
  succeeded: 'Image ready',
  failed: 'Bake failed',
} as const;

/** The states that run a nested watch. */
export const WATCHES = {
  sync: RUN_STATES.watchSync,
  install: RUN_STATES.watchInstall,
  restore: RUN_STATES.watchRestore,
  train: RUN_STATES.watchTraining,
} as const satisfies Record<JobName, RunState>;

/** The states whose output is a job's snapshot. */
export const JOB_STATES: Readonly<Record<string, JobName>> = {
  [RUN_STATES.sync]: 'sync',
  [RUN_STATES.watchSync]: 'sync',
  [RUN_STATES.install]: 'install',
  [RUN_STATES.watchInstall]: 'install',
  [RUN_STATES.restore]: 'restore',
  [RUN_STATES.watchRestore]: 'restore',
  [RUN_STATES.start]: 'train',
  [RUN_STATES.confirm]: 'train',
  [RUN_STATES.watchTraining]: 'train',
};
