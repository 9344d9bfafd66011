import { dollars } from '../cost/price.ts';
import { byHeadline, headlinesIn } from '../metrics/headline.ts';
import { type Series, summarize } from '../metrics/series.ts';
import type { Manifest } from '../outcome/manifest-schema.ts';
import { formatDuration } from '../units.ts';
import { html, page, type SafeHtml, trusted } from './html.ts';
import { lineChart } from './line-chart.ts';
import { entryText, POINTS_OF_MANY, type RunResults, textOf } from './report.ts';
import { formatNumber } from './ticks.ts';

/** At most so many runs in one comparison: more curves than that cannot be told apart. */
export const MOST_COMPARED = 16;

/** One HTML file that compares runs: what differs, and the metrics of all in common charts. */
export function comparison(runs: readonly RunResults[]): string {
  const names = [...new Set(runs.flatMap(({ series }) => series.map(({ name }) => name)))];
  const chosen = [...new Set(runs.flatMap(({ manifest }) => headlinesIn(manifest.spec)))];
  const sorted = byHeadline(
    names.map((name) => ({ name })),
    chosen,
  );
  const cards = sorted.map(({ name }) => {
    const curves = runs.flatMap(({ manifest, series }) =>
      series.filter((one) => one.name === name).map(({ points }) => ({ label: manifest.run.id, points })),
    );
    const drawing = lineChart(curves, {
      title: name,
      width: 460,
      height: 200,
      legend: true,
      mostPoints: POINTS_OF_MANY,
    });
    return html`<section class="card"><h3>${name}</h3>${trusted(drawing)}</section>`;
  });
  const metrics =
    cards.length === 0
      ? html`<p class="quiet">None of the runs has metrics that runctl recognizes.</p>`
      : html`<div class="charts">${cards}</div>`;
  return page(
    `${runs.length} runs`,
    html`<h1>${runs.length} runs</h1>
<h2>What differs</h2>
${differences(runs)}
<h2>Metrics</h2>
${metrics}`,
  );
}

function differences(runs: readonly RunResults[]): SafeHtml {
  const rows = new Map<string, (string | null)[]>();
  runs.forEach(({ manifest, series }, index) => {
    for (const [key, value] of [...describe(manifest), ...lastValues(series, headlinesIn(manifest.spec))]) {
      const row = rows.get(key) ?? Array.from({ length: runs.length }, () => null);
      row[index] = value;
      rows.set(key, row);
    }
  });
  const different = [...rows].filter(([, values]) => new Set(values).size > 1);
  const head = runs.map(({ manifest }) => html`<th scope="col">${manifest.run.id}</th>`);
  const body = different.map(
    ([key, values]) =>
      html`<tr><th scope="row">${key}</th>${values.map((value) => html`<td>${value ?? '–'}</td>`)}</tr>`,
  );
  return html`<div class="wide"><table><thead><tr><td></td>${head}</tr></thead><tbody>${body}</tbody></table></div>`;
}

function describe(manifest: Manifest): [string, string][] {
  const { run, spec, archive, instance, packages: found, cost } = manifest;
  const flags = Object.entries(argValues(spec?.args)).map(([name, value]): [string, string] => [`args.${name}`, value]);
  const env = Object.entries((spec?.env ?? {}) as Record<string, unknown>);
  const rows: [string, string | null][] = [
    ['outcome', manifest.outcome],
    ['name', textOf(spec?.name)],
    ['duration', formatDuration(run.seconds)],
    ['entry', entryText(spec)],
    ...flags,
    ...env.map(([name, value]): [string, string] => [`env.${name}`, String(value)]),
    ['commit', archive?.gitCommit?.slice(0, 12) ?? null],
    ['code', archive?.sha256.slice(0, 12) ?? null],
    ['instance', instance?.type ?? null],
    ['instance cost', cost.instance === null ? null : dollars(cost.instance.usd)],
    ['runctl cost', `$${cost.usd.toFixed(4)}`],
    ...Object.entries(found).map(([name, version]): [string, string] => [`package ${name}`, version]),
  ];
  return rows.filter((row): row is [string, string] => row[1] !== null);
}

function lastValues(series: readonly Series[], chosen: readonly string[]): [string, string][] {
  return byHeadline(series, chosen).map((one) => {
    const { last, gap } = summarize(one);
    return [`metric.${one.name}`, last === null ? (gap ?? '–') : formatNumber(last)];
  });
}

/** `--lr 0.1 --epochs=3 --amp data` as names and values; words without a name are `0`, `1`, … */
export function argValues(args: unknown): Record<string, string> {
  const words = Array.isArray(args) ? args.map(String) : [];
  const found: Record<string, string> = {};
  let unnamed = 0;
  for (let index = 0; index < words.length; index += 1) {
    const word = words[index] ?? '';
    const [, name, value] = /^--?([A-Za-z][\w.-]*)(?:=(.*))?$/s.exec(word) ?? [];
    if (name === undefined) {
      found[String(unnamed++)] = word;
      continue;
    }
    const next = words[index + 1];
    const isFlag = value === undefined && (next === undefined || /^--?[A-Za-z]/.test(next));
    found[name] = value ?? (isFlag ? 'true' : (next ?? ''));
    if (value === undefined && !isFlag) index += 1;
  }
  return found;
}
