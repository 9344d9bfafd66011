import { executionsOver } from '../../aws/executions.ts';
import { RunHistory } from '../../aws/run-history.ts';
import type { BakeOutput as StateOutput } from '../../core/images/data.ts';
import { archiveUri } from '../../core/names.ts';
import type { SpecInput } from '../../core/spec/spec.ts';
import { formatDuration } from '../../core/units.ts';
import { type RetryNotes, retryNotes, retryUntilReachable } from '../account/retry.ts';
import type { Context } from '../context.ts';
import { EXIT, type ExitCode, setUpError, usageError } from '../errors.ts';
import type { BakeOutput } from '../output/schemas.ts';
import { startExecution } from '../runs/start.ts';
import { pollUntil } from '../terminal/poll.ts';

export interface BakeRequest {
  readonly project: string;
  readonly launchTemplate: string;
  readonly templateVersion: string;
  /** The run spec of the options. */
  readonly spec: SpecInput;
  readonly detach: boolean;
  readonly yes: boolean;
  readonly json: boolean;
}

/** The code whose requirements the image has. */
export interface BakedCode {
  /** In words. */
  readonly description: string;
  upload(): Promise<Parameters<typeof archiveUri>[0] & { readonly sha256?: string }>;
}

const LOOK_MS = 2_000;

/** Asks, uploads the code, starts runctl-bake, and follows it. */
export async function bakeImage(context: Context, request: BakeRequest, code: BakedCode): Promise<ExitCode> {
  const { account, terminal, signal } = context;
  const { project, launchTemplate, templateVersion } = request;
  const machine = await account.output('bakeMachine');
  terminal.note(`project    ${project}`);
  terminal.note(`code       ${code.description}`);
  terminal.note(
    `instances  from the launch template ${launchTemplate}, version ${templateVersion}: one that is imaged, then one that tests the image`,
  );
  if (!request.yes && !terminal.isInteractive)
    throw usageError('Nobody can confirm: this is not a terminal.', 'To start without a question: --yes');
  if (!request.yes && !(await terminal.confirm('Make the image, unless there is one with these packages?', signal))) {
    terminal.note('No image is made.');
    return EXIT.succeeded;
  }
  const placed = await code.upload();
  const digest = placed.sha256 === undefined ? {} : { sha256: placed.sha256 };
  const input = {
    launchTemplate,
    launchTemplateVersion: templateVersion,
    spec: { ...request.spec, project, archive: archiveUri(placed), ...digest },
  };
  const notes = retryNotes((line) => terminal.note(line));
  const { name, executionArn } = await startBake(account.sfn, machine, input, notes, signal);
  if (request.detach) {
    print(context, request, { id: name, executionArn, image: null, key: null, base: null, made: null });
    return EXIT.succeeded;
  }
  terminal.note(`bake       ${name}; Ctrl-C detaches, and the bake goes on`);
  await follow(context, executionArn);
  const ended = await executionsOver(account.sfn).describe(executionArn, signal);
  if (ended?.status !== 'SUCCEEDED') throw failed(name, ended?.error ?? null, ended?.cause ?? null);
  const output = JSON.parse(ended.output ?? '{}') as Omit<BakeOutput, 'id' | 'executionArn'>;
  print(context, request, { ...output, id: name, executionArn });
  return EXIT.succeeded;
}

/** The input of runctl-bake, as far as the command gives it. */
interface BakeInput {
  readonly launchTemplate: string;
  readonly launchTemplateVersion?: string;
  readonly spec: SpecInput & { readonly project: string };
}

/** Starts exactly one bake. @throws CliError, also when it is unknown whether it has started */
export async function startBake(
  sfn: Context['account']['sfn'],
  machine: string,
  input: BakeInput,
  notes: RetryNotes,
  signal: AbortSignal,
): ReturnType<typeof startExecution> {
  const check = () => 'To check: the executions of runctl-bake, in the Step Functions console.';
  const execution = { what: 'bake', stem: `${input.spec.project}-image`, input, check };
  return await startExecution(sfn, machine, execution, notes, signal);
}

/** Shows each state of the bake as it is entered, and what it waits for. */
async function follow(context: Context, executionArn: string): Promise<void> {
  const { account, terminal, signal } = context;
  const history = new RunHistory(account.sfn, executionArn);
  const notes = retryNotes((line) => terminal.note(line));
  const last = { state: '', waitsFor: '' };
  const look = async () => {
    const events = await retryUntilReachable(() => history.read(signal), notes, signal);
    for (const { kind, state, at, output } of events) {
      const show = (text: string) =>
        terminal.note(`${formatDuration((at - (history.startedAt ?? at)) / 1_000).padStart(7)}  ${text}`);
      if (kind === 'entered' && state !== last.state && !state.startsWith('Wait for')) {
        last.state = state;
        show(state);
      }
      const waiting = kind === 'exited' ? waitsFor(output) : null;
      if (waiting === null || waiting === last.waitsFor) continue;
      last.waitsFor = waiting;
      show(`  ${waiting}`);
    }
    return history.ended ? true : undefined;
  };
  await pollUntil(LOOK_MS, look, signal);
}

/** What a state waits for that will be entered again. null: it was left for another reason. */
function waitsFor(output: string | null): string | null {
  const waiting = (parse(output) as Partial<StateOutput> | null)?.waiting;
  return typeof waiting?.message === 'string' ? waiting.message : null;
}

function print({ terminal }: Context, { json, project }: BakeRequest, output: BakeOutput): void {
  if (json) {
    terminal.json(output);
    return;
  }
  terminal.print(output.image ?? output.id);
  if (output.made === false) terminal.note('There is an image with these packages already: nothing was made.');
  if (output.image !== null)
    terminal.note(`To start instances from it: runctl image use --project ${project} --launch-template lt-…`);
  else terminal.note('It goes on; when it has ended: runctl image list');
}

function failed(name: string, error: string | null, cause: string | null) {
  const read = parse(cause);
  const message = typeof read?.message === 'string' ? read.message : (cause ?? 'Step Functions gives no reason.');
  const next = typeof read?.next === 'string' ? read.next : 'See the execution in the Step Functions console.';
  return setUpError(`The bake ${name} failed: ${error ?? 'it was stopped'}: ${message}`, next);
}

function parse(text: string | null): Record<string, unknown> | null {
  try {
    return JSON.parse(text ?? '') as Record<string, unknown>;
  } catch {
    return null;
  }
}
