import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createReadStream, createWriteStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { SeriesSet } from '../core/metrics/series.ts';
import { MANIFEST } from '../core/names.ts';
import { readManifest } from '../core/outcome/manifest-schema.ts';
import { runReport } from '../core/report/report.ts';
import { LOG_FILE, METRICS_FILE, REPORT_FILE } from '../core/results/files.ts';
import { summarizeRun } from '../core/results/summarize-run.ts';

// A separate process, so that its peak memory is that of the function, including Node and the TypeScript loader.
const [folder = '', what = '', lines = '0', others = '0'] = process.argv.slice(2);
const run = {
  ...{ id: 'bench', arn: 'arn', startedAt: '2026-11-27T10:00:00.000Z', endedAt: '2026-11-27T11:00:00.000Z' },
  seconds: 3_600,
};
const manifest = { version: 1, run, outcome: 'succeeded', message: 'The training ended.', next: 'Nothing.' };
const peakMb = () => Math.round(process.resourceUsage().maxRSS / 1024);
const value = (step: number, index: number) => Math.abs(Math.sin(step * 12.9898 + index)) + 1 / (step + 1);

/** A log of steps with three metrics, and other lines between them. */
async function writeLog(steps: number, between: number): Promise<number> {
  const gzip = createGzip({ level: 1 });
  const written = pipeline(gzip, createWriteStream(join(folder, LOG_FILE)));
  const other = 'INFO loaded the next shard of the training data and moved it to the device\n'.repeat(between);
  let bytes = 0;
  for (let step = 0; step < steps; ) {
    let text = '';
    for (; step < steps && text.length < 1_000_000; step += 1)
      text += `{"step": ${step}, "loss": ${value(step, 0)}, "accuracy": ${value(step, 1)}, "lr": 0.001}\n${other}`;
    bytes += text.length;
    if (!gzip.write(text)) await once(gzip, 'drain');
  }
  gzip.end();
  await written;
  return bytes;
}

async function summarize(): Promise<object> {
  const bytes = await writeLog(Number(lines), Number(others));
  const body = (name: string) => createReadStream(join(folder, name), { highWaterMark: 64 * 1024 });
  async function* stored() {
    yield Buffer.from(JSON.stringify(manifest));
  }
  const files = {
    open: async (name: string) => (name === MANIFEST ? stored() : name === LOG_FILE ? body(name) : null),
    write: async (name: string, content: AsyncIterable<Uint8Array>) => {
      await pipeline(content, createWriteStream(join(folder, name)));
    },
  };
  const [began, used] = [performance.now(), process.cpuUsage()];
  const summary = await summarizeRun({ filesOf: () => files, now: () => performance.now() }, run.id);
  const { user, system } = process.cpuUsage(used);
  const size = async (name: string) => (await stat(join(folder, name))).size;
  return {
    ...{ bytes, seconds: (performance.now() - began) / 1_000, cpuSeconds: (user + system) / 1e6, peakMb: peakMb() },
    ...{ points: summary?.metrics.points, readBytes: summary?.log?.bytes, metricsBytes: await size(METRICS_FILE) },
    reportBytes: await size(REPORT_FILE),
  };
}

/** Series that are held already: what remains is the report. */
function report(): object {
  const series = new SeriesSet();
  const names = Array.from({ length: 64 }, (_, index) => `metric_${index}`);
  for (let step = 0; step < Number(lines); step += 1)
    series.add(names.map((name, index) => ({ name, step, value: value(step, index), attempt: 1 })));
  const found = readManifest(JSON.stringify(manifest));
  if (found === null) throw new Error('not a manifest');
  const [began, used] = [performance.now(), process.cpuUsage()];
  const html = runReport({ manifest: found, series: series.all(), usage: [] });
  const { user, system } = process.cpuUsage(used);
  const sha256 = createHash('sha256').update(html).digest('hex');
  const seconds = (performance.now() - began) / 1_000;
  const reportBytes = Buffer.byteLength(html);
  return { seconds, cpuSeconds: (user + system) / 1e6, peakMb: peakMb(), points: series.count, reportBytes, sha256 };
}

console.log(JSON.stringify(what === 'report' ? report() : await summarize()));
