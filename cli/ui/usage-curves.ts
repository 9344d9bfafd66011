import type { UsageSample } from '../../core/protocol/answers.ts';
import { lineChart } from '../../core/report/line-chart.ts';
import type { CurveView, UsageView } from './view.ts';

/** Samples that are kept: of one in 10 s, those of 11 days. */
const MAX_SAMPLES = 100_000;
const SIZE = { width: 460, height: 160 };

/** What a curve shows of a sample. */
export interface Sample extends Pick<UsageSample, 'time' | 'cpuPercent' | 'memoryUsedBytes' | 'memoryTotalBytes'> {
  readonly gpus: readonly Pick<
    UsageSample['gpus'][number],
    'index' | 'utilizationPercent' | 'memoryUsedBytes' | 'memoryTotalBytes'
  >[];
}

type Value = (sample: Sample) => number | null;

/** Collects samples, and draws them once for all pages that show them. */
export class UsageCurves {
  #samples: Sample[] = [];
  #drawn: { readonly last: number; readonly curves: readonly CurveView[] } = { last: 0, curves: [] };

  /** A sample that is known already, or older, changes nothing. */
  add(sample: Sample | null): void {
    if (sample === null || sample.time <= (this.#samples.at(-1)?.time ?? 0)) return;
    this.#samples.push(sample);
    if (this.#samples.length > MAX_SAMPLES) this.#samples = this.#samples.slice(-MAX_SAMPLES / 2);
  }

  /** @param known the version that the page has. null: nothing was measured yet */
  view(known: string): UsageView | null {
    const last = this.#samples.at(-1);
    if (last === undefined) return null;
    const version = String(last.time);
    if (this.#drawn.last !== last.time) this.#drawn = { last: last.time, curves: this.#draw(last) };
    return {
      version,
      at: last.time * 1_000,
      gpus: last.gpus.map(({ utilizationPercent }) => utilizationPercent),
      cpuPercent: last.cpuPercent,
      memoryPercent: share(last.memoryUsedBytes, last.memoryTotalBytes),
      curves: version === known ? null : this.#drawn.curves,
    };
  }

  #draw(last: Sample): CurveView[] {
    const gpuOf = (sample: Sample, index: number) => sample.gpus.find((gpu) => gpu.index === index);
    const gpus = last.gpus.map(({ index }) => index);
    const machine = [
      this.#curve('CPU and memory of the instance', [
        ['CPU', ({ cpuPercent }) => cpuPercent],
        ['memory', ({ memoryUsedBytes, memoryTotalBytes }) => share(memoryUsedBytes, memoryTotalBytes)],
      ]),
    ];
    if (gpus.length === 0) return machine;
    const memory = (sample: Sample, index: number) => {
      const gpu = gpuOf(sample, index);
      return share(gpu?.memoryUsedBytes ?? null, gpu?.memoryTotalBytes ?? null);
    };
    return [
      this.#curve(
        'GPU',
        gpus.map((index) => [`GPU ${index}`, (sample) => gpuOf(sample, index)?.utilizationPercent ?? null]),
      ),
      this.#curve(
        'GPU memory',
        gpus.map((index) => [`GPU ${index}`, (sample) => memory(sample, index)]),
      ),
      ...machine,
    ];
  }

  #curve(name: string, values: readonly (readonly [string, Value])[]): CurveView {
    const series = values.map(([label, value]) => ({
      label,
      points: this.#samples.map((sample) => ({ time: sample.time * 1_000, value: value(sample) })),
    }));
    const origin = (this.#samples[0]?.time ?? 0) * 1_000;
    return { name, svg: lineChart(series, { title: name, unit: '%', range: [0, 100], origin, ...SIZE }) };
  }
}

function share(used: number | null, total: number | null): number | null {
  return used === null || total === null || total === 0 ? null : (used / total) * 100;
}
