import { costLine, maxCostOf } from '../cost/cost-line.ts';
import type { Outcome } from '../errors.ts';
import { type JobName, logStream, RUN_LOG_GROUP, runFileKey } from '../names.ts';
import type { Manifest } from '../outcome/manifest-schema.ts';
import { formatDuration } from '../units.ts';
import { hasResults, type RunWord } from '../workflow/vocabulary.ts';
import type { RunProgressEvent, RunStarted, RunWaiting } from './progress-event.ts';

/** That every run has. */
const STREAMS_SHOWN: readonly JobName[] = ['sync', 'install', 'train'];
/** What SNS takes as a subject: up to 100 printable ASCII characters. */
const SUBJECT_CHARACTERS = 100;

/** A message to people, and what their subscriptions may filter by. */
export interface Notification {
  readonly subject: string;
  readonly body: string;
  readonly attributes: { readonly event: string; readonly state: RunWord; readonly project?: string };
}

/** How a run ended. Contains no secret: no values of the spec, no code, and no presigned URL. */
export function endNotification(manifest: Manifest): Notification {
  const { run, outcome, message, next, warnings, lastLines, exitCode, instance, outputs, cost } = manifest;
  const project = projectOf(manifest);
  return {
    subject: subjectOf([project, outcome, `after ${formatDuration(run.seconds)}:`, run.id]),
    body: bodyOf([
      [`Run ${run.id} has ended: ${outcome}.`, message],
      table({
        project,
        instance: instance && `${instance.id} (${instance.type})`,
        'exit code': exitCode,
        ended: `${run.endedAt}, after ${formatDuration(run.seconds)}`,
        cost: costLine(cost.instance, maxCostOf(manifest.spec)),
        outputs: outputs.archive && `${outputs.count} files, in ${outputs.archive.key}`,
      }),
      warnings.map((warning) => `Warning: ${warning}`),
      next === null ? [] : [`Next step: ${next}`],
      lastLines.length === 0 ? [] : ['Last lines of its log:', ...lastLines.map((line) => `  ${line}`)],
      commands(run.id, nextCommands(outcome)),
      places(run, [`Manifest: ${runFileKey(run.id, 'manifest.json')} in the bucket`]),
    ]),
    attributes: { event: outcome, state: outcome, ...(project === null ? {} : { project }) },
  };
}

function nextCommands(outcome: Outcome): Readonly<Record<string, string>> {
  if (!hasResults(outcome)) return { status: 'show it' };
  const show = { logs: 'show its log' };
  const get = { pull: 'get its outputs' };
  return outcome === 'succeeded' ? { ...get, ...show } : { ...show, ...get };
}

export function progressNotification(event: RunProgressEvent): Notification {
  return event.kind === 'started' ? startNotification(event) : waitNotification(event);
}

function startNotification({ run, project, instance, script, pid, warnings }: RunStarted): Notification {
  return {
    subject: subjectOf([project, 'is training:', run.id]),
    body: bodyOf([
      [`Run ${run.id} is training.`],
      table({ project, script, instance: `${instance.id} (${instance.type})`, PID: pid }),
      warnings.map((warning) => `Warning: ${warning}`),
      commands(run.id, { 'logs -f': 'follow its log', stop: 'stop it' }),
      places(run, []),
    ]),
    attributes: { event: 'started', state: 'training', project },
  };
}

function waitNotification({ run, project, instance, waited, holder, place }: RunWaiting): Notification {
  return {
    subject: subjectOf([project, 'has been queued for', `${formatDuration(waited)}:`, run.id]),
    body: bodyOf([
      [`Run ${run.id} is queued: it has been waiting for ${instance.id} for ${formatDuration(waited)}.`],
      table({ project, instance: `${instance.id} (${instance.type})`, 'held by': holder, 'place in the queue': place }),
      ['It starts when the instance is free and its turn comes. After maxWait it ends with the outcome busy.'],
      commands(run.id, { status: 'show its place in the queue', stop: 'cancel it' }),
      ...(holder === null ? [] : [commands(holder, { status: 'show the run that holds the instance' })]),
      places(run, []),
    ]),
    attributes: { event: 'waiting', state: 'queued', project },
  };
}

function projectOf({ spec }: Manifest): string | null {
  return typeof spec?.project === 'string' ? spec.project : null;
}

/** SNS refuses control characters and what is not ASCII. */
function subjectOf(words: readonly (string | null)[]): string {
  const text = ['runctl:', ...words.filter((word) => word !== null)].join(' ').replace(/[^ -~]/g, '?');
  return text.length > SUBJECT_CHARACTERS ? `${text.slice(0, SUBJECT_CHARACTERS - 3)}...` : text;
}

function bodyOf(paragraphs: readonly (readonly string[])[]): string {
  const text = paragraphs.filter((lines) => lines.length > 0).map((lines) => lines.join('\n'));
  return `${withoutSignatures(text.join('\n\n'))}\n`;
}

/** A presigned URL gives access to whoever reads it, and a script may have printed one. */
function withoutSignatures(text: string): string {
  return text.replace(/(https?:\/\/[^\s?]+)\?[^\s]*X-Amz-[^\s]*/gi, '$1?***');
}

function table(rows: Readonly<Record<string, string | number | null>>): string[] {
  const shown = Object.entries(rows).filter(([, value]) => value !== null);
  const width = Math.max(...shown.map(([name]) => name.length));
  return shown.map(([name, value]) => `${name.padEnd(width)}  ${value}`);
}

function commands(runId: string, uses: Readonly<Record<string, string>>): string[] {
  const name = /^[\w.-]+$/.test(runId) ? runId : `"${runId}"`;
  const lines = Object.entries(uses).map(([use, what]) => {
    const [command, ...flags] = use.split(' ');
    return { command: ['runctl', command, name, ...flags].join(' '), what };
  });
  const width = Math.max(...lines.map(({ command }) => command.length));
  return lines.map(({ command, what }) => `${command.padEnd(width)}  # ${what}`);
}

const CONSOLES: Readonly<Record<string, string>> = {
  aws: 'console.aws.amazon.com',
  'aws-cn': 'console.amazonaws.cn',
  'aws-us-gov': 'console.amazonaws-us-gov.com',
};

function places(run: { id: string; arn: string }, more: readonly string[]): string[] {
  const [, partition = '', , region = ''] = run.arn.split(':');
  const host = CONSOLES[partition] ?? CONSOLES.aws;
  const streams = STREAMS_SHOWN.map((job) => logStream(run.id, job)).join(', ');
  return [
    `Console:  https://${region}.${host}/states/home?region=${region}#/v2/executions/details/${run.arn}`,
    `Logs:     ${RUN_LOG_GROUP}, streams ${streams}`,
    ...more,
  ];
}
