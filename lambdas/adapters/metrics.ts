import { CloudWatchClient, PutMetricDataCommand } from '@aws-sdk/client-cloudwatch';
import { METRIC_NAMESPACE, type Metric } from '../../core/notify/metrics.ts';
import { CLIENT_SETTINGS, IMPATIENT, translate } from './aws-errors.ts';
import { logger } from './logger.ts';

/** Writes metrics, all in one call; none is no call. */
export type Measure = (metrics: readonly Metric[]) => Promise<void>;

export function createMeasure(): Measure {
  return measureOver(new CloudWatchClient(CLIENT_SETTINGS));
}

/** For steps of a run: it has other work than to be measured. */
export function createQuietMeasure(): Measure {
  return quietly(measureOver(new CloudWatchClient({ ...CLIENT_SETTINGS, ...IMPATIENT })));
}

export function measureOver(cloudWatch: Pick<CloudWatchClient, 'send'>): Measure {
  return async (metrics) => {
    if (metrics.length === 0) return;
    const MetricData = metrics.map(({ name, value, unit, outcome }) => ({
      MetricName: name,
      Value: value,
      Unit: unit,
      ...(outcome ? { Dimensions: [{ Name: 'Outcome', Value: outcome }] } : {}),
    }));
    try {
      await cloudWatch.send(new PutMetricDataCommand({ Namespace: METRIC_NAMESPACE, MetricData }));
    } catch (error) {
      throw translate(error, `cloudwatch:PutMetricData to ${METRIC_NAMESPACE}`);
    }
  };
}

export function quietly(measure: Measure): Measure {
  return async (metrics) => {
    try {
      await measure(metrics);
    } catch (error) {
      logger.warn('not measured', error as Error);
    }
  };
}
