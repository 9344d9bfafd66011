import * as z from 'zod/mini';
import { OUTPUTS } from '../../cli/output/schemas.ts';

/** docs/reference/json.md, made of the schemas of the outputs. */

interface Schema {
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly format?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly enum?: readonly string[];
  readonly const?: unknown;
  readonly additionalProperties?: unknown;
}

/** What stands above the table of a command. */
const NOTES: Readonly<Record<keyof typeof OUTPUTS, string>> = {
  run: 'At the end of the run; with `--detach` at once, when `outcome` and what follows it are null or empty.',
  'run --dry-run': 'The plan.',
  push: '',
  list: 'A list, newest first. Of each run:',
  status: 'All keys of a run in `list`, and more.',
  logs: 'One object a line.',
  metrics: 'A list, in the order of the ids. Of each run:',
  checkpoints: '',
  'metrics --follow': 'One object a line, for each value:',
  stop: 'A list, in the order of the ids. Of each run:',
  pull: 'A list, in the order of the ids. Of each run:',
  report: '',
  ui: 'At once; the command goes on until Ctrl-C.',
  'schedule add': '',
  'schedule list': 'A list, by name. Of each schedule:',
  'schedule remove': '',
  'instance status': '',
  'instance start': 'When runs can use it: as `instance status`.',
  'instance stop': 'When it has stopped: as `instance status`.',
  'image bake': 'When the image is ready; with `--detach` at once, when all but the names are null.',
  'image list': 'A list, the newest first. Of each image:',
  'image use': '',
  'image remove': '',
  doctor: '',
  'local status': '',
  'local env': 'One object:',
  error: '',
};

const HEAD = `# JSON

<!-- Generated from cli/output/schemas.ts: npm run schema. -->

What \`--json\` prints on standard output: one document, unless stated otherwise. Notes and errors for people go to
standard error. \`runctl.output.schema.json\` in the repository is the JSON Schema of all outputs, by command in \`$defs\`.
Keys may be added; existing ones keep their meaning. Times are ISO 8601 in UTC, durations seconds, sizes bytes.

A run has the same keys in every command: \`id\`, \`arn\`, \`project\`, \`state\`, \`outcome\`. \`state\` is one of the words of
[errors](errors.md#find-your-error), which the command prints as well: what the run does or, once everything of it is
saved, its outcome. A run that was stopped is \`stopping\` until then.

\`\`\`sh
runctl list --json | jq -r '.[] | select(.state == "failed") | .id'
until runctl status --json | jq -e .outcome > /dev/null; do sleep 30; done
\`\`\`
`;

const ERROR = `## Errors

Every command with \`--json\` that fails (exit codes 2, 3, 70) prints this instead. A run that failed is not an error of
the command: \`run --json\` prints its outcome, with exit code 1, or 4 when it was skipped.
`;

const MANIFEST = `## The manifest

\`runs/<run id>/manifest.json\` in the bucket, however the run ended. \`runctl.manifest.schema.json\` in the repository is
its JSON Schema. Keys are only added within \`version\` 1, and old manifests stay readable.

| key | meaning |
|---|---|
| \`run\` | \`{id, arn, startedAt, endedAt, seconds}\` |
| \`outcome\`, \`error\`, \`message\`, \`next\` | how it ended, and what to do |
| \`exitCode\`, \`signal\`, \`pid\`, \`lastLines\`, \`warnings\` | of the training |
| \`spec\` | as resolved; values that look like secrets are \`***\` |
| \`archive\` | \`{bucket, key, versionId, sha256, bytes, files, gitCommit, gitDirty, patchBytes, sent}\`. \`patchBytes\`: what was uploaded in its place, measured. \`sent\`: \`{bytes, changedFiles}\` as the command says; null when it did not, or when that cannot be |
| \`instance\`, \`python\`, \`packages\` | what it ran on, and with |
| \`environment\` | \`{key, sha256, restored}\` of the project's own environment: the key of its install, the digest of its archive in S3 or null, and whether it came from there; null: none is kept |
| \`jobs\` | \`sync\`, \`install\`, \`train\`: state, exit code, signal, peak memory, polls, log bytes, result |
| \`states\` | time in each state |
| \`outputs\` | \`{archive: {key, bytes, sha256}, count, files}\`; the first 5,000 files, \`inventory.json\` beside it has all |
| \`logs\` | \`{job, key, bytes, sha256}\` of each whole log |
| \`cost\` | \`{usd, note, instance}\`: [estimates](costs.md) for runctl itself (\`usd\`) and for the instance: \`{usd, seconds, usdPerHour, source, at}\`, null when the price is not known |
`;

export function jsonReference(): string {
  const commands = Object.entries(OUTPUTS).map(([command, schema]) => {
    const json = z.toJSONSchema(schema, { io: 'input' }) as Schema;
    const note = NOTES[command as keyof typeof OUTPUTS];
    const title = command === 'error' ? ERROR : `## \`runctl ${command}\`\n${note === '' ? '' : `\n${note}\n`}`;
    return `${title}\n${table(command === 'status' ? beyondList(json) : json)}`;
  });
  return [HEAD, ...commands, MANIFEST].join('\n');
}

/** A status has the keys of a run in a list, which are not shown again. */
function beyondList(schema: Schema): Schema {
  const shown = (z.toJSONSchema(OUTPUTS.list, { io: 'input' }) as Schema).items?.properties ?? {};
  const rest = Object.entries(schema.properties ?? {}).filter(([key]) => !(key in shown));
  return { ...schema, properties: Object.fromEntries(rest) };
}

function table(schema: Schema): string {
  const rows = rowsOf(schema.items ?? schema, '');
  return rows.length === 0 ? `${schema.description}\n` : ['| key | value | |', '|---|---|---|', ...rows, ''].join('\n');
}

function rowsOf(schema: Schema, prefix: string): string[] {
  return Object.entries(schema.properties ?? {}).flatMap(([key, value]) => {
    const inner = innerOf(value);
    const nested = inner.items?.properties ? inner.items : inner;
    const name = `${prefix}${key}${nested === inner ? '' : '[]'}`;
    const row = `| \`${name}\` | ${typeOf(value)} | ${value.description ?? ''} |`;
    return [row.replace(/ {2}\|/g, ' |'), ...rowsOf(nested, `${name}.`)];
  });
}

/** Without null. */
function innerOf(schema: Schema): Schema {
  return schema.anyOf?.find(({ type }) => type !== 'null') ?? schema;
}

function typeOf(schema: Schema): string {
  const inner = innerOf(schema);
  const isNullable = typesOf(schema).includes('null') || schema.anyOf?.some(({ type }) => type === 'null') === true;
  return `${kindOf(inner)}${isNullable ? ' or null' : ''}`;
}

function typesOf({ type }: Schema): readonly string[] {
  return type === undefined ? [] : [type].flat();
}

function kindOf(schema: Schema): string {
  const { format, items, enum: words, const: only } = schema;
  const type = typesOf(schema).find((one) => one !== 'null');
  if (only !== undefined) return `\`${only}\``;
  if (words !== undefined) return words.length > 4 ? 'a word' : words.map((word) => `\`${word}\``).join(', ');
  if (format === 'date-time') return 'time';
  if (type === 'array') return items?.type === 'string' ? 'list of strings' : 'list';
  return type ?? 'any';
}
