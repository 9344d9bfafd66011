import { stat } from 'node:fs/promises';
import { basename, join, relative, resolve } from 'node:path';
import { retryNotes } from '../../cli/account/retry.ts';
import { packWarnings, readCode, withArchive } from '../../cli/archive/code.ts';
import { uploadArchive } from '../../cli/archive/upload.ts';
import { followRun, type RunEnd, type RunEvent, waitForStart } from '../../cli/runs/follow.ts';
import type { Print } from '../../cli/runs/print-events.ts';
import { OUTPUTS, RUN_MACHINE, toProjectName } from '../../core/names.ts';
import type { SpecInput } from '../../core/spec/spec.ts';
import { formatSize } from '../../core/units.ts';
import type { Clients } from '../cloud/clients.ts';
import { LocalError } from '../cloud/errors.ts';
import type { LocalState } from '../cloud/state.ts';
import type { DemoOptions } from './options.ts';

/** From the upload to the execution: the emulator's event, and the cold start of a Lambda function. */
const START_WITHIN_MS = 60_000;

export interface StartedRun {
  readonly runId: string;
  readonly executionArn: string;
  readonly project: string;
  readonly bucket: string;
  readonly logGroup: string;
  /** `s3://bucket/key` of the upload. */
  readonly archive: string;
}

/** Packs the folder and uploads it; the upload starts the run. */
export async function startRun(
  options: DemoOptions,
  { state, clients }: { state: LocalState; clients: Clients },
  print: Print,
  signal: AbortSignal,
): Promise<StartedRun> {
  const code = await readCode(options.folder, { includeSecrets: false });
  return await withArchive(code, { includeSecrets: false, signal }, async (archive, packed) => {
    const folder = relative(process.cwd(), resolve(options.folder)) || '.';
    print(
      `Packed ${folder}: ${packed.files.length} files, ${formatSize(packed.bytes)}, as ${formatSize(packed.archiveBytes)}`,
    );
    for (const warning of packWarnings(packed)) print(`warning: ${warning}`);
    const project = toProjectName(basename(resolve(options.folder))) ?? 'demo';
    const to = { bucket: outputOf(state, OUTPUTS.bucket), project, spec: specOf(options, state) };
    const upload = await uploadArchive(clients.s3, archive, to, { signal });
    const machine = outputOf(state, OUTPUTS.machine);
    return {
      runId: upload.runId,
      executionArn: `${machine.replace(':stateMachine:', ':execution:')}:${upload.runId}`,
      project,
      bucket: to.bucket,
      logGroup: outputOf(state, OUTPUTS.logGroup),
      archive: `s3://${upload.bucket}/${upload.key}`,
    };
  });
}

/** Waits until the upload has started the run, then follows the run to its end. */
export async function watchRun(
  run: StartedRun,
  clients: Clients,
  { show, print }: { show: (event: RunEvent) => void; print: Print },
  signal: AbortSignal,
): Promise<RunEnd> {
  if (!(await waitForStart(clients.sfn, run.executionArn, START_WITHIN_MS, signal))) {
    throw new LocalError(
      `The upload ${run.archive} started no run of ${RUN_MACHINE} within ${START_WITHIN_MS / 1_000} s.`,
      'Run it with --keep, then read the log group /aws/lambda/runctl-start-run and the files in .runctl/local/logs.',
    );
  }
  return await followRun(clients, run, { show, notes: retryNotes(print) }, signal);
}

/** Checks the options before anything is started. @throws LocalError */
export async function checkFolder({ folder, script }: DemoOptions): Promise<void> {
  const info = await stat(folder).catch(() => undefined);
  if (!info?.isDirectory()) throw new LocalError(`${folder} is not a folder.`, 'Give the path of your project folder.');
  if (script === null) return;
  const file = await stat(join(folder, script)).catch(() => undefined);
  if (!file?.isFile())
    throw new LocalError(`${folder} has no file ${script}.`, 'Give --script relative to the project folder.');
}

/** Overrides the instance: a runctl.yaml may name one on AWS, which the local cloud does not have. */
function specOf({ script, args, interrupt }: DemoOptions, { instanceId }: LocalState): SpecInput {
  return {
    ...(instanceId === null ? {} : { instance: instanceId }),
    ...(script === null ? {} : { script }),
    ...(args.length === 0 ? {} : { args: [...args] }),
    ...(interrupt ? { retries: { on: ['killed'], times: 1 } } : {}),
  };
}

function outputOf(state: LocalState, name: string): string {
  const value = state.deployed?.outputs[name];
  if (value === undefined) throw new LocalError(`The stack has no output ${name}.`, 'Run `runctl local up --deploy`.');
  return value;
}
