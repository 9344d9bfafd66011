import { withAwsErrors } from '../../aws/errors.ts';
import type { Execution } from '../../aws/executions.ts';
import { needsPermission } from '../../core/archive/removals.ts';
import type { ErrorName } from '../../core/errors.ts';
import { archiveUri } from '../../core/names.ts';
import { withoutInclude } from '../../core/spec/archive-spec.ts';
import { mergeSpecs, type SpecInput } from '../../core/spec/spec.ts';
import { errorNamed, type RunEnding, readEnding } from '../../core/workflow/run-ending.ts';
import { hasResults } from '../../core/workflow/vocabulary.ts';
import { callerName } from '../account/identity.ts';
import { resolveInstance } from '../account/instance.ts';
import { retryNotes } from '../account/retry.ts';
import { checkIncludes } from '../archive/check-includes.ts';
import {
  checkScript,
  entryFrom,
  entryOfSpec,
  findRequirements,
  packWarnings,
  readCode,
  withArchive,
  withoutPackingKeys,
} from '../archive/code.ts';
import { ownScriptWarning } from '../archive/own-script.ts';
import { send, sentLine } from '../archive/send-archive.ts';
import type { Context } from '../context.ts';
import { EXIT, type ExitCode, exitCodeOf, usageError } from '../errors.ts';
import type { StartOutput } from '../output/schemas.ts';
import { checkEnvironment } from '../project/environment.ts';
import { findProject, type Project } from '../project/project.ts';
import { printDetached } from '../terminal/detach.ts';
import { lineEndWarnings } from './code-notes.ts';
import { Runs } from './find.ts';
import { followRun } from './follow.ts';
import { notCollected } from './not-collected.ts';
import { type Plan, planJson, planRows } from './plan.ts';
import { endLines, eventPrinter } from './print-events.ts';
import { confirmRemovals, planRemovals, recordFiles } from './removals.ts';
import { type StartedRun, startRun } from './start.ts';
import { RunStore } from './store.ts';
import { manifestOf } from './summary.ts';

/** Options beside the run spec. */
export interface RunOptions {
  readonly detach?: boolean;
  readonly yes?: boolean;
  readonly dryRun?: boolean;
  /** Show the whole log of the sync. */
  readonly verbose?: boolean;
  readonly includeSecrets?: boolean;
  /** Upload the whole archive, also where a part would do. */
  readonly full?: boolean;
  readonly json?: boolean;
}

type StartInput = SpecInput & { readonly project: string; readonly archive: string };

/** Trains the current folder, or an archive that was uploaded before. */
export async function runProject(context: Context, given: SpecInput, options: RunOptions): Promise<ExitCode> {
  const flags = await withWholeRunId(context, given);
  const input = await prepare(context, flags, options);
  if (input === null) return options.dryRun === true ? EXIT.succeeded : EXIT.usage;
  const run = await start(context, input);
  if (options.detach === true) return leave(context, run, input, options);
  return await follow(context, run, input, options);
}

const RESUME_WORDS: readonly (string | undefined)[] = [undefined, 'auto', 'never', 'latest'];

/** With the id of the run to go on from, of which its beginning may be given. */
async function withWholeRunId(context: Context, flags: SpecInput): Promise<SpecInput> {
  const { resume } = flags;
  if (RESUME_WORDS.includes(resume)) return flags;
  const runs = await Runs.of(context.account);
  const { id } = await runs.find(resume, async () => (await findProject(context.folder, flags)).name);
  return { ...flags, resume: id };
}

/** @returns null when the user declined, or wants to see the plan only */
async function prepare(context: Context, flags: SpecInput, options: RunOptions): Promise<StartInput | null> {
  let input: StartInput | null = null;
  try {
    const { archive } = flags;
    input = await (archive === undefined
      ? sendFolder(context, flags, options)
      : planArchive(context, { ...flags, archive }, options));
    return input;
  } finally {
    if (input === null) context.terminal.note('Nothing was started.');
  }
}

async function sendFolder(context: Context, flags: SpecInput, options: RunOptions): Promise<StartInput | null> {
  const { account, terminal, signal, folder } = context;
  const includeSecrets = options.includeSecrets === true;
  const project = await findProject(folder, flags);
  const spec = mergeSpecs(project.file, flags);
  const code = await readCode(folder, { includeSecrets, spec }, terminal);
  const secrets = checkEnvironment(context.terminal, project.file, flags);
  const script = checkScript(code, spec, entryFrom(flags));
  for (const warning of await lineEndWarnings(code.listing.files)) terminal.warn(warning);
  const requirements = await findRequirements(
    folder,
    code.listing.files.map(({ name }) => name),
    spec,
    flags.requirements === undefined ? 'runctl.yaml' : '--requirements',
  );
  await checkIncludes(code, requirements?.value ?? null, spec);
  const warning = await ownScriptWarning(code, spec);
  if (warning !== null) terminal.warn(warning);
  // One after the other: a stack that is missing is the first thing to say.
  const bucket = await account.output('bucket');
  const instance = await findInstance(context, project, spec.user);
  return await withArchive(code, { includeSecrets, signal }, async (archive, packed) => {
    for (const warning of packWarnings(packed)) terminal.warn(warning);
    const target = { instance: instance.found.id, project: project.name.value };
    const removals = await planRemovals(folder, target, packed);
    const plan = {
      project: project.name,
      code: { packed },
      script,
      requirements,
      args: spec.args ?? [],
      secrets,
      instance,
      maxCost: spec.maxCost,
      removals,
    };
    if (!(await confirmPlan(context, plan, options))) return null;
    const allowed = spec.allowRemovals === true;
    if (!(await confirmRemovals(terminal, removals, { allowed, ask: options.yes !== true, signal }))) return null;
    const patch = options.full === true ? ('none' as const) : ('for-run' as const);
    const to = { bucket, project: project.name.value, start: null, patch, expires: true };
    const sent = await send(context, archive, to);
    terminal.note(sentLine(packed, sent));
    const unrecorded = await recordFiles(folder, target, packed);
    if (unrecorded !== null) terminal.warn(unrecorded);
    return {
      ...withoutPackingKeys(flags),
      ...(removals !== null && needsPermission(removals) ? { allowRemovals: true } : {}),
      project: project.name.value,
      archive: archiveUri(sent),
      sha256: archive.sha256,
      ...(sent.patch === null ? {} : { patch: archiveUri(sent.patch) }),
      sent: { bytes: sent.sentBytes, changedFiles: packed.changedFiles },
    };
  });
}

/** The archive's own runctl.yaml is not read here; only the flags are known. */
async function planArchive(
  context: Context,
  flags: SpecInput & { readonly archive: string },
  options: RunOptions,
): Promise<StartInput | null> {
  const { folder } = context;
  withoutInclude(flags, 'the options');
  const project = await findProject(folder, flags);
  const plan = {
    project: project.name,
    code: { archive: flags.archive },
    script: entryOfSpec(flags),
    requirements: flags.requirements === undefined ? null : { value: flags.requirements, from: '--requirements' },
    args: flags.args ?? [],
    secrets: checkEnvironment(context.terminal, flags),
    instance: flags.instance === undefined ? null : await findInstance(context, project, flags.user),
    maxCost: flags.maxCost,
    removals: null,
  };
  return (await confirmPlan(context, plan, options)) ? { ...flags, project: project.name.value } : null;
}

async function findInstance({ account }: Context, { instance, name }: Project, user: string | undefined) {
  const request = { project: name.value, user: user ?? null };
  return { found: await resolveInstance(account, instance.value, request), selector: instance };
}

async function confirmPlan({ terminal, signal }: Context, plan: Plan, options: RunOptions): Promise<boolean> {
  for (const [label, text] of planRows(plan)) terminal.note(`  ${terminal.colors.dim(label.padEnd(9))} ${text}`);
  if (options.dryRun === true) {
    if (options.json === true) terminal.json(planJson(plan));
    return false;
  }
  if (options.yes === true) return true;
  if (terminal.isInteractive) return await terminal.confirm('Start this run?', signal);
  throw usageError(
    'Nobody can confirm the start: this is not a terminal.',
    'To start the run without a question: --yes. To see the plan only: --dry-run',
  );
}

async function start({ account, terminal, signal }: Context, input: StartInput): Promise<StartedRun> {
  const [machine, caller] = await Promise.all([account.output('machine'), callerName(account.sts)]);
  return await startRun(
    account.sfn,
    machine,
    { ...(caller === null ? {} : { startedBy: caller }), ...input },
    retryNotes((line) => terminal.note(line)),
    signal,
  );
}

function leave({ terminal }: Context, run: StartedRun, input: StartInput, options: RunOptions) {
  const { runId } = run;
  if (options.json === true) terminal.json(startJson(run, input, null));
  else terminal.print(runId);
  terminal.note(`To follow it: runctl logs -f ${runId}`);
  return EXIT.succeeded;
}

/** @throws CliError when following fails; the run continues, so the exit code is not that of a failed run */
export async function follow(
  context: Pick<Context, 'account' | 'terminal' | 'signal'>,
  { runId, executionArn }: StartedRun,
  input: StartInput,
  options: RunOptions,
): Promise<ExitCode> {
  const { account, terminal, signal } = context;
  const print = (line: string) => (options.json === true ? terminal.note(line) : terminal.print(line));
  terminal.note(`Started run ${terminal.colors.bold(runId)}`);
  try {
    const logGroup = await account.output('logGroup');
    const views = {
      show: eventPrinter(print, terminal.colors, { verbose: options.verbose === true }),
      notes: retryNotes((line) => terminal.note(line)),
    };
    const following = followRun(account, { executionArn, runId, logGroup }, views, signal);
    const end = await withAwsErrors('states:GetExecutionHistory, logs:GetLogEvents', following);
    const ending = readEnding(end);
    const others = hasResults(ending.outcome) ? await othersOf(context, end) : null;
    for (const line of endLines(end, ending, { runId, others }, terminal.colors)) print(line);
    if (options.json === true)
      terminal.json(startJson({ runId, executionArn }, input, { ...ending, error: errorNamed(end.error) }));
    return exitCodeOf(ending.outcome);
  } catch (error) {
    printDetached(terminal, runId);
    throw error;
  }
}

/** What the run wrote and was not collected. It is a note: that it cannot be read does not change how the run ended. */
async function othersOf({ account, terminal }: Pick<Context, 'account' | 'terminal'>, end: Execution) {
  try {
    const manifest = await manifestOf(new RunStore(account.s3, await account.output('bucket')), end);
    return manifest && notCollected(manifest);
  } catch (error) {
    terminal.warn(`the manifest could not be read: ${error instanceof Error ? error.message : String(error)}`);
    return null;
  }
}

/** What --json prints. @param ending null: the command does not follow the run */
function startJson(
  { runId, executionArn }: StartedRun,
  { project, archive }: StartInput,
  ending: (RunEnding & { readonly error: ErrorName | null }) | null,
): StartOutput {
  return {
    id: runId,
    arn: executionArn,
    project,
    state: ending?.outcome ?? 'starting',
    outcome: ending?.outcome ?? null,
    message: ending?.message ?? null,
    next: ending?.next ?? null,
    error: ending?.error ?? null,
    exitCode: ending?.exitCode ?? null,
    signal: ending?.signal ?? null,
    lastLines: [...(ending?.lastLines ?? [])],
    warnings: [...(ending?.warnings ?? [])],
    archive,
    runId,
    executionArn,
  };
}
