import {
  CloudWatchLogsClient,
  CreateLogGroupCommand,
  CreateLogStreamCommand,
  PutLogEventsCommand,
} from '@aws-sdk/client-cloudwatch-logs';
import { RunError } from '../core/errors.ts';
import type { LogStore } from '../core/job/shipping-attempt.ts';
import { checkBatch, toBatches } from '../core/logs/batching.ts';
import { errorName, toAwsError } from './errors.ts';
import { getLogEvents } from './log-events.ts';
import { CLIENT_SETTINGS } from './settings.ts';

export function createLogStore(logGroup: string): LogStore {
  // A PutLogEvents whose answer was lost may have been carried out, and would double the lines if the SDK sent it again:
  // the state's own retry first reads back what the stream has.
  const once = new CloudWatchLogsClient({ ...CLIENT_SETTINGS, maxAttempts: 1 });
  return logStoreOver({ logs: new CloudWatchLogsClient(CLIENT_SETTINGS), once, now: Date.now }, logGroup);
}

/** What of the SDK is used. `logs` repeats a call that failed, `once` does not. */
export interface LogClients {
  readonly logs: Pick<CloudWatchLogsClient, 'send'>;
  readonly once: Pick<CloudWatchLogsClient, 'send'>;
  /** Epoch milliseconds. */
  readonly now: () => number;
}

export function logStoreOver({ logs, once, now }: LogClients, logGroupName: string): LogStore {
  async function putBatch(logStreamName: string, batch: readonly string[], timestamp: number): Promise<void> {
    checkBatch(batch, timestamp, now());
    const logEvents = batch.map((message) => ({ message, timestamp }));
    const command = new PutLogEventsCommand({ logGroupName, logStreamName, logEvents });
    const answer = await once.send(command);
    const rejected = answer.rejectedLogEventsInfo;
    // Comes inside HTTP 200: the events are not there.
    if (rejected)
      throw new RunError(
        'ServiceUnavailable',
        `CloudWatch Logs rejected events of ${logStreamName}: ${JSON.stringify(rejected)}`,
      );
  }

  /** Also the group, when somebody has deleted it: a run's log must go somewhere. */
  async function createStream(logStreamName: string): Promise<void> {
    const stream = () => unlessThere(() => logs.send(new CreateLogStreamCommand({ logGroupName, logStreamName })));
    try {
      await stream();
    } catch (error) {
      if (errorName(error) !== 'ResourceNotFoundException') throw error;
      await unlessThere(() => logs.send(new CreateLogGroupCommand({ logGroupName })));
      await stream();
    }
  }

  return {
    async put(stream, messages, time) {
      try {
        for (const batch of toBatches(messages)) {
          try {
            await putBatch(stream, batch, time);
          } catch (error) {
            if (errorName(error) !== 'ResourceNotFoundException') throw error;
            await createStream(stream);
            await putBatch(stream, batch, time);
          }
        }
      } catch (error) {
        throw toAwsError(error, `logs:PutLogEvents to ${logGroupName} ${stream}`);
      }
    },

    async after(logStreamName, time) {
      let bytes = 0;
      let last = time;
      let nextToken: string | undefined;
      for (;;) {
        const place = { logGroupName, logStreamName, startTime: time + 1, startFromHead: true, nextToken };
        const page = await getLogEvents(logs, place);
        for (const { timestamp = 0, message = '' } of page?.events ?? []) {
          if (timestamp <= time) continue;
          bytes += Buffer.byteLength(message);
          last = Math.max(last, timestamp);
        }
        const next = page?.nextForwardToken;
        if (next === undefined || next === nextToken) return { bytes, last };
        nextToken = next;
      }
    },
  };
}

async function unlessThere(create: () => Promise<unknown>): Promise<void> {
  try {
    await create();
  } catch (error) {
    if (errorName(error) !== 'ResourceAlreadyExistsException') throw error;
  }
}
