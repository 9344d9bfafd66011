import { Aws, type Duration, Stack } from 'aws-cdk-lib';
import {
  AlarmStatusWidget,
  Dashboard,
  GraphWidget,
  type IAlarm,
  type IMetric,
  MathExpression,
  SingleValueWidget,
  TextWidget,
} from 'aws-cdk-lib/aws-cloudwatch';
import type { IQueue } from 'aws-cdk-lib/aws-sqs';
import type { Construct } from 'constructs';
import { OUTCOMES } from '../../core/errors.ts';
import { RUN_LOG_GROUP, STACK_NAME } from '../../core/names.ts';
import type { METRICS } from '../../core/notify/metrics.ts';
import { HOUR, runMetric } from './metrics.ts';

/** Columns of a dashboard are 24. */
const THIRD = { width: 8, height: 6 };

/** The CloudWatch dashboard `runctl-<region>`: how runs end, and what delays them. */
export function createDashboard(
  scope: Construct,
  props: { machineArn: string; deadLetters: IQueue; summaryDeadLetters: IQueue; alarms: readonly IAlarm[] },
): Dashboard {
  const dashboard = new Dashboard(scope, 'Dashboard', {
    // Dashboards belong to the account, not to a region.
    dashboardName: `${STACK_NAME}-${Aws.REGION}`,
  });
  const graph = (title: string, left: IMetric[], extra: object = {}) =>
    new GraphWidget({ ...THIRD, title, left, leftYAxis: { min: 0 }, ...extra });
  const times = (metric: keyof typeof METRICS): IMetric[] =>
    ['p50', 'Maximum'].map((statistic) => runMetric(metric, { statistic, period: HOUR, label: statistic }));
  const running = new MathExpression({
    // The metric is written when it changes, so the last value holds until the next.
    expression: 'FILL(m, REPEAT)',
    usingMetrics: { m: runMetric('running', { statistic: 'Maximum' }) },
    label: 'runs',
  });
  dashboard.addWidgets(
    new SingleValueWidget({
      ...THIRD,
      title: 'Running now, waiting runs included',
      metrics: [running],
      sparkline: true,
    }),
    graph(
      'Runs by outcome',
      OUTCOMES.map((outcome) => outcomes(outcome, HOUR)),
      { stacked: true },
    ),
    new AlarmStatusWidget({ ...THIRD, title: 'Alarms', alarms: [...props.alarms] }),
  );
  dashboard.addWidgets(
    graph('Duration of runs, s', times('duration')),
    graph('Install, s', times('install')),
    graph('Wait for the instance, s', times('queue')),
  );
  dashboard.addWidgets(
    graph('Polls without an answer', [runMetric('pollFailures', { statistic: 'Sum', period: HOUR })]),
    graph('Longest time without log, s', [runMetric('silence', { statistic: 'Maximum' })]),
    graph('Dead letters', [
      props.deadLetters.metricApproximateNumberOfMessagesVisible({ statistic: 'Maximum', label: 'of runs' }),
      props.summaryDeadLetters.metricApproximateNumberOfMessagesVisible({
        statistic: 'Maximum',
        label: 'of summaries',
      }),
    ]),
  );
  dashboard.addWidgets(
    graph('Uploads of checkpoints that fall behind, s', [runMetric('checkpointLag', { statistic: 'Maximum' })]),
  );
  dashboard.addWidgets(new TextWidget({ width: 24, height: 2, markdown: links(scope, props.machineArn) }));
  return dashboard;
}

function outcomes(outcome: (typeof OUTCOMES)[number], period: Duration): IMetric {
  return runMetric('ended', { statistic: 'Sum', period, label: outcome, dimensionsMap: { Outcome: outcome } });
}

function links(scope: Construct, machineArn: string): string {
  const { region } = Stack.of(scope);
  // The console's own escape for a slash in a log group's name.
  const logGroup = encodeURIComponent(encodeURIComponent(RUN_LOG_GROUP)).replaceAll('%', '$');
  return [
    `[Runs](/states/home?region=${region}#/statemachines/view/${machineArn})`,
    `[Logs](/cloudwatch/home?region=${region}#logsV2:log-groups/log-group/${logGroup})`,
    'Errors and what to do: docs/reference/errors.md',
  ].join(' · ');
}
