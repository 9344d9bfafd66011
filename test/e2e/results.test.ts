import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { MetricsOutput } from '../../cli/output/schemas.ts';
import { MANIFEST, runFileKey } from '../../core/names.ts';
import { FILE_POINTS, METRICS_FILE, REPORT_FILE, SUMMARY_FILE, USAGE_FILE } from '../../core/results/files.ts';
import { type RunSummary, summarySchema } from '../../core/results/summary-schema.ts';
import { startBrowser, type TestBrowser } from '../support/browser.ts';
import { Cloud } from '../support/cloud/cloud.ts';
import { projectFolder, runctl, shellEnvironment } from '../support/cloud/runctl.ts';
import { waitFor } from '../support/instance/processes.ts';
import { text } from '../support/page.ts';
import { tarGz } from './archives.ts';

const STEPS = 30;
/** A loss in the log that breaks, and a learning rate in the file for metrics; so long that the usage is sampled, after 1 s and 2 s. */
const TRAIN = `import json, os, time
with open(os.environ["RUNCTL_METRICS_FILE"], "a") as file:
    for step in range(1, ${STEPS} + 1):
        loss = float("nan") if step > 25 else 4 / step
        print("epoch %d loss=%s" % (step, loss), flush=True)
        file.write(json.dumps({"step": step, "lr": 0.1 / step}) + "\\n")
print("<script>document.title = 'forged'</script>", flush=True)
time.sleep(3)
`;

let cloud: Cloud;
let browser: TestBrowser;
let folder: string;
let env: Record<string, string>;
beforeAll(async () => {
  [cloud, browser, env] = [await Cloud.connect(), await startBrowser(), await shellEnvironment()];
  folder = projectFolder(cloud.project);
});
afterAll(() => browser?.close());

async function train(script: string): Promise<string> {
  const archive = await cloud.put('archives/results.tar.gz', await tarGz({ 'train.py': script }));
  const { id, status } = await cloud.finished(
    await cloud.start({ archive, project: cloud.project, instance: cloud.instanceId }),
  );
  expect(status).toBe('SUCCEEDED');
  return id;
}

const file = (id: string, name: string) => cloud.object(runFileKey(id, name));
const summaryOf = async (id: string): Promise<RunSummary> => {
  const body = await waitFor(() => file(id, SUMMARY_FILE), 60);
  return summarySchema.parse(JSON.parse(body.toString('utf8')));
};
async function linesOf(id: string, name: string): Promise<Record<string, unknown>[]> {
  const gzip = await file(id, name);
  if (gzip === null) throw new Error(`run ${id} has no ${name}`);
  const whole = gunzipSync(gzip).toString('utf8').split('\n');
  return whole.filter((line) => line !== '').map((line) => JSON.parse(line));
}
async function metrics(id: string): Promise<MetricsOutput[number]['metrics']> {
  const { code, stdout, stderr } = await runctl(folder, ['metrics', id, '--json'], env);
  expect(code, stderr).toBe(0);
  return (JSON.parse(stdout) as MetricsOutput)[0]?.metrics ?? [];
}

describe('what is stored of the metrics of a run', () => {
  let id: string;
  let summary: RunSummary;
  beforeAll(async () => {
    id = await train(TRAIN);
    summary = await summaryOf(id);
  });

  it('is every point of its log and of its files', async () => {
    const points = await linesOf(id, METRICS_FILE);
    const expected = ['loss', 'lr'].flatMap((name) =>
      Array.from({ length: STEPS }, (_, index) => {
        const step = index + 1;
        const value = name === 'lr' ? 0.1 / step : 4 / step;
        return { name, step, attempt: 1, ...(name === 'loss' && step > 25 ? { value: null, gap: 'nan' } : { value }) };
      }),
    );
    expect(points).toEqual(expected);
    expect(summary.metrics.points).toBe(points.length);
    expect(summary.series.map(({ name, gapSince }) => [name, gapSince])).toEqual([
      ['loss', 26],
      ['lr', null],
    ]);
  });

  it('is what runctl metrics and the summary say', async () => {
    const found = await metrics(id);
    expect(found.map(({ values: _, ...rest }) => rest)).toEqual(summary.series);
    const flat = found.flatMap(({ name, values }) => values.map((value) => ({ name, ...value })));
    expect(flat).toEqual(await linesOf(id, METRICS_FILE));
  });

  it('is made of the usage of the instance and of the points that the training wrote', async () => {
    const usage = await linesOf(id, USAGE_FILE);
    expect(usage.length).toBeGreaterThan(0);
    expect(usage[0]).toMatchObject({ cores: expect.any(Number), job: { processes: expect.any(Number) } });
    const points = await linesOf(id, FILE_POINTS);
    expect(points).toHaveLength(STEPS);
    expect(points[0]).toMatchObject({ name: 'lr', step: 1, value: 0.1, source: 'file' });
    expect(summary.filePoints).toBe(STEPS);
  });

  it('is a report that makes no request and runs no script', async () => {
    const html = (await file(id, REPORT_FILE)) ?? Buffer.alloc(0);
    expect(html.length).toBeLessThan(500_000);
    const path = join(folder, 'stored.html');
    writeFileSync(path, html);
    const visit = await browser.open();
    await visit.page.goto(pathToFileURL(path).href, { waitUntil: 'networkidle0' });
    expect(visit.requests).toEqual([pathToFileURL(path).href]);
    expect([...visit.consoleErrors, ...visit.pageErrors]).toEqual([]);
    expect(await visit.page.$$eval('script', (found) => found.length)).toBe(0);
    expect(await visit.page.title()).toContain(id);
    expect(await visit.page.$$eval('.card .chart', (found) => found.length)).toBeGreaterThan(2);
    expect(await text(visit.page, 'body')).toContain('nan since step 26');
    const { code, stderr } = await runctl(folder, ['report', id, '-o', 'asked.html', '--json'], env);
    expect(code, stderr).toBe(0);
    expect(readFileSync(join(folder, 'asked.html')).equals(html)).toBe(true);
  });

  it('stays as it is when the event comes again', async () => {
    const before = await file(id, SUMMARY_FILE);
    const lambda = cloud.client(LambdaClient);
    const detail = { object: { key: runFileKey(id, MANIFEST) } };
    const Payload = JSON.stringify({ detail });
    const answer = await lambda.send(new InvokeCommand({ FunctionName: 'runctl-summarize-run', Payload }));
    expect(answer.FunctionError).toBeUndefined();
    expect(JSON.parse(Buffer.from(answer.Payload ?? []).toString())).toEqual({ points: 2 * STEPS });
    expect(await file(id, SUMMARY_FILE)).toEqual(before);
  });
});

it('a run that wrote no metrics has a report and a summary all the same, and no file of points', async () => {
  const id = await train('print("done")\n');
  expect(await summaryOf(id)).toMatchObject({ series: [], filePoints: 0, metrics: { points: 0 } });
  expect(await file(id, FILE_POINTS)).toBeNull();
  expect((await file(id, REPORT_FILE))?.toString('utf8')).toContain('no metrics that runctl recognizes');
  expect(await metrics(id)).toEqual([]);
});

it('a run that was rejected has a report', async () => {
  const archive = await cloud.put('archives/results.tar.gz', await tarGz({ 'train.py': '' }));
  const { id, status } = await cloud.finished(await cloud.start({ archive, scirpt: 'x' }));
  expect(status).toBe('FAILED');
  expect(await summaryOf(id)).toMatchObject({ log: null, series: [] });
  expect((await file(id, REPORT_FILE))?.toString('utf8')).toContain('rejected');
});
