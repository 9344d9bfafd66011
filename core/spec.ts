import { closest, distance } from 'fastest-levenshtein';
import * as z from 'zod';
import { parseDuration, parseSize } from './units.ts';

/** A part of a run spec was not understood. The message names the source, the key and what to do. */
export class InvalidSpec extends Error {
  override readonly name = 'InvalidSpec';
}

const RESERVED = ['checkpoints', 'metrics', 'secrets', 'onFinish'];

const duration = (description: string, most?: { seconds: number; text: string }) =>
  z
    .string()
    .regex(/^\d+(\.\d+)?(s|m|h|d)$/, 'is a number with s, m, h or d, such as 90s, 30m, 6h or 2d')
    .refine((text) => !most || parseDuration(text) <= most.seconds, `may be ${most?.text} at most`)
    .describe(description);

const relativePath = (description: string) =>
  z
    .string()
    .min(1)
    .max(1024)
    .refine(
      (path) => !path.startsWith('/') && !path.split('/').includes('..'),
      'is a path inside the project: no leading / and no ..',
    )
    .refine((path) => !hasControlCharacter(path), 'has a control character')
    .describe(description);

function hasControlCharacter(text: string): boolean {
  return [...text].some((character) => character < ' ' || character === '\x7f');
}

const literal = z.string().refine((text) => !text.includes('\0'), 'has a NUL character');

/** Every key that a person may give, wherever it comes from. Defaults are applied after the sources are merged. */
export const specSchema = z
  .strictObject({
    archive: z
      .string()
      .regex(/^s3:\/\/[^/]+\/.+/s, 'looks like s3://bucket/key, with an optional ?versionId=')
      .describe('The uploaded .tar.gz: s3://bucket/key, optionally with ?versionId=. Only in StartExecution input.'),
    project: z
      .string()
      .regex(/^[a-z0-9][a-z0-9._-]{0,62}$/, 'is 1 to 63 of a-z 0-9 . _ - and begins with a letter or digit')
      .describe('Name of the code; also its folder on the instance, <home>/<project>.'),
    instance: z
      .string()
      .regex(/^(i-[0-9a-f]{8,17}|tag:[^=]+=.+)$/, 'is an id such as i-0123456789abcdef0, or tag:Key=value')
      .describe('i-… or tag:Key=value. Default: tag:Project=<project>.'),
    script: relativePath(
      'Entry script, relative to the project. Default: the only one of train.py, main.py at the top.',
    ),
    args: z.array(literal).max(256).describe('Arguments of the script, taken literally.'),
    env: z
      .record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'is not a name of an environment variable'), literal)
      .describe('Environment of install and training. Not for secrets: values are visible in the execution history.'),
    requirements: relativePath('Requirements file. Default: requirements.txt if it is there.'),
    install: z
      .enum(['best-effort', 'required', 'skip'])
      .describe('What a failed install means. best-effort: a warning that the outcome carries, training is tried.'),
    installer: z.enum(['auto', 'uv', 'pip']).describe('auto: uv, then pip3 install --user.'),
    python: z
      .string()
      .regex(/^\/[^\0\n]*$/, 'is an absolute path on the instance')
      .describe("Interpreter on the instance. Default: an active image's environment, else python3."),
    maxDuration: duration('Longest time the training may take, e.g. 6h.', { seconds: 30 * 86_400, text: '30d' }),
    stopGrace: duration('Time between TERM and KILL.', { seconds: 600, text: '10m' }),
    ifBusy: z.enum(['queue', 'skip', 'refuse']).describe('What to do when the instance trains something else.'),
    maxWait: duration('Longest time in the queue.', { seconds: 30 * 86_400, text: '30d' }),
    maxLogBytes: z
      .string()
      .regex(/^\d+(\.\d+)?(B|KiB|MiB|GiB)$/, 'is a size such as 500MiB or 1GiB')
      .describe('Log bytes to CloudWatch; the copy in S3 stays whole.'),
    outputs: z.array(relativePath('A glob in the project.')).max(64).describe('Globs of files that are collected.'),
    user: z
      .string()
      .regex(/^[a-z_][a-z0-9_-]{0,31}$/, 'is a user name')
      .describe('Unprivileged user that runs the jobs. Default: ubuntu or ec2-user, whichever exists.'),
  })
  .partial();

export type SpecInput = z.infer<typeof specSchema>;

/** What a run was asked, after merging and defaults. Durations in seconds, sizes in bytes; null: found out later. */
export interface RunSpec {
  readonly project: string | null;
  readonly instance: string | null;
  readonly script: string | null;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly requirements: string | null;
  readonly install: 'best-effort' | 'required' | 'skip';
  readonly installer: 'auto' | 'uv' | 'pip';
  readonly python: string | null;
  readonly maxDuration: number;
  readonly stopGrace: number;
  readonly ifBusy: 'queue' | 'skip' | 'refuse';
  readonly maxWait: number;
  readonly maxLogBytes: number;
  readonly outputs: readonly string[];
  readonly user: string | null;
}

/** Request ≤ 16 KB as JSON (instance/CONTRACT.md); what remains beside args and env is under 4 KB. */
const ARGS_AND_ENV_LIMIT = 12_000;

/**
 * Checks one source of a spec.
 * @param source where it comes from, as a person would say it ("runctl.yaml", "the execution's input")
 * @throws InvalidSpec naming the key
 */
export function parseSpec(value: unknown, source: string): SpecInput {
  const result = specSchema.safeParse(value ?? {});
  if (!result.success) throw new InvalidSpec(`${source}: ${result.error.issues.map(describeIssue).join('; ')}`);
  const size = Buffer.byteLength(JSON.stringify([result.data.args ?? [], result.data.env ?? {}]));
  if (size > ARGS_AND_ENV_LIMIT) {
    throw new InvalidSpec(
      `${source}: args and env take ${size} bytes; ${ARGS_AND_ENV_LIMIT} fit in a command. Put long values in a file of the archive.`,
    );
  }
  return result.data;
}

function describeIssue(issue: z.core.$ZodIssue): string {
  if (issue.code === 'unrecognized_keys') return issue.keys.map(describeUnknownKey).join('; ');
  const key = issue.path.map(String).join('.') || 'the spec';
  if (issue.code === 'invalid_type')
    return `${key} must be ${issue.expected === 'record' ? 'a map' : `a ${issue.expected}`}`;
  if (issue.code === 'invalid_value') return `${key} must be one of ${issue.values.map(String).join(', ')}`;
  return `${key} ${issue.message}`;
}

function describeUnknownKey(key: string): string {
  if (RESERVED.includes(key)) return `${key} is reserved for a later version; leave it out`;
  const nearest = closest(key, Object.keys(specSchema.shape));
  const hint = distance(key.toLowerCase(), nearest.toLowerCase()) <= 3 ? `; did you mean ${nearest}?` : '';
  return `unknown key ${JSON.stringify(key.slice(0, 80))}${hint}`;
}

/** Merges sources, later ones win, and fills in the defaults of DESIGN's table. `env` is replaced, not merged. */
export function resolveSpec(...sources: readonly SpecInput[]): RunSpec {
  const spec: SpecInput = Object.assign({}, ...sources);
  return {
    project: spec.project ?? null,
    instance: spec.instance ?? null,
    script: spec.script?.replace(/^(\.\/)+/, '') ?? null,
    args: spec.args ?? [],
    env: spec.env ?? {},
    requirements: spec.requirements?.replace(/^(\.\/)+/, '') ?? null,
    install: spec.install ?? 'best-effort',
    installer: spec.installer ?? 'auto',
    python: spec.python ?? null,
    maxDuration: parseDuration(spec.maxDuration ?? '24h'),
    stopGrace: parseDuration(spec.stopGrace ?? '30s'),
    ifBusy: spec.ifBusy ?? 'queue',
    maxWait: parseDuration(spec.maxWait ?? '24h'),
    maxLogBytes: parseSize(spec.maxLogBytes ?? '1GiB'),
    outputs: spec.outputs ?? ['outputs/**'],
    user: spec.user ?? null,
  };
}

/** Names in `env` that look like secrets: their values are visible in the execution's history. */
export function secretLookingNames(env: Readonly<Record<string, string>>): string[] {
  return Object.keys(env).filter((name) =>
    /(SECRET|TOKEN|PASSWORD|PASSWD|API_?KEY|PRIVATE_?KEY|CREDENTIAL)/i.test(name),
  );
}
