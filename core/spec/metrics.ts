import * as z from 'zod/mini';
import { badMetricName, badRegexes, MAX_DEFINITIONS, MAX_REGEX_CHARACTERS } from '../metrics/custom.ts';
import { MAX_HEADLINES } from '../metrics/headline.ts';

const metricName = z.string().check(
  z.refine((name) => badMetricName(name) === null, {
    error: ({ input }) => badMetricName(String(input)) ?? '',
  }),
  z.describe('Name of a metric.'),
);

/** The spec's `metrics`: metrics that people describe, with the limits that SageMaker has. */
export const metricsSchema = z
  .array(
    z.strictObject({
      name: metricName,
      regex: z
        .string()
        .check(
          z.minLength(1, 'is empty'),
          z.maxLength(MAX_REGEX_CHARACTERS, `has more than ${MAX_REGEX_CHARACTERS} characters`),
          z.describe('RE2 expression; its first group is the value.'),
        ),
    }),
  )
  .check(
    // Expressions beyond the limits are not compiled: that takes time.
    z.maxLength(MAX_DEFINITIONS, { error: `has more than ${MAX_DEFINITIONS} items`, abort: true }),
    (payload) => {
      if (payload.issues.length > 0) return;
      for (const { index, problem } of badRegexes(payload.value))
        payload.issues.push({ code: 'custom', input: payload.value, path: [index, 'regex'], message: problem });
    },
    z.describe('Metrics in the log that runctl does not recognize by itself, each with a name and an RE2 expression.'),
  );

/** The spec's `headline`: the metrics that stand for a training, the most important one first. */
export const headlineSchema = z.array(metricName).check(
  z.maxLength(MAX_HEADLINES, `has more than ${MAX_HEADLINES} items`),
  z.refine((names) => new Set(names).size === names.length, 'has a name twice'),
  z.describe('The metrics that lists show first, and that CloudWatch gets for alarms. Three at most.'),
);
