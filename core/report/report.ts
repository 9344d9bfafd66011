import { costLine, maxCostOf } from '../cost/cost-line.ts';
import { byHeadline, headlinesIn } from '../metrics/headline.ts';
import type { Series } from '../metrics/series.ts';
import { summarize } from '../metrics/series.ts';
import type { Manifest } from '../outcome/manifest-schema.ts';
import { sentText } from '../sent.ts';
import { formatDuration, formatSize } from '../units.ts';
import { ENDINGS, isFailure } from '../workflow/vocabulary.ts';
import { html, page, type SafeHtml, trusted } from './html.ts';
import { lineChart } from './line-chart.ts';
import { extent, formatNumber } from './ticks.ts';
import type { UsageChart } from './usage.ts';

/** What is known of a run that has ended. */
export interface RunResults {
  readonly manifest: Manifest;
  /** Of its metrics. */
  readonly series: readonly Series[];
  readonly usage: readonly UsageChart[];
}

/** So that 64 series of any length fit into 500 KB. */
export const POINTS_OF_MANY = 160;
const POINTS_OF_FEW = 400;
const MANY = 24;
/** Packages that a report shows without being asked. */
const WARNINGS_SHOWN = 20;

/** One self-contained HTML file about a run: no script, no request, at most 500 KB. */
export function runReport({ manifest, series, usage }: RunResults): string {
  const { run } = manifest;
  const name = textOf(manifest.spec?.name);
  return page(
    `${run.id} – ${manifest.outcome}`,
    html`<header>
<h1>${name === null ? run.id : `${name} (${run.id})`}</h1>
${outcome(manifest)}
</header>
${facts(manifest)}
${isFailure(manifest.outcome) ? endingSection(manifest) : null}
${metricSection(byHeadline(series, headlinesIn(manifest.spec)))}
${usageSection(usage)}
${isFailure(manifest.outcome) ? null : endingSection(manifest)}
${timeline(manifest)}
${packages(manifest)}`,
  );
}

function outcome(manifest: Manifest): SafeHtml {
  const kind = ENDINGS[manifest.outcome].kind;
  const next = kind === 'success' || !manifest.next ? null : html`<p><strong>Next step:</strong> ${manifest.next}</p>`;
  return html`<p><span class="outcome ${kind}">${manifest.outcome}</span> after ${formatDuration(manifest.run.seconds)}: ${manifest.message}</p>${next}`;
}

function facts(manifest: Manifest): SafeHtml {
  const { run, spec, instance, archive, cost, outputs, python } = manifest;
  const args = Array.isArray(spec?.args) ? spec.args.map(String).join(' ') : null;
  const commit = archive?.gitCommit ?? null;
  const rows: readonly (readonly [string, string | null])[] = [
    ['project', textOf(spec?.project)],
    ['started', run.startedAt.replace('T', ' ').replace(/(\.\d+)?Z$/, ' UTC')],
    ['started by', textOf(spec?.startedBy)],
    ['instance', instance === null ? null : `${instance.id} (${instance.type})`],
    ['entry', entryText(spec)],
    ['args', args === '' ? null : args],
    [
      'commit',
      commit === null ? null : `${commit.slice(0, 12)}${archive?.gitDirty ? ' with uncommitted changes' : ''}`,
    ],
    ['upload', archive?.sent ? sentText(archive.sent, archive) : null],
    ['python', python === null ? null : python.version],
    ['exit code', manifest.exitCode === null ? null : String(manifest.exitCode)],
    ['signal', manifest.signal],
    ['outputs', `${outputs.count} files${outputs.archive ? `, ${formatSize(outputs.archive.bytes)}` : ''}`],
    ['log', formatSize(manifest.logBytes)],
    ['instance cost', costLine(cost.instance, maxCostOf(spec))],
    ['runctl cost', `$${cost.usd.toFixed(4)} without the instance`],
    ['note', textOf(spec?.note)],
  ];
  const shown = rows.filter((row): row is [string, string] => row[1] !== null);
  return html`<dl class="facts">${shown.map(([label, value]) => html`<div><dt>${label}</dt><dd>${value}</dd></div>`)}</dl>`;
}

/** @param sorted the most important one first */
function metricSection(sorted: readonly Series[]): SafeHtml {
  if (sorted.length === 0)
    return html`<h2>Metrics</h2><p class="quiet">The log of the training has no metrics that runctl recognizes.</p>`;
  const mostPoints = sorted.length > MANY ? POINTS_OF_MANY : POINTS_OF_FEW;
  const cards = sorted.map((one) => {
    const { name, points } = one;
    const { last, gap, min, max, lastStep, gapSince } = summarize(one);
    const gaps =
      gapSince === null
        ? null
        : html` <strong class="failure">${gap ?? 'nan'} since step ${formatNumber(gapSince)}</strong>`;
    return html`<section class="card"><h3>${name}</h3>${trusted(lineChart([{ label: name, points }], { title: name, width: 460, height: 180, mostPoints }))}<p class="quiet">last ${last === null ? (gap ?? '') : formatNumber(last)} at step ${formatNumber(lastStep)}, min ${numberOr(min)}, max ${numberOr(max)}${gaps}</p></section>`;
  });
  return html`<h2>Metrics</h2><div class="charts">${cards}</div>`;
}

function usageSection(usage: readonly UsageChart[]): SafeHtml | null {
  if (usage.length === 0) return null;
  const cards = usage.map(({ title, unit, curves }) => {
    const range = unit === '%' ? ([0, 100] as const) : undefined;
    const scaled = unit === 'bytes' ? inUnits(curves) : { unit, curves };
    const options = {
      title,
      width: 460,
      height: 160,
      scale: 'linear',
      unit: ` ${scaled.unit}`,
      mostPoints: POINTS_OF_MANY,
    } as const;
    const drawing = lineChart(scaled.curves, range === undefined ? options : { ...options, range });
    return html`<section class="card"><h3>${title}</h3>${trusted(drawing)}</section>`;
  });
  return html`<h2>Usage</h2><div class="charts">${cards}</div>`;
}

/** Bytes in the unit of the largest value. */
function inUnits(curves: UsageChart['curves']) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const [, most] = extent([0, ...curves.flatMap(({ points }) => points.map(({ value }) => value ?? 0))]);
  const power = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log2(Math.max(1, most)) / 10)));
  const divide = (value: number | null) => (value === null ? null : value / 1024 ** power);
  return {
    unit: units[power] ?? 'B',
    curves: curves.map(({ label, points }) => ({
      label,
      points: points.map((point) => ({ ...point, value: divide(point.value) })),
    })),
  };
}

function endingSection({ warnings, lastLines }: Manifest): SafeHtml | null {
  const shown = warnings.slice(0, WARNINGS_SHOWN);
  const list =
    shown.length === 0 ? null : html`<h2>Warnings</h2><ul>${shown.map((text) => html`<li>${text}</li>`)}</ul>`;
  const lines = lastLines.length === 0 ? null : html`<h2>Last lines of the log</h2><pre>${lastLines.join('\n')}</pre>`;
  return html`${list}${lines}`;
}

function timeline({ states }: Manifest): SafeHtml | null {
  if (states.length === 0) return null;
  const most = Math.max(...states.map(({ seconds }) => seconds), 1);
  const rows = states.map(
    ({ name, entered, seconds }) =>
      html`<tr><th scope="row">${name}</th><td class="number">${entered === 1 ? '' : `${entered} times`}</td><td class="number">${formatDuration(seconds)}</td><td><span class="bar" style="width:${Math.round((seconds / most) * 240)}px"></span></td></tr>`,
  );
  return html`<h2>Where the time went</h2><div class="wide"><table><tbody>${rows}</tbody></table></div>`;
}

function packages({ packages: found }: Manifest): SafeHtml | null {
  const names = Object.entries(found);
  if (names.length === 0) return null;
  const text = names.map(([name, version]) => `${name}==${version}`).join('\n');
  return html`<h2>Packages</h2><details><summary>${names.length} ${names.length === 1 ? 'package' : 'packages'}</summary><pre>${text}</pre></details>`;
}

export function entryText(spec: Manifest['spec']): string | null {
  const command = spec?.command;
  if (Array.isArray(command)) return command.map(String).join(' ');
  return textOf(command) ?? textOf(spec?.script) ?? (spec?.module ? `python -m ${String(spec.module)}` : null);
}

export function textOf(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null;
}

function numberOr(value: number | null): string {
  return value === null ? '–' : formatNumber(value);
}
