import { SSMClient } from '@aws-sdk/client-ssm';
import { createExecutions, type Executions } from '../../aws/executions.ts';
import { createFunctions, type Functions } from '../../aws/functions.ts';
import { createInstances } from '../../aws/instances.ts';
import { createLogStore } from '../../aws/log-store.ts';
import { createImpatientMeasure, type Measure } from '../../aws/metrics.ts';
import { createOutputParts } from '../../aws/output-parts.ts';
import { programPresigner } from '../../aws/program.ts';
import { type CommandPorts, commandsOver } from '../../aws/run-command.ts';
import { createRunFiles } from '../../aws/run-files.ts';
import { CLIENT_SETTINGS, IMPATIENT } from '../../aws/settings.ts';
import type { InstanceCommands } from '../../core/job/instance-commands.ts';
import type { JobPorts } from '../../core/job/job-status.ts';
import { RUN_DOCUMENT } from '../../core/names.ts';
import type { RunProgressEvent } from '../../core/notify/progress-event.ts';
import type { CleanUpPorts } from '../../core/outcome/clean-up.ts';
import { partSizes } from '../../core/outcome/output-parts.ts';
import type { ManifestPorts } from '../../core/outcome/write-manifest.ts';
import type { WatchPower } from '../../core/power/watch-power.ts';
import { requireEnv } from './environment.ts';
import { logger } from './logger.ts';

/** What every step that starts or polls a job needs. */
export function createJobPorts(): JobPorts {
  return portsWith(createInstances());
}

function portsWith(instances: CommandPorts['instances']): JobPorts {
  const logs = createLogStore(requireEnv('logGroup'));
  const { hasEnded } = createExecutions();
  return { commands: createCommands(instances), logs, chunks: null, hasEnded, now: Date.now };
}

export function createCommands(instances: CommandPorts['instances']): InstanceCommands {
  return commandsOver({
    ssm: new SSMClient(CLIENT_SETTINGS),
    document: RUN_DOCUMENT,
    presign: programPresigner(),
    instances,
    now: Date.now,
    sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
    warn: (message, error) => logger.warn(message, error),
  });
}

/** What brings a run to its end. It tolerates a silent instance, so it does not need EC2's client: 35 KB of a bundle. */
export function createCleanUpPorts(): CleanUpPorts & ManifestPorts & { readonly watchPower: WatchPower } {
  const bucket = requireEnv('uploadBucket');
  const files = createRunFiles(bucket);
  const executions = createExecutions();
  return {
    ...portsWith(null),
    chunks: files,
    files,
    presignPut: (key) => files.presignPut(key),
    parts: createOutputParts(bucket, partSizes(process.env.OUTPUT_PART_SIZES)),
    history: (arn) => executions.history(arn, { data: false }),
    watchPower: createWatchPower(),
  };
}

/** Begins executions of runctl-power. */
export function createWatchPower(): WatchPower {
  return watchPowerOver(createExecutions(), requireEnv('powerMachineArn'));
}

export function watchPowerOver(executions: Pick<Executions, 'start'>, machineArn: string): WatchPower {
  return async (name, input) => {
    await executions.start(machineArn, name, input);
  };
}

/** Hands a progress event to notify-run without waiting for it. It never fails: a run does not depend on its notifications. */
export type Notify = (event: RunProgressEvent) => Promise<void>;

export function createNotify(): Notify {
  return notifyOver(createFunctions(IMPATIENT), requireEnv('notifyFunction'));
}

export function notifyOver(functions: Functions, notifyFunction: string): Notify {
  return async (event) => {
    try {
      await functions.invokeLater(notifyFunction, event);
    } catch (error) {
      logger.warn(`the notification was not sent: ${event.kind}`, error as Error);
    }
  };
}

/** For steps of a run: a metric that cannot be written is logged, and the step goes on. */
export function createQuietMeasure(): Measure {
  return quietly(createImpatientMeasure());
}

export function quietly(measure: Measure): Measure {
  return async (metrics) => {
    try {
      await measure(metrics);
    } catch (error) {
      logger.warn('the metrics were not written', error as Error);
    }
  };
}
