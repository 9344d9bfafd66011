import { closest, distance } from 'fastest-levenshtein';
import type * as z from 'zod/mini';
import type { MetricDefinition } from '../metrics/custom.ts';
import { parseDuration, parseSize } from '../units.ts';
import { ENTRY_KEYS, requestedEntry } from './entry.ts';
import { type Retries, resolveRetries } from './retries.ts';
import { type SpecInput, specSchema } from './schema.ts';
import { namesInBoth } from './secrets.ts';

export { type SpecInput, specSchema } from './schema.ts';

/** A part of a run spec was not understood. The message names the source, the key and what to do. */
export class InvalidSpec extends Error {
  override readonly name = 'InvalidSpec';
}

export const DEFAULT_OUTPUTS: readonly string[] = ['outputs/**'];
/** Where trainings save checkpoints: `pull` of a run that goes on brings them too. */
export const CHECKPOINTS = 'checkpoints/**';

const RESERVED = ['onFinish'];
/** A message names at most so many things that are wrong: it travels in the execution's cause. */
const PROBLEMS_SHOWN = 10;
/** What a run was asked, after merging and defaults. Durations in seconds, sizes in bytes; null: found out later. */
export interface RunSpec {
  readonly project: string | null;
  readonly instance: string | null;
  /** At most one of the three; all null: found in the archive. */
  readonly script: string | null;
  readonly module: string | null;
  readonly command: readonly string[] | null;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** References by the name of the variable; the instance reads the values. */
  readonly secrets: Readonly<Record<string, string>>;
  readonly requirements: string | null;
  readonly install: 'best-effort' | 'required' | 'skip';
  readonly installer: 'auto' | 'uv' | 'pip';
  readonly environment: 'shared' | 'project';
  /** Of a project's own environment: it is kept in S3. Left out by a run that began with an older version. */
  readonly storeEnvironment?: boolean;
  readonly python: string | null;
  readonly maxDuration: number;
  /** Dollars; null: no cap. Left out by a run that began with an older version. */
  readonly maxCost?: number | null;
  readonly stopGrace: number;
  readonly lingerGrace: number;
  readonly ifBusy: 'queue' | 'skip' | 'refuse';
  readonly maxWait: number;
  /** Seconds; left out: what the instance's tag says. */
  readonly stopAfter?: number | 'never';
  readonly maxLogBytes: number;
  readonly outputs: readonly string[];
  /** `run`: only files that the run created or changed; `all`: also older ones. */
  readonly outputsFrom: 'run' | 'all';
  /** Metrics in the log that runctl does not recognize by itself. */
  readonly metrics: readonly MetricDefinition[];
  /** The metrics that stand for the training, the most important one first. */
  readonly headline: readonly string[];
  /** Which checkpoints are kept in S3 while it trains. A run of an older version has none. */
  readonly checkpoints?: CheckpointSpec;
  /** `auto`, `never`, `latest`, or the id of a run. Missing, like the next two, in a run of an older version. */
  readonly resume?: string;
  readonly resumeArgs?: readonly string[];
  readonly retries?: Retries;
  readonly allowRemovals: boolean;
  readonly takeOver: boolean;
  readonly user: string | null;
  readonly name: string | null;
  readonly note: string | null;
}

export interface CheckpointSpec {
  /** A folder in the project; null: the usual places. */
  readonly path: string | null;
  /** Of each series; 0: none are sent. */
  readonly keep: number;
  /** Seconds between two of a series. */
  readonly every: number;
}

const KEPT_CHECKPOINTS = 3;

function checkpointSpec(given: SpecInput['checkpoints']): CheckpointSpec {
  if (typeof given === 'boolean') return { path: null, keep: 0, every: 0 };
  const { path, keep = KEPT_CHECKPOINTS, every = '0s' } = typeof given === 'string' ? { path: given } : (given ?? {});
  const folder = path === undefined ? null : withoutDotSlash(path).replace(/\/+$/, '');
  return { path: folder === '' ? null : folder, keep, every: parseDuration(every) };
}

/** Seconds. @param text as the schema has checked it */
function readStopAfter(text: string): number | 'never' {
  return text === 'never' ? text : parseDuration(text);
}

/** The patterns of `outputs`, however they are given. */
export function outputPatterns({
  outputs,
}: {
  readonly outputs?: SpecInput['outputs'] | undefined;
}): readonly string[] {
  return (isList(outputs) ? outputs : outputs?.patterns) ?? DEFAULT_OUTPUTS;
}

function isList(outputs: SpecInput['outputs']): outputs is string[] {
  return Array.isArray(outputs);
}

/** Request ≤ 16 KB as JSON (instance/CONTRACT.md); what remains beside args, env and secrets is under 4 KB. */
const ARGS_AND_ENV_LIMIT = 12_000;
const GLOBS_LIMIT = 8_000;

/**
 * Checks one source of a spec.
 * @param source where it comes from, as a person would say it ("runctl.yaml", "the execution's input")
 * @throws InvalidSpec naming the key
 */
export function parseSpec(value: unknown, source: string): SpecInput {
  refusePrototype(value, source);
  const result = specSchema.safeParse(value ?? {});
  if (!result.success) throw new InvalidSpec(`${source}: ${listProblems(result.error.issues.flatMap(describeIssue))}`);
  checkSize(result.data, source);
  checkNames(result.data, source);
  checkEntry(result.data, source);
  return result.data;
}

/** A key `__proto__` would be dropped without a word: JavaScript sets the prototype with it. */
function refusePrototype(value: unknown, source: string, path = ''): void {
  if (typeof value !== 'object' || value === null) return;
  for (const key of Object.keys(value)) {
    if (key === '__proto__') throw new InvalidSpec(`${source}: ${path}__proto__ is not a key that runctl accepts`);
    refusePrototype((value as Record<string, unknown>)[key], source, `${path}${key}.`);
  }
}

/** Which of the two would win is nothing to guess about. */
function checkNames({ env, secrets }: SpecInput, source: string): void {
  const [name] = namesInBoth(env ?? {}, secrets ?? {});
  if (name !== undefined) throw new InvalidSpec(`${source}: ${name} is in both env and secrets; leave it out of one`);
}

/** What starts is nothing to guess about either. */
function checkEntry(spec: SpecInput, source: string): void {
  const given = ENTRY_KEYS.filter((key) => spec[key] !== undefined);
  if (given.length < 2) return;
  const names = `${given.slice(0, -1).join(', ')} and ${given.at(-1)}`;
  throw new InvalidSpec(`${source}: ${names} are given; a run starts one of them`);
}

function checkSize({ args, command, env, resumeArgs, secrets, outputs }: SpecInput, source: string): void {
  const globs = Buffer.byteLength(JSON.stringify(outputPatterns({ outputs })));
  if (globs > GLOBS_LIMIT)
    throw new InvalidSpec(`${source}: outputs take ${globs} bytes; ${GLOBS_LIMIT} fit in a command`);
  const size = Buffer.byteLength(
    JSON.stringify([
      [...(args ?? []), ...(resumeArgs ?? [])],
      env ?? {},
      ...(secrets ? [secrets] : []),
      ...(command ? [command] : []),
    ]),
  );
  if (size <= ARGS_AND_ENV_LIMIT) return;
  const names = (values: object | undefined) => `${Object.keys(values ?? {}).length} names`;
  const program = command === undefined ? '' : 'command, ';
  const items = `${program}args (${args?.length ?? 0} items), env (${names(env)}) and secrets (${names(secrets)})`;
  throw new InvalidSpec(
    `${source}: ${items} take ${size} bytes as JSON; ${ARGS_AND_ENV_LIMIT} fit in a command. Put long values in a file of the archive.`,
  );
}

function listProblems(problems: readonly string[]): string {
  const more = problems.length - PROBLEMS_SHOWN;
  return problems.slice(0, PROBLEMS_SHOWN).join('; ') + (more > 0 ? `; and ${more} more` : '');
}

/** How a person calls what JSON and YAML know. */
const KINDS: Readonly<Record<string, string>> = {
  array: 'a list',
  object: 'a map',
  record: 'a map',
  string: 'a string',
};

function describeIssue(issue: z.core.$ZodIssue): string[] {
  if (issue.code === 'invalid_union') return describeUnion(issue);
  if (issue.code === 'unrecognized_keys' && issue.path.length === 0) return issue.keys.map(describeUnknownKey);
  const key = issue.path.map((part) => String(part).slice(0, 80)).join('.') || 'the spec';
  if (issue.code === 'unrecognized_keys')
    return [`${key} has the unknown key ${JSON.stringify(issue.keys[0]?.slice(0, 80))}`];
  if (issue.code === 'invalid_type') return [`${key} must be ${KINDS[issue.expected] ?? `a ${issue.expected}`}`];
  if (issue.code === 'invalid_value') return [`${key} must be one of ${issue.values.map(String).join(', ')}`];
  if (issue.code === 'invalid_key') return [`${key} is not a name of an environment variable`];
  return [`${key} ${issue.message}`];
}

/** Of the forms that a key may have, the one that was meant has its problems inside. */
function describeUnion({ errors, path, message }: z.core.$ZodIssueInvalidUnion): string[] {
  const isOther = (issue: z.core.$ZodIssue) => issue.code === 'invalid_type' && issue.path.length === 0;
  const meant = errors.filter((issues) => !issues.some(isOther));
  if (meant.length !== 1) return [`${path.join('.')} ${message}`];
  return meant.flat().flatMap((issue) => describeIssue({ ...issue, path: [...path, ...issue.path] }));
}

function describeUnknownKey(key: string): string {
  if (RESERVED.includes(key)) return `${key} is reserved for a later version; leave it out`;
  const nearest = closest(key, Object.keys(specSchema.shape));
  const hint = distance(key.toLowerCase(), nearest.toLowerCase()) <= 3 ? `; did you mean ${nearest}?` : '';
  return `unknown key ${JSON.stringify(key.slice(0, 80))}${hint}`;
}

/** A path as an archive names it. */
export function withoutDotSlash(path: string): string {
  return path.replace(/^(\.\/)+/, '');
}

/** Merges sources: later ones win. One that says what to start replaces what others said, whichever key it uses. */
export function mergeSpecs(...sources: readonly SpecInput[]): SpecInput {
  const merged: SpecInput = {};
  for (const source of sources) {
    if (ENTRY_KEYS.some((key) => source[key] !== undefined)) for (const key of ENTRY_KEYS) delete merged[key];
    Object.assign(merged, source);
  }
  return merged;
}

/**
 * Merges sources, later ones win, and fills in the defaults. `env` and `secrets` are replaced, not merged.
 * @throws InvalidSpec when args and env of different sources are too long together, or one has a name in env and another in secrets
 */
export function resolveSpec(...sources: readonly SpecInput[]): RunSpec {
  const spec = mergeSpecs(...sources);
  checkSize(spec, 'the run spec'); // Each source alone may fit.
  checkNames(spec, 'the run spec');
  return {
    project: spec.project ?? null,
    instance: spec.instance ?? null,
    ...requestedEntry(spec),
    script: spec.script === undefined ? null : withoutDotSlash(spec.script),
    args: spec.args ?? [],
    env: spec.env ?? {},
    secrets: spec.secrets ?? {},
    requirements: spec.requirements === undefined ? null : withoutDotSlash(spec.requirements),
    install: spec.install ?? 'best-effort',
    installer: spec.installer ?? 'auto',
    environment: spec.environment ?? 'shared',
    storeEnvironment: spec.storeEnvironment ?? true,
    python: spec.python ?? null,
    maxDuration: parseDuration(spec.maxDuration ?? '24h'),
    maxCost: spec.maxCost ?? null,
    stopGrace: parseDuration(spec.stopGrace ?? '30s'),
    lingerGrace: parseDuration(spec.lingerGrace ?? '60s'),
    ifBusy: spec.ifBusy ?? 'queue',
    maxWait: parseDuration(spec.maxWait ?? '24h'),
    ...(spec.stopAfter === undefined ? {} : { stopAfter: readStopAfter(spec.stopAfter) }),
    maxLogBytes: parseSize(spec.maxLogBytes ?? '1GiB'),
    outputs: outputPatterns(spec),
    outputsFrom: (isList(spec.outputs) ? undefined : spec.outputs?.from) ?? 'run',
    metrics: spec.metrics ?? [],
    headline: spec.headline ?? [],
    checkpoints: checkpointSpec(spec.checkpoints),
    resume: spec.resume ?? 'auto',
    resumeArgs: spec.resumeArgs ?? [],
    retries: resolveRetries(spec.retries),
    allowRemovals: spec.allowRemovals ?? false,
    takeOver: spec.takeOver ?? false,
    user: spec.user ?? null,
    name: spec.name ?? null,
    note: spec.note ?? null,
  };
}
