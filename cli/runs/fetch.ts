import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { presignPutter } from '../../aws/run-files.ts';
import { requestBase } from '../../core/job/instance-commands.ts';
import { fetchedKey } from '../../core/names.ts';
import { type AnswerTo, checkAnswer } from '../../core/protocol/answers.ts';
import { type FetchRequest, MAX_PUT_BYTES } from '../../core/protocol/messages.ts';
import { formatCount, formatSize } from '../../core/units.ts';
import { createSendRequest, type SendRequest } from '../account/send-request.ts';
import type { WorkContext } from '../context.ts';
import { setUpError } from '../errors.ts';
import { pollUntil } from '../terminal/poll.ts';
import { download } from './download.ts';
import type { Run, Runs } from './find.ts';
import { reconstruct } from './reconstruct.ts';

/** The archive that an instance sends; also its name in the folder, where it is not unpacked. */
export const FETCHED_ARCHIVE = 'fetched.tar.gz';
const POLL_MS = 1_000;
/** The instance answers within this time. */
const WAIT_THERE_S = 8;

type FetchAnswer = AnswerTo<'fetch'>;
type Request = (put: string | null) => Promise<FetchAnswer>;

/**
 * Downloads files that a run has written, as far as its instance still has them, through the bucket into `folder`.
 * @param patterns makes them of the run's `outputs`
 * @returns the archive; null: no file matched, or the training has not begun
 * @throws CliError when the instance does not answer, cannot send, or the run began with a runctl that cannot do this
 */
export async function fetchFiles(
  context: WorkContext,
  runs: Runs,
  run: Run,
  patterns: (outputs: readonly string[]) => readonly string[],
  folder: string,
): Promise<{ file: string; files: number } | null> {
  const { terminal, signal, account } = context;
  const facts = await factsOf(runs, run);
  if (facts === null) return null;
  const { run: program, instance, spec } = facts;
  const id = randomBytes(8).toString('hex');
  const key = fetchedKey(run.id, id);
  const request = requester(createSendRequest(account, program.program), instance.id, signal, {
    ...requestBase({ run: program, instance, project: spec.project, user: spec.user }),
    verb: 'fetch',
    id,
    wait: WAIT_THERE_S,
    outputs: patterns(spec.outputs),
    outputsFrom: spec.outputsFrom ?? 'run',
    maxBytes: MAX_PUT_BYTES,
  });
  const file = join(folder, FETCHED_ARCHIVE);
  return await terminal.working(`Packing files of run ${run.id} on ${instance.id}`, async (update) => {
    const packed = await pollUntil(POLL_MS, async () => unless(await request(null), 'packing'), signal);
    for (const warning of packed.warnings) terminal.warn(warning);
    const { sha256, bytes, files } = packed;
    if (sha256 === null) return null;
    const what = `${formatCount(files)} ${files === 1 ? 'file' : 'files'}, ${formatSize(bytes)}`;
    const sign = presignPutter(account.settings, runs.store.bucket);
    update(`Sending ${what} from ${instance.id}`);
    const sent = await pollUntil(POLL_MS, async () => unless(await request(await sign(key)), 'uploading'), signal);
    if (sent.state !== 'uploaded' || sent.failed !== null) {
      throw setUpError(
        `${instance.id} could not send the files to S3: ${sent.failed ?? 'they no longer exist there'}.`,
        'Run the command again.',
      );
    }
    await download(
      runs.store,
      { key, bytes, sha256 },
      file,
      (done) => update(`Downloading ${formatSize(done)} of ${what}`),
      signal,
    );
    return { file, files };
  });
}

/** What a request needs to know; null: the run has not reached an instance, or is too old for Step Functions to know it. */
async function factsOf(runs: Runs, { execution }: Run) {
  if (execution === null) return null;
  const { facts } = await reconstruct(runs, execution);
  const { run, instance, spec } = facts;
  return run && instance && spec ? { run, instance, spec } : null;
}

function requester(send: SendRequest, instanceId: string, signal: AbortSignal, base: FetchRequest): Request {
  return (put) =>
    send(instanceId, put === null ? base : { ...base, put }, (answer) => checkAnswer('fetch', answer), signal);
}

function unless(answer: FetchAnswer, state: FetchAnswer['state']): FetchAnswer | undefined {
  return answer.state === state ? undefined : answer;
}
