import { createExecutions, type Executions } from '../aws/executions.ts';
import { beginCleanUp, type CleanUpPorts, cleanUp, type Steps } from '../core/outcome/clean-up.ts';
import { readFailure } from '../core/outcome/decide-outcome.ts';
import { wholeFailure, withLastPoll } from '../core/outcome/failed-watch.ts';
import { type ManifestPorts, writeManifest } from '../core/outcome/write-manifest.ts';
import type { CleanUpProgress, FinishInput, FinishOutput, RunFacts } from '../core/workflow/data.ts';
import { entry } from './adapters/entry.ts';
import { requireEnv } from './adapters/environment.ts';
import { logger } from './adapters/logger.ts';
import { createCleanUpPorts } from './adapters/ports.ts';

/** No request begins later than this after the function's start: the last one may take 150 s. */
const BEGIN_WITHIN_MS = 100_000;
/** Requests without an answer: an agent returns within minutes; an instance that is lost is tried once. */
const MAX_SILENT = { alive: 8, lost: 1 };

interface Ports extends CleanUpPorts, ManifestPorts {
  readonly executions: Pick<Executions, 'describe' | 'lastOutput'>;
  readonly watchMachineArn: string;
}

/** Uploads outputs and logs to S3, releases the instance, decides the outcome, and writes the manifest. The machine calls it until all is done. */
export function createFinish(ports: Ports) {
  return async (given: FinishInput): Promise<FinishOutput> => {
    const { executions, watchMachineArn } = ports;
    const failure = await wholeFailure(executions, watchMachineArn, given, (error) =>
      logger.warn('the nested watch could not be described', error),
    );
    const input = { ...given, failure };
    const { run, spec, archive, instance } = input;
    // Rejected, or no instance found: nothing was touched.
    if (!run || !spec || !archive || !instance) return conclude(input, input, null);
    const before = input.finish?.wait == null ? null : input.finish;
    const facts: RunFacts = {
      ...input,
      ...stepsOf(before ?? (await withLastPoll(executions, watchMachineArn, input))),
    };
    const { wait, progress, steps } = await cleanUp(ports, {
      run,
      spec,
      archive,
      instance,
      context: input.context,
      grace: spec.stopGrace,
      steps: stepsOf(facts),
      progress: before?.progress ?? beginCleanUp(ports.now(), failure !== null),
      maxSilent: isLost(input) ? MAX_SILENT.lost : MAX_SILENT.alive,
      until: ports.now() + BEGIN_WITHIN_MS,
    });
    if (wait !== null) return { wait, progress, ...steps };
    for (const warning of progress.warnings) logger.warn(warning);
    return conclude(input, { ...facts, ...steps }, progress);
  };

  async function conclude(
    { execution, input }: FinishInput,
    facts: RunFacts,
    progress: CleanUpProgress | null,
  ): Promise<FinishOutput> {
    const outcome = await writeManifest(ports, { execution, input, facts, progress, interrupted: null });
    return { ...outcome, wait: null };
  }
}

const stepsOf = ({ sync, install, restore = null, train }: Steps): Steps => ({ sync, install, restore, train });

function isLost({ failure }: FinishInput): boolean {
  return failure !== null && ['InstanceLost', 'InstanceNotRunning'].includes(readFailure(failure).name);
}

export const handler = entry(
  (input: FinishInput) => input.execution.name,
  () => {
    const executions = createExecutions();
    return createFinish({ ...createCleanUpPorts(), executions, watchMachineArn: requireEnv('watchMachineArn') });
  },
);
