import { CloudWatchClient, PutMetricDataCommand } from '@aws-sdk/client-cloudwatch';
import { METRIC_NAMESPACE, type Metric } from '../core/notify/metrics.ts';
import { withAwsErrors } from './errors.ts';
import { CLIENT_SETTINGS, IMPATIENT } from './settings.ts';

/** Writes metrics, all in one call; none is no call. */
export type Measure = (metrics: readonly Metric[]) => Promise<void>;

export function createMeasure(): Measure {
  return measureOver(new CloudWatchClient(CLIENT_SETTINGS));
}

/** For steps of a run, which have other work to do. */
export function createImpatientMeasure(): Measure {
  return measureOver(new CloudWatchClient({ ...CLIENT_SETTINGS, ...IMPATIENT }));
}

export function measureOver(cloudWatch: Pick<CloudWatchClient, 'send'>): Measure {
  return async (metrics) => {
    if (metrics.length === 0) return;
    const MetricData = metrics.map(({ name, value, unit, outcome, project }) => ({
      MetricName: name,
      Value: value,
      Unit: unit,
      ...(outcome ? { Dimensions: [{ Name: 'Outcome', Value: outcome }] } : {}),
      ...(project ? { Dimensions: [{ Name: 'Project', Value: project }] } : {}),
    }));
    const command = new PutMetricDataCommand({ Namespace: METRIC_NAMESPACE, MetricData });
    await withAwsErrors(`cloudwatch:PutMetricData to ${METRIC_NAMESPACE}`, cloudWatch.send(command));
  };
}
