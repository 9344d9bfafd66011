import { Readable } from 'node:stream';
import type { CloudWatchLogsClient } from '@aws-sdk/client-cloudwatch-logs';
import type { S3Client } from '@aws-sdk/client-s3';
import type { HistoryEvent, SFNClient } from '@aws-sdk/client-sfn';
import type { Execution } from '../../../aws/executions.ts';
import type { StateEvent } from '../../../core/workflow/history.ts';
import { awsError, fakeClient } from './sdk-client.ts';

/** Events per page: so few that every reader must handle pagination. */
const PAGE = 2;

/** Step Functions with these executions. It answers in pages, and with an error for unknown executions. */
export function memoryStepFunctions(
  executions: ReadonlyMap<string, Execution>,
  histories: ReadonlyMap<string, readonly StateEvent[]>,
) {
  const names = new Set<string>();
  const page = <T>(all: readonly T[], token: unknown) => {
    const start = Number(token ?? 0);
    const nextToken = start + PAGE < all.length ? String(start + PAGE) : undefined;
    return { items: all.slice(start, start + PAGE), nextToken };
  };
  return fakeClient<SFNClient>({
    StartExecutionCommand({ name }) {
      if (names.has(String(name))) return awsError('ExecutionAlreadyExists');
      names.add(String(name));
      return {};
    },
    StopExecutionCommand: ({ executionArn }) =>
      executions.has(String(executionArn)) ? {} : awsError('ExecutionDoesNotExist'),
    DescribeExecutionCommand({ executionArn }) {
      const found = executions.get(String(executionArn));
      return found ? toDescribed(found) : awsError('ExecutionDoesNotExist');
    },
    ListExecutionsCommand({ statusFilter, nextToken }) {
      // Latest first: running ones by their start, ended ones by their end.
      const all = [...executions.values()]
        .filter(({ status }) => statusFilter === undefined || status === statusFilter)
        .sort((a, b) => (b.endedAt ?? b.startedAt) - (a.endedAt ?? a.startedAt));
      const { items, ...next } = page(all.map(toDescribed), nextToken);
      return { executions: items, ...next };
    },
    GetExecutionHistoryCommand({ executionArn, nextToken, reverseOrder, includeExecutionData }) {
      if (!executions.has(String(executionArn))) return awsError('ExecutionDoesNotExist');
      const all = (histories.get(String(executionArn)) ?? []).flatMap((event) =>
        toHistoryEvents(event, includeExecutionData !== false),
      );
      const { items, ...next } = page(reverseOrder ? all.reverse() : all, nextToken);
      return { events: items, ...next };
    },
  }).client;
}

function toDescribed({ arn, startedAt, endedAt, input, output, error, cause, ...rest }: Execution) {
  const end = endedAt === null ? {} : { stopDate: new Date(endedAt) };
  return {
    ...rest,
    ...Object.fromEntries(Object.entries({ input, output, error, cause }).filter(([, value]) => value !== null)),
    executionArn: arn,
    startDate: new Date(startedAt),
    ...end,
  };
}

/** A state's event, preceded by one of its task, which names no state. */
function toHistoryEvents({ kind, state, at, output }: StateEvent, withData: boolean): HistoryEvent[] {
  const timestamp = new Date(at);
  const details = { name: state, ...(withData && output !== null ? { output } : {}) };
  const event: Partial<HistoryEvent> =
    kind === 'entered'
      ? { type: 'TaskStateEntered', stateEnteredEventDetails: { name: state } }
      : { type: 'TaskStateExited', stateExitedEventDetails: details };
  return [{ type: 'TaskSucceeded', id: 1, timestamp }, { id: 2, timestamp, ...event } as HistoryEvent];
}

/** S3 with one bucket that has no versions. */
export function memoryS3(objects: Map<string, Uint8Array>) {
  return spiedS3(objects).client;
}

/** The same, with the commands that it was sent. */
export function spiedS3(objects: Map<string, Uint8Array>) {
  const uploads = new Map<string, Uint8Array[]>();
  return fakeClient<S3Client>({
    HeadObjectCommand: ({ Key }) => (objects.has(String(Key)) ? {} : awsError('NotFound')),
    GetObjectCommand({ Key }) {
      const object = objects.get(String(Key));
      return object ? { Body: bodyOf(object), ContentLength: object.length } : awsError('NoSuchKey');
    },
    PutObjectCommand({ Key, Body, IfNoneMatch }) {
      if (IfNoneMatch === '*' && objects.has(String(Key))) return awsError('PreconditionFailed');
      objects.set(String(Key), Body instanceof Uint8Array ? Body : Buffer.from(String(Body)));
      return {};
    },
    CreateMultipartUploadCommand() {
      const UploadId = `upload-${uploads.size}`;
      uploads.set(UploadId, []);
      return { UploadId };
    },
    UploadPartCommand({ UploadId, PartNumber, Body }) {
      uploads.get(String(UploadId))?.splice(Number(PartNumber) - 1, 1, Body as Uint8Array);
      return { ETag: `part-${PartNumber}` };
    },
    CompleteMultipartUploadCommand({ Key, UploadId, MultipartUpload }) {
      const { Parts } = MultipartUpload as { Parts: { PartNumber: number; ETag: string }[] };
      const parts = uploads.get(String(UploadId));
      const isInOrder = Parts.every(
        ({ PartNumber, ETag }, index) => PartNumber === index + 1 && ETag === `part-${PartNumber}`,
      );
      if (!parts || Parts.length !== parts.length || !isInOrder) return awsError('InvalidPart');
      objects.set(String(Key), Buffer.concat(parts));
      uploads.delete(String(UploadId));
      return {};
    },
    AbortMultipartUploadCommand({ UploadId }) {
      return uploads.delete(String(UploadId)) ? {} : awsError('NoSuchUpload');
    },
  });
}

function bodyOf(object: Uint8Array) {
  const body = Readable.from([Buffer.from(object)], { objectMode: false });
  return Object.assign(body, {
    transformToByteArray: async () => object,
    transformToString: async () => Buffer.from(object).toString('utf8'),
  });
}

/** CloudWatch Logs with one group, which returns events in pages of two. */
export function memoryLogs() {
  const streams = new Map<string, { message: string; timestamp: number }[]>();
  return fakeClient<CloudWatchLogsClient>({
    CreateLogStreamCommand({ logStreamName }) {
      streams.set(String(logStreamName), []);
      return {};
    },
    PutLogEventsCommand({ logStreamName, logEvents }) {
      const stream = streams.get(String(logStreamName));
      if (!stream) return awsError('ResourceNotFoundException');
      stream.push(...(logEvents as typeof stream));
      return {};
    },
    GetLogEventsCommand({ logStreamName, startTime, nextToken }) {
      const stream = streams.get(String(logStreamName));
      if (!stream) return awsError('ResourceNotFoundException');
      const start = Number(nextToken ?? 0);
      const events = stream.filter(({ timestamp }) => timestamp >= Number(startTime)).slice(start, start + PAGE);
      return { events, nextForwardToken: String(start + events.length) };
    },
  }).client;
}
