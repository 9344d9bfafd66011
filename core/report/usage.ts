import type { UsageSample } from '../protocol/answers.ts';
import type { ChartPoint } from './line-chart.ts';

/** A chart of what the instance did over the time of the training. */
export interface UsageChart {
  readonly title: string;
  readonly unit: '%' | 'bytes' | 'W';
  readonly curves: readonly { readonly label: string; readonly points: readonly ChartPoint[] }[];
}

/** The charts of a series of samples; none without samples. */
export function usageCharts(samples: readonly UsageSample[]): UsageChart[] {
  if (samples.length === 0) return [];
  const curve = (label: string, value: (sample: UsageSample) => number | null | undefined) => ({
    label,
    points: samples.map((sample) => ({ time: sample.time * 1_000, value: value(sample) ?? null })),
  });
  const gpus = [...new Set(samples.flatMap((sample) => sample.gpus.map(({ index }) => index)))].sort((a, b) => a - b);
  const ofGpus = (value: (gpu: UsageSample['gpus'][number]) => number | null) =>
    gpus.map((index) =>
      curve(`GPU ${index}`, (sample) => {
        const gpu = sample.gpus.find((one) => one.index === index);
        return gpu === undefined ? null : value(gpu);
      }),
    );
  const charts: UsageChart[] = [
    { title: 'GPU utilization', unit: '%', curves: ofGpus((gpu) => gpu.utilizationPercent) },
    { title: 'GPU memory', unit: 'bytes', curves: ofGpus((gpu) => gpu.memoryUsedBytes) },
    { title: 'GPU power', unit: 'W', curves: ofGpus((gpu) => gpu.powerWatts) },
    {
      title: 'CPU',
      unit: '%',
      curves: [curve('instance', ({ cpuPercent }) => cpuPercent), curve('training', ({ job }) => job.cpuPercent)],
    },
    {
      title: 'Memory',
      unit: 'bytes',
      curves: [
        curve('instance', ({ memoryUsedBytes }) => memoryUsedBytes),
        curve('training', ({ job }) => job.memoryBytes),
      ],
    },
    {
      title: 'Disk, per second',
      unit: 'bytes',
      curves: [
        curve('read', ({ diskReadBytesPerS }) => diskReadBytesPerS),
        curve('written', ({ diskWriteBytesPerS }) => diskWriteBytesPerS),
      ],
    },
    {
      title: 'Network, per second',
      unit: 'bytes',
      curves: [
        curve('in', ({ networkInBytesPerS }) => networkInBytesPerS),
        curve('out', ({ networkOutBytesPerS }) => networkOutBytesPerS),
      ],
    },
  ];
  return charts.filter(({ curves }) => curves.some(({ points }) => points.some(({ value }) => value !== null)));
}
