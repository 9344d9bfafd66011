import { byHeadline } from '../../core/metrics/headline.ts';
import type { MetricsParser } from '../../core/metrics/parser.ts';
import { SeriesSet, summarize } from '../../core/metrics/series.ts';
import { lineChart } from '../../core/report/line-chart.ts';
import type { MetricsView, MetricView } from './view.ts';

const SIZE = { width: 460, height: 180 };

/** The metrics of a training, drawn once for all pages that show them. */
export class MetricCurves {
  readonly #series = new SeriesSet();
  readonly #chosen: () => readonly string[];
  #count = 0;
  #drawn: { readonly count: number; readonly views: readonly MetricView[] } = { count: 0, views: [] };

  /** @param chosen the headline metrics of the run's spec */
  constructor(chosen: () => readonly string[] = () => []) {
    this.#chosen = chosen;
  }

  add(points: ReturnType<MetricsParser['push']>): void {
    this.#series.add(points);
    this.#count += points.length;
  }

  /** @param known the version that the page has */
  view(known: string): MetricsView {
    const version = String(this.#count);
    if (version === known) return { version, series: null };
    if (this.#drawn.count !== this.#count) this.#drawn = { count: this.#count, views: this.#draw() };
    return { version, series: this.#drawn.views };
  }

  #draw(): MetricView[] {
    return byHeadline(this.#series.all(), this.#chosen()).map((one) => {
      const drawing = lineChart([{ label: one.name, points: one.points }], { title: one.name, ...SIZE });
      return { ...summarize(one), svg: drawing };
    });
  }
}
