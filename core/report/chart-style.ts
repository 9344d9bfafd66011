/** Colors that people with the common color blindnesses can tell apart, for a light and for a dark ground. */
const LIGHT = ['#1f6feb', '#c2410c', '#15803d', '#9333ea', '#be123c', '#0e7490', '#854d0e', '#4b5563'];
const DARK = ['#6cb0ff', '#ff9a5c', '#5ed584', '#c9a2ff', '#ff8fa3', '#56d4e4', '#e3c04f', '#b6bec9'];
/** Beside its color, a series behind the eighth has a pattern of dashes. */
const DASHES = ['', '6 3', '2 3', '9 3 2 3'];
const FONT_SIZE = 11;

/**
 * Styles of charts, for the page that has them. They follow the color scheme of the reader, or of a page that sets `data-theme` at its
 * root. On paper charts are light.
 */
export const CHART_STYLE = chartStyle();

/** The classes of a series' curve. */
export function lineClass(index: number): string {
  const dashes = Math.floor(index / LIGHT.length) % DASHES.length;
  return `line c${index % LIGHT.length}${dashes === 0 ? '' : ` d${dashes}`}`;
}

function chartStyle(): string {
  const colors = (scheme: readonly string[]) => scheme.map((color, index) => `--chart-${index}:${color}`).join(';');
  const light = `${colors(LIGHT)};--chart-text:#57606a;--chart-grid:#d8dee4;--chart-axis:#8c959f;--chart-gap:#cf222e`;
  const dark = `${colors(DARK)};--chart-text:#9aa4af;--chart-grid:#30363d;--chart-axis:#6e7681;--chart-gap:#ff7b72`;
  return [
    `:root{${light}}`,
    `@media screen and (prefers-color-scheme:dark){:root:not([data-theme=light]){${dark}}}`,
    `@media screen{:root[data-theme=dark]{${dark}}}`,
    '.chart{display:block;width:100%;height:auto}',
    `.chart text{font:${FONT_SIZE}px system-ui,sans-serif;font-variant-numeric:tabular-nums;fill:var(--chart-text)}`,
    '.chart path{fill:none;stroke:var(--chart-axis)}',
    '.chart .grid{stroke:var(--chart-grid)}',
    '.chart .gap{stroke:var(--chart-gap);stroke-width:2}',
    '.chart .line{stroke-width:1.6;stroke-linejoin:round;stroke-linecap:round}',
    ...LIGHT.map((_, index) => `.chart .c${index}{stroke:var(--chart-${index})}`),
    ...DASHES.flatMap((dashes, index) => (dashes === '' ? [] : [`.chart .d${index}{stroke-dasharray:${dashes}}`])),
    '@media print{.chart .line{print-color-adjust:exact;-webkit-print-color-adjust:exact}}',
  ].join('\n');
}
