import { SSMClient } from '@aws-sdk/client-ssm';
import { createExecutions } from '../../aws/executions.ts';
import { createFunctions, type Functions } from '../../aws/functions.ts';
import { createInstances } from '../../aws/instances.ts';
import { createLogStore } from '../../aws/log-store.ts';
import { createImpatientMeasure, type Measure } from '../../aws/metrics.ts';
import { programPresigner } from '../../aws/program.ts';
import { type CommandPorts, commandsOver } from '../../aws/run-command.ts';
import { createRunFiles } from '../../aws/run-files.ts';
import { CLIENT_SETTINGS, IMPATIENT } from '../../aws/settings.ts';
import type { InstanceCommands } from '../../core/job/instance-commands.ts';
import type { JobPorts } from '../../core/job/job-status.ts';
import { RUN_DOCUMENT } from '../../core/names.ts';
import type { News } from '../../core/notify/news.ts';
import type { EndPorts } from '../../core/outcome/clean-up.ts';
import type { ConcludePorts } from '../../core/outcome/write-manifest.ts';
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

function createCommands(instances: CommandPorts['instances']): InstanceCommands {
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
export function createEndPorts(): EndPorts & ConcludePorts {
  const files = createRunFiles(requireEnv('uploadBucket'));
  const executions = createExecutions();
  return {
    ...portsWith(null),
    chunks: files,
    files,
    presignPut: (key) => files.presignPut(key),
    history: (arn) => executions.history(arn, { data: false }),
  };
}

/** Hands news of a run to announce-run. It does not wait for it, and never fails: a run does not depend on who hears of it. */
export type Tell = (news: News) => Promise<void>;

export function createTell(): Tell {
  return tellOver(createFunctions(IMPATIENT), requireEnv('announceFunction'));
}

export function tellOver(functions: Functions, announceFunction: string): Tell {
  return async (news) => {
    try {
      await functions.invokeLater(announceFunction, news);
    } catch (error) {
      logger.warn(`nobody was told: ${news.news}`, error as Error);
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
