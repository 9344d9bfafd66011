import { Duration } from 'aws-cdk-lib';
import { Alarm, ComparisonOperator, type IMetric, TreatMissingData } from 'aws-cdk-lib/aws-cloudwatch';
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions';
import type { ITopic } from 'aws-cdk-lib/aws-sns';
import type { IQueue } from 'aws-cdk-lib/aws-sqs';
import type { Construct } from 'constructs';
import { STACK_NAME } from '../../core/names.ts';
import { runMetric } from './metrics.ts';

/** What somebody should look at. They tell over the same topic as runs do. */
export function createAlarms(
  scope: Construct,
  props: { deadLetters: IQueue; topic: ITopic; silentMinutes: number },
): Alarm[] {
  const { deadLetters, topic, silentMinutes } = props;
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
  const letters = deadLetters.metricApproximateNumberOfMessagesVisible({
    statistic: 'Maximum',
    period: Duration.minutes(5),
  });
  return [
    alarm(
      'failed-run',
      runMetric('failed', { statistic: 'Sum' }),
      1,
      'A run failed. What to do: the notification of that run, or npx runctl list. Runs that were stopped or skipped do not count.',
    ),
    alarm(
      'dead-letter',
      letters,
      1,
      'An event could not be handled: an upload may have no run, or an ended run was not cleared up. What to do: docs/runbook.md, Dead letters.',
    ),
    alarm(
      'silent-run',
      runMetric('silence', { statistic: 'Maximum' }),
      silentMinutes * 60,
      `A job has written no log for ${silentMinutes} minutes. What to do: npx runctl list, then npx runctl logs <run> --live.`,
    ),
  ];
}
