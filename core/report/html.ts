import { CHART_STYLE } from './chart-style.ts';
import { escapeText } from './escape.ts';

/** A template whose values are escaped, unless they are HTML made by {@link html} or {@link trusted}. */
export function html(parts: TemplateStringsArray, ...values: readonly HtmlValue[]): SafeHtml {
  let text = parts[0] ?? '';
  values.forEach((value, index) => {
    text += toText(value) + (parts[index + 1] ?? '');
  });
  return new SafeHtml(text);
}

type HtmlValue = string | number | null | SafeHtml | readonly SafeHtml[];

export class SafeHtml {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** Marks what our own renderer made, such as a chart. */
export function trusted(text: string): SafeHtml {
  return new SafeHtml(text);
}

function toText(value: HtmlValue): string {
  if (value === null) return '';
  if (value instanceof SafeHtml) return value.text;
  if (typeof value === 'string' || typeof value === 'number') return escapeText(String(value));
  return value.map(({ text }) => text).join('');
}

const STYLE = `
:root{color-scheme:light dark;--ground:#ffffff;--text:#1f2328;--quiet:#57606a;--line:#d8dee4;--card:#f6f8fa;--good:#116329;--bad:#b42318;--plain:#57606a}
@media screen and (prefers-color-scheme:dark){:root{--ground:#0d1117;--text:#e6edf3;--quiet:#9aa4af;--line:#30363d;--card:#161b22;--good:#5ed584;--bad:#ff8f86;--plain:#9aa4af}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:1080px;padding:24px 20px 48px;background:var(--ground);color:var(--text);font:15px/1.5 system-ui,sans-serif}
h1{font-size:22px;margin:0 0 4px;overflow-wrap:anywhere}
h2{font-size:17px;margin:32px 0 12px;padding-bottom:4px;border-bottom:1px solid var(--line)}
h3{font-size:14px;margin:0 0 6px;overflow-wrap:anywhere}
p{margin:6px 0;overflow-wrap:anywhere}
.quiet{color:var(--quiet)}
.outcome{font-weight:600}.success{color:var(--good)}.failure{color:var(--bad)}.requested{color:var(--plain)}
.facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(220px,1fr));gap:4px 24px;margin:12px 0}
.facts div{display:flex;gap:8px;min-width:0}.facts dt{color:var(--quiet);flex:0 0 84px}.facts dd{margin:0;min-width:0;overflow-wrap:anywhere}
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(400px,100%),1fr));gap:16px}
.card{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:12px;min-width:0;break-inside:avoid}
pre{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:12px;overflow-x:auto;font:13px/1.45 ui-monospace,monospace;white-space:pre-wrap;overflow-wrap:anywhere}
.wide{overflow-x:auto}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:4px 14px 4px 0;border-bottom:1px solid var(--line);vertical-align:top;overflow-wrap:anywhere}
th{color:var(--quiet);font-weight:500}
.number{text-align:right}
.bar{display:block;height:10px;border-radius:3px;background:var(--chart-0);min-width:2px}
@media print{body{max-width:none;padding:0}.card,pre{background:none}}
`;

/** A whole document that loads nothing and runs nothing. */
export function page(title: string, body: SafeHtml): string {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<style>${trusted(STYLE + CHART_STYLE)}</style>
</head>
<body>
${body}
</body>
</html>
`.text;
}
