import { Duration } from 'aws-cdk-lib';
import { Metric, type MetricOptions } from 'aws-cdk-lib/aws-cloudwatch';
import { METRIC_NAMESPACE, METRICS } from '../../core/notify/metrics.ts';

export const HOUR = Duration.hours(1);

/** A metric that the functions write; the period is five minutes by default. */
export function runMetric(name: keyof typeof METRICS, options: MetricOptions): Metric {
  return new Metric({
    namespace: METRIC_NAMESPACE,
    metricName: METRICS[name],
    period: Duration.minutes(5),
    ...options,
  });
}
