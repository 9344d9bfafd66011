import { compileMetrics, type MetricDefinition } from './custom.ts';
import { MetricsParser } from './parser.ts';

/**
 * The parser for the whole log of a run. Of the run's spec it takes `metrics`, the expressions of people: this is the one place that does.
 * @param spec of the manifest
 * @throws InvalidMetric
 */
export function parserOfRun(spec: Readonly<Record<string, unknown>> | null): MetricsParser {
  const definitions = definitionsOf(spec?.metrics);
  return new MetricsParser(definitions.length === 0 ? {} : { custom: compileMetrics(definitions) });
}

/** The spec was checked when the run began; another version of runctl may have meant something else by the key. */
function definitionsOf(metrics: unknown): MetricDefinition[] {
  if (!Array.isArray(metrics)) return [];
  return metrics.filter(
    (one: unknown): one is MetricDefinition =>
      typeof one === 'object' &&
      one !== null &&
      typeof (one as Partial<MetricDefinition>).name === 'string' &&
      typeof (one as Partial<MetricDefinition>).regex === 'string',
  );
}
