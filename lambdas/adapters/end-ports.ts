import type { EndPorts } from '../../core/outcome/clean-up.ts';
import type { ConcludePorts } from '../../core/outcome/write-manifest.ts';
import { requireEnv } from './environment.ts';
import { createExecutions } from './executions.ts';
import { createPatientPorts } from './job-ports.ts';
import { createRunFiles } from './run-files.ts';

/** What brings a run to its end. */
export function createEndPorts(): EndPorts & ConcludePorts {
  const files = createRunFiles();
  const executions = createExecutions(null);
  return {
    ...createPatientPorts(),
    chunks: files,
    files,
    presignPut: (key) => files.presignPut(key),
    finisher: requireEnv('finisherSha256'),
    history: (arn) => executions.history(arn, { data: false }),
  };
}
