import * as z from 'zod/mini';
import { parseDuration } from '../units.ts';
import { BadCommand, commandProblem, commandWords } from './entry.ts';
import { headlineSchema, metricsSchema } from './metrics.ts';
import { expandBraces, MAX_ALTERNATIVES } from './output-globs.ts';
import { badRequirements } from './requirements.ts';
import { retriesSchema } from './retries.ts';
import { secretsSchema } from './secrets.ts';

/** UTF-8 bytes of a path: what an archive's names may have (core/archive/caps.ts). */
const PATH_BYTES = 1024;

const MAX_STOP_AFTER_S = 86_400;

const text = z.string();
const count = z.int('is a whole number').check(z.nonnegative('is not negative'));

const duration = (description: string, most?: { seconds: number; text: string }) =>
  text.check(
    z.regex(/^\d+(\.\d+)?(s|m|h|d)$/, {
      error: 'is a number with s, m, h or d, such as 90s, 30m, 6h or 2d',
      abort: true, // the bounds mean nothing without a unit
    }),
    z.refine((value) => !most || parseDuration(value) <= most.seconds, `may be ${most?.text} at most`),
    z.describe(description),
  );

const path = (description: string) =>
  text.check(
    z.minLength(1, 'is empty'),
    z.refine((value) => Buffer.byteLength(value) <= PATH_BYTES, `has more than ${PATH_BYTES} bytes`),
    z.refine((value) => !hasControlCharacter(value), 'has a control character'),
    z.describe(description),
  );

const relativePath = (description: string) =>
  path(description).check(
    z.refine(
      (value) => !value.startsWith('/') && !value.split('/').includes('..'),
      'is a path inside the project: no leading / and no ..',
    ),
    z.describe(description),
  );

function hasControlCharacter(value: string): boolean {
  return [...value].some((character) => character < ' ' || character === '\x7f');
}

const SCRIPT = 'Entry script in the project: .py, or .sh. Default: the only one of train.py, main.py at the top.';

const CHECKPOINT_FOLDER =
  'Folder in the project whose entries are checkpoints. Default: checkpoints/, checkpoint-* below outputs/, and *.ckpt.';

const REQUIREMENTS =
  'What is installed: requirements.txt, pyproject.toml[extra], uv.lock, pylock.toml or environment.yml. Default: the first of uv.lock, pylock.toml, requirements.txt, pyproject.toml with dependencies.';

/** What is wrong with a script's suffix, or null. Python runs a file without one, too. */
function badSuffix(script: string): string | null {
  const suffix = /[^/](\.[^./]*)$/.exec(script)?.[1]?.toLowerCase() ?? '';
  if (['', '.py', '.pyz', '.sh'].includes(suffix)) return null;
  if (suffix !== '.ipynb') return `has the suffix ${suffix}; .py and .pyz run with Python, .sh with sh`;
  const quoted = /^[\w./-]+$/.test(script) ? script : `'${script}'`;
  return `is a notebook: convert it with \`jupyter nbconvert --to script ${quoted}\`, and name the .py file`;
}

/** What is wrong with a command, or null. */
function badCommand(command: string | readonly string[]): string | null {
  try {
    return commandProblem(commandWords(command));
  } catch (error) {
    if (error instanceof BadCommand) return error.message;
    throw error;
  }
}

const literal = text.check(
  z.refine((value) => !value.includes('\0'), 'has a NUL character'),
  z.refine((value) => !/\p{Surrogate}/u.test(value), 'has half a character (a lone surrogate)'),
);
const VARIABLE = /^[A-Za-z_][A-Za-z0-9_]*$/;

const GLOB = 'A glob in the project.';
const outputGlobs = z
  .array(
    relativePath(GLOB).check(
      z.refine((value) => !value.startsWith('~'), {
        error: ({ input }) => `is ${input}, and ~ is not expanded: globs begin in the project folder`,
      }),
      z.refine((value) => variableIn(value) === null, {
        error: ({ input }) =>
          `is ${input}, and ${variableIn(String(input))} is not expanded: globs begin in the project folder`,
      }),
      z.refine((value) => expandBraces(value) !== null, `has braces with more than ${MAX_ALTERNATIVES} alternatives`),
      z.describe(GLOB),
    ),
  )
  .check(z.maxLength(64, 'has more than 64 items'), z.describe('Globs of files that are collected.'));

/** `$HOME` or `${HOME}` of a glob, or null. */
function variableIn(glob: string): string | null {
  return /\$(\w+|\{[^}]*\}?)/.exec(glob)?.[0] ?? null;
}

/** Every key that a person may give, wherever it comes from. Defaults are applied after the sources are merged. */
export const specSchema = z.partial(
  z.strictObject({
    archive: text.check(
      z.regex(/^s3:\/\/[^/]+\/.+/s, 'looks like s3://bucket/key, with an optional ?versionId='),
      z.describe('The uploaded .tar.gz: s3://bucket/key, optionally with ?versionId=. Only in StartExecution input.'),
    ),
    sha256: text.check(
      z.regex(/^[0-9a-f]{64}$/, 'is the hex SHA-256 of the archive'),
      z.describe(
        "SHA-256 of the archive: a run of any other bytes is refused. Only in StartExecution input and an upload's metadata.",
      ),
    ),
    patch: text.check(
      z.regex(/^s3:\/\/[^/]+\/patches\/.+/s, 'looks like s3://bucket/patches/…, with an optional ?versionId='),
      z.describe(
        'A patch that makes the archive of an earlier one, as `runctl run` uploads it; needs sha256. Only in StartExecution input.',
      ),
    ),
    sent: z
      .strictObject({ bytes: count, changedFiles: z.optional(z.nullable(count)) })
      .check(
        z.describe(
          "What the command says that it uploaded, for the manifest; not verified. Only in StartExecution input and an upload's metadata.",
        ),
      ),
    project: text.check(
      z.regex(/^[a-z0-9][a-z0-9._-]{0,62}$/, 'is 1 to 63 of a-z 0-9 . _ - and begins with a letter or digit'),
      z.describe('Name of the code; also its folder on the instance, <home>/<project>.'),
    ),
    instance: text.check(
      z.regex(/^(i-[0-9a-f]{8,17}|tag:[^=]+=.+)$/, 'is an id such as i-0123456789abcdef0, or tag:Key=value'),
      // EC2's filters take * and ?: a selector that names every instance is not a choice.
      z.refine((value) => !/[*?]/.test(value), 'must not have the wildcards * and ?'),
      z.describe('i-… or tag:Key=value. Default: tag:Project=<project>.'),
    ),
    script: relativePath(SCRIPT).check(
      z.refine((value) => badSuffix(value) === null, { error: ({ input }) => badSuffix(String(input)) ?? '' }),
      z.describe(SCRIPT),
    ),
    module: text.check(
      z.regex(/^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$/, 'is the name of a Python module, such as pkg.train'),
      z.maxLength(256, 'has more than 256 characters'),
      z.describe('Module that Python runs instead of a script (python -m), such as pkg.train; also found in src/.'),
    ),
    command: z.union([text, z.array(literal)], 'must be a text or a list of texts').check(
      z.refine((value) => badCommand(value) === null, {
        error: ({ input }) => badCommand(input as string | string[]) ?? '',
      }),
      z.describe(
        'Program and arguments to start instead of a script, such as torchrun --nproc-per-node=gpu train.py. No shell reads it.',
      ),
    ),
    include: z
      .array(
        path('A path beside the project.').check(z.regex(/^[^/~$]/, 'is relative to the project, such as ../common')),
      )
      .check(
        z.maxLength(64, 'has more than 64 items'),
        z.describe('Files and folders beside the project, packed with it: ../common becomes common/.'),
      ),
    args: z.array(literal).check(z.describe('Arguments of the script, taken literally.')),
    env: z
      .record(text.check(z.regex(VARIABLE)), literal)
      .check(
        z.describe(
          'Environment of install and training. Not for secrets: values are visible in the execution history.',
        ),
      ),
    secrets: secretsSchema,
    requirements: relativePath(REQUIREMENTS).check(
      z.refine((value) => badRequirements(value) === null, {
        error: ({ input }) => badRequirements(String(input)) ?? '',
      }),
      z.describe(REQUIREMENTS),
    ),
    install: z
      .enum(['best-effort', 'required', 'skip'])
      .check(
        z.describe('What a failed install means. best-effort: a warning that the outcome carries, training is tried.'),
      ),
    environment: z
      .enum(['shared', 'project'])
      .check(
        z.describe(
          "Where packages go. project: an environment of the project's own, with the packages of the image. Default: shared.",
        ),
      ),
    storeEnvironment: z
      .boolean()
      .check(
        z.describe(
          'With environment: project, keep the environment in S3, and restore it where it is missing. Default: true.',
        ),
      ),
    installer: z.enum(['auto', 'uv', 'pip']).check(z.describe('auto: uv, then pip3 install --user.')),
    python: path("Interpreter on the instance. Default: an active image's environment, else python3.").check(
      z.regex(/^\//, 'is an absolute path on the instance'),
      z.describe("Interpreter on the instance. Default: an active image's environment, else python3."),
    ),
    maxDuration: duration('Longest time the training may take, e.g. 6h.', { seconds: 30 * 86_400, text: '30d' }).check(
      z.refine((value) => parseDuration(value) >= 1, 'is 1s at least'),
    ),
    maxCost: z
      .number()
      .check(
        z.positive('is more than 0'),
        z.maximum(1_000_000, 'is 1000000 at most'),
        z.describe('Dollars that the instance may cost for the run, e.g. 5; then the training is ended.'),
      ),
    lingerGrace: duration(
      'How long processes may be idle that still run after the script has exited with code 0; then they are ended.',
      { seconds: 86_400, text: '24h' },
    ),
    stopGrace: duration('Time between TERM and KILL.', { seconds: 600, text: '10m' }),
    ifBusy: z
      .enum(['queue', 'skip', 'refuse'])
      .check(z.describe('What to do when the instance trains something else.')),
    maxWait: duration('Longest time in the queue, and to wait for an instance that starts or was lost.', {
      seconds: 30 * 86_400,
      text: '30d',
    }),
    stopAfter: text.check(
      z.regex(/^(never|\d+(\.\d+)?(s|m|h))$/, 'is never, or a number with s, m or h, such as 10m'),
      z.refine((value) => value === 'never' || parseDuration(value) <= MAX_STOP_AFTER_S, 'may be 24h at most'),
      z.describe(
        'How long an instance with the tag runctl:power=managed runs on after its last run, e.g. 10m; never: until somebody stops it. Default: its tag runctl:stop-after, else 10m.',
      ),
    ),
    maxLogBytes: text.check(
      z.regex(/^\d{1,9}(\.\d{1,9})?(B|KiB|MiB|GiB)$/, 'is a size such as 500MiB or 1GiB'),
      z.describe('Log bytes to CloudWatch; the copy in S3 stays whole.'),
    ),
    outputs: z
      .union(
        [
          outputGlobs,
          z.strictObject({
            from: z.optional(
              z
                .enum(['run', 'all'])
                .check(
                  z.describe('run: files that the run created or changed. all: also files that were there before.'),
                ),
            ),
            patterns: z.optional(outputGlobs),
          }),
        ],
        'must be a list, or a map with from and patterns',
      )
      .check(z.describe('Globs of files that are collected.')),
    metrics: metricsSchema,
    headline: headlineSchema,
    checkpoints: z
      .union(
        [
          relativePath(CHECKPOINT_FOLDER),
          z.boolean().check(z.refine((value) => !value, 'must be a folder, a map, or false')),
          z.strictObject({
            path: z.optional(relativePath(CHECKPOINT_FOLDER)),
            keep: z.optional(
              z
                .int()
                .check(
                  z.minimum(1, 'is 1 at least'),
                  z.maximum(100, 'is 100 at most'),
                  z.describe('How many of a series are kept in S3. Default: 3.'),
                ),
            ),
            every: z.optional(
              duration('Shortest time between two checkpoints of a series that are sent, e.g. 10m. Default: 0s.'),
            ),
          }),
        ],
        'must be a folder, a map, or false',
      )
      .check(
        z.describe('Checkpoints that are sent to S3 while the training runs: a folder, a map, or false for none.'),
      ),
    resume: text.check(
      z.regex(/^(auto|never|latest|[A-Za-z0-9][A-Za-z0-9._-]{0,79})$/, 'is auto, never, latest, or the id of a run'),
      z.describe(
        'Where the training goes on. <run id>: from the newest checkpoint of that run; latest: of the project. auto: only a further attempt goes on, from its own run. never: each attempt begins anew. Default: auto.',
      ),
    ),
    resumeArgs: z
      .array(literal)
      .check(
        z.maxLength(64, 'has more than 64 items'),
        z.describe(
          'Arguments that are added when there is a checkpoint to go on with; {checkpoint} is its path in the project.',
        ),
      ),
    retries: retriesSchema,
    allowRemovals: z
      .boolean()
      .check(z.describe('Allow a sync to remove more than 100 files, or 100 MB, that the archive no longer contains.')),
    takeOver: z
      .boolean()
      .check(
        z.describe('Allow a sync to replace the code of the project that another folder or repository has synced.'),
      ),
    user: text.check(
      z.regex(/^[a-z_][a-z0-9_-]{0,31}$/, 'is a user name'),
      z.refine((value) => value !== 'root', 'must not be root: jobs run as an unprivileged user'),
      z.describe("User that runs the jobs: one that the instance's tag runctl:users names. Default: the instance's."),
    ),
    name: text.check(
      z.minLength(1, 'is empty'),
      z.maxLength(64, 'has more than 64 characters'),
      z.refine((value) => !hasControlCharacter(value), 'has a control character'),
      z.describe('A name for the run, for lists: several runs may have the same.'),
    ),
    note: text.check(
      z.minLength(1, 'is empty'),
      z.maxLength(500, 'has more than 500 characters'),
      z.refine((value) => !hasControlCharacter(value), 'has a control character'),
      z.describe('What the run is about, for lists and reports.'),
    ),
    startedBy: text.check(
      z.minLength(1, 'is empty'),
      z.maxLength(128, 'has more than 128 characters'),
      z.refine((value) => !hasControlCharacter(value), 'has a control character'),
      z.describe('Who or what starts the run, for lists; not verified. Only in StartExecution input.'),
    ),
  }),
);

export type SpecInput = z.infer<typeof specSchema>;
