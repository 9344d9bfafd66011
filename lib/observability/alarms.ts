import { Duration } from 'aws-cdk-lib';
import { Alarm, ComparisonOperator, type IMetric, TreatMissingData } from 'aws-cdk-lib/aws-cloudwatch';
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions';
import type { ITopic } from 'aws-cdk-lib/aws-sns';
import type { IQueue } from 'aws-cdk-lib/aws-sqs';
import type { Construct } from 'constructs';
import { STACK_NAME } from '../../core/names.ts';
import { runMetric } from './metrics.ts';

/** Alarms for what a person should look into. They publish to the topic of the runs' notifications. */
export function createAlarms(
  scope: Construct,
  props: { deadLetters: IQueue; summaryDeadLetters: IQueue; topic: ITopic; silentMinutes: number },
): Alarm[] {
  const { deadLetters, summaryDeadLetters, topic, silentMinutes } = props;
  const alarm = (name: string, metric: IMetric, threshold: number, alarmDescription: string) => {
    const created = new Alarm(scope, `Alarm-${name}`, {
      alarmName: `${STACK_NAME}-${name}`,
      alarmDescription,
      metric,
      threshold,
      evaluationPeriods: 1,
      comparisonOperator: ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
      // Nothing is written while nothing runs.
      treatMissingData: TreatMissingData.NOT_BREACHING,
    });
    created.addAlarmAction(new SnsAction(topic));
    return created;
  };
  const messagesOf = (queue: IQueue) =>
    queue.metricApproximateNumberOfMessagesVisible({ statistic: 'Maximum', period: Duration.minutes(5) });
  return [
    alarm(
      'failed-run',
      runMetric('failed', { statistic: 'Sum' }),
      1,
      'A run failed. Runs that were stopped or skipped do not count. Next: read the notification of that run, or run: runctl list.',
    ),
    alarm(
      'dead-letter',
      messagesOf(deadLetters),
      1,
      'An event could not be processed: an upload may not have started a run, or an ended run may not have been cleaned up. Next: docs/reference/errors.md, Dead letters.',
    ),
    alarm(
      'summary-dead-letter',
      messagesOf(summaryDeadLetters),
      1,
      'The metrics, the report or the summary of a run could not be stored. The run itself is not affected. Next: docs/reference/errors.md, Dead letters.',
    ),
    alarm(
      'silent-run',
      runMetric('silence', { statistic: 'Maximum' }),
      silentMinutes * 60,
      `A job has not written to its log for ${silentMinutes} minutes. Next: runctl list, then runctl logs <run> --live.`,
    ),
    alarm(
      'checkpoints-behind',
      // Written only by uploads that fall behind.
      runMetric('checkpointLag', { statistic: 'Maximum' }),
      1,
      'The upload of a checkpoint has taken longer than two intervals between checkpoints. Next: docs/reference/errors.md, Checkpoints fall behind.',
    ),
  ];
}
