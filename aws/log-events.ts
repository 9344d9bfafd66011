import {
  type CloudWatchLogsClient,
  GetLogEventsCommand,
  type GetLogEventsCommandInput,
  type GetLogEventsCommandOutput,
} from '@aws-sdk/client-cloudwatch-logs';
import { unless, withSignal } from './errors.ts';

/** One page of a log stream; null: there is no such stream, or no group. The end is where the token repeats: a page may be empty before it. */
export async function getLogEvents(
  logs: Pick<CloudWatchLogsClient, 'send'>,
  input: Omit<GetLogEventsCommandInput, 'logGroupIdentifier'>,
  signal?: AbortSignal,
): Promise<GetLogEventsCommandOutput | null> {
  const sent = logs.send(new GetLogEventsCommand(input), withSignal(signal));
  return unless(
    ['ResourceNotFoundException'],
    `logs:GetLogEvents of ${input.logGroupName} ${input.logStreamName}`,
    sent,
  );
}
