import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { JOBS, type JobName, jobOfAttempt } from '../../core/names.ts';
import { CHECKPOINTS } from '../../core/spec/spec.ts';
import type { WorkContext } from '../context.ts';
import { JobLog } from '../logs/job-log.ts';
import type { PullOutput } from '../output/schemas.ts';
import { digestsOf, fetchAlso, type Pull, place, record } from './stage.ts';

/** Downloads what there is so far of a run that goes on: its logs, and the files that are finished. */
export async function pullSoFar(pull: Pull): Promise<PullOutput> {
  const { context, run, options, folder, stage } = pull;
  const files = new Map<string, string>();
  for (const job of JOBS) {
    for (let attempt = 1; ; attempt += 1) {
      const name = `${jobOfAttempt(job, attempt)}.log`;
      if (!(await writeLogSoFar(context, { runId: run.id, job, attempt }, join(stage, name)))) break;
      files.set(name, join(stage, name));
    }
  }
  const logs = files.size;
  const patterns = (outputs: readonly string[]) => [...new Set([...outputs, CHECKPOINTS, ...(options.also ?? [])])];
  const fetched = await fetchAlso(pull, patterns);
  for (const [name, file] of fetched.files) files.set(name, file);
  const digests = await digestsOf(files);
  const { overwritten } = await place(pull, files);
  await record(pull, digests);
  context.terminal.note(
    `Run ${run.id} has not ended: ${logs} logs and ${fetched.count} finished files so far. Pull it again after its end to get the rest.`,
  );
  return { id: run.id, outcome: null, folder, outputs: fetched.count, also: 0, logs, overwritten: [...overwritten] };
}

/** Writes what CloudWatch has of a log. @returns whether there is any */
async function writeLogSoFar(
  { account, signal }: WorkContext,
  of: { readonly runId: string; readonly job: JobName; readonly attempt: number },
  file: string,
) {
  const log = new JobLog(account.logs, { group: await account.output('logGroup'), ...of });
  let bytes = 0;
  async function* chunks() {
    for await (const messages of log.available(signal)) {
      for (const { text } of messages) {
        bytes += text.length;
        yield Buffer.from(text);
      }
    }
  }
  await pipeline(chunks, createWriteStream(file), { signal });
  return bytes > 0;
}
