import { type Dirent, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import {
  CloudWatchLogsClient,
  paginateDescribeLogGroups,
  paginateFilterLogEvents,
} from '@aws-sdk/client-cloudwatch-logs';
import { paginateListObjectsV2, S3Client } from '@aws-sdk/client-s3';
import { ListStateMachinesCommand, paginateListExecutions, SFNClient } from '@aws-sdk/client-sfn';
import { RUN_LOG_GROUP, RUN_PREFIX } from '../../../core/names.ts';
import type { Cloud, EndedRun } from './cloud.ts';

/** Everything that a run leaves behind, as text by location, to search for secrets. */
export async function tracesOf(cloud: Cloud, run: EndedRun): Promise<Map<string, string>> {
  const traces = new Map<string, string>();
  for (const [name, text] of await histories(cloud, run)) traces.set(`history ${name}`, text);
  for (const [name, text] of await logGroups(cloud, run)) traces.set(`log group ${name}`, text);
  for (const [name, text] of await objects(cloud, run)) traces.set(`object ${name}`, text);
  for (const folder of [cloud.runFolder(run.id), join(cloud.root, 'lease'), join(cloud.home, '.runctl')]) {
    for (const path of files(folder)) traces.set(`file ${path}`, readFileSync(path, 'utf8'));
  }
  return traces;
}

/** The locations that contain a text. */
export function placesOf(text: string, traces: ReadonlyMap<string, string>): string[] {
  return [...traces].filter(([, trace]) => trace.includes(text)).map(([place]) => place);
}

/** The histories of the run and of its nested watches. */
async function histories(cloud: Cloud, run: EndedRun): Promise<[string, string][]> {
  const sfn = cloud.client(SFNClient);
  const { stateMachines = [] } = await sfn.send(new ListStateMachinesCommand({}));
  const found: [string, string][] = [[run.id, run.history]];
  for (const { stateMachineArn } of stateMachines.filter((machine) => machine.stateMachineArn !== cloud.machine)) {
    for await (const { executions = [] } of paginateListExecutions({ client: sfn }, { stateMachineArn })) {
      const nested = executions.filter(({ name }) => name?.startsWith(run.id.slice(0, 47)));
      for (const { name = '', executionArn = '' } of nested)
        found.push([name, JSON.stringify(await cloud.history(executionArn))]);
    }
  }
  return found;
}

/** The run's log streams, and the logs of the functions, which contain all runs. */
async function logGroups(cloud: Cloud, run: EndedRun): Promise<[string, string][]> {
  const client = cloud.client(CloudWatchLogsClient);
  const found: [string, string][] = [];
  for await (const { logGroups: groups = [] } of paginateDescribeLogGroups({ client }, {})) {
    for (const { logGroupName = '' } of groups) {
      const messages: string[] = [];
      // The emulator answers with 10,000 events at most, and other tests write more.
      const own = logGroupName === RUN_LOG_GROUP ? { logStreamNamePrefix: `${run.id}/` } : {};
      for await (const page of paginateFilterLogEvents({ client }, { logGroupName, ...own }))
        messages.push(...(page.events ?? []).map(({ message }) => message ?? ''));
      found.push([logGroupName, messages.join('\n')]);
    }
  }
  return found;
}

async function objects(cloud: Cloud, run: EndedRun): Promise<[string, string][]> {
  const client = cloud.client(S3Client);
  const found: [string, string][] = [];
  const pages = paginateListObjectsV2({ client }, { Bucket: cloud.bucket, Prefix: `${RUN_PREFIX}${run.id}/` });
  for await (const { Contents = [] } of pages) {
    for (const { Key = '' } of Contents) {
      const body = await cloud.object(Key);
      if (body !== null) found.push([Key, (Key.endsWith('.gz') ? gunzipSync(body) : body).toString('latin1')]);
    }
  }
  return found;
}

function files(folder: string): string[] {
  const entries: Dirent[] = readdirSync(folder, { withFileTypes: true, recursive: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}
