import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readManifest } from '../../core/outcome/manifest-schema.ts';
import { runReport } from '../../core/report/report.ts';
import { usageCharts } from '../../core/report/usage.ts';
import { projectRoot } from '../../local/cloud/paths.ts';
import { startBrowser, type TestBrowser } from '../support/browser.ts';
import { usageSample } from '../support/fakes/samples.ts';
import { contrastProblems, text } from '../support/page.ts';

function commandLine(pid: string): string {
  try {
    return /^\d+$/.test(pid) ? readFileSync(`/proc/${pid}/cmdline`, 'utf8') : '';
  } catch {
    return ''; // has ended
  }
}

let browser: TestBrowser;
beforeAll(async () => {
  browser = await startBrowser();
});
afterAll(async () => {
  await browser.close();
  const folder = join(projectRoot, '.runctl', 'browser');
  expect(readdirSync(folder).filter((name) => name.startsWith(`${process.pid}-`))).toEqual([]);
  const isOurs = (pid: string) => commandLine(pid).includes(`${folder}/${process.pid}-`);
  expect(readdirSync('/proc').filter(isOurs)).toEqual([]);
});

describe('a report', () => {
  it('makes no request, has no error, and can be read in light, in dark, and on paper', async () => {
    const run = {
      id: 'digits-1',
      arn: 'a',
      startedAt: '2026-11-26T10:00:00Z',
      endedAt: '2026-11-26T11:00:00Z',
      seconds: 3_600,
    };
    const ending = {
      outcome: 'failed',
      message: 'The script exited with code 3.',
      next: 'Read the last lines.',
      exitCode: 3,
    };
    const states = [
      { name: 'Watch training', entered: 4, seconds: 3_000 },
      { name: 'Finish run', entered: 1, seconds: 20 },
    ];
    const manifest = readManifest(
      JSON.stringify({
        version: 1,
        run,
        ...ending,
        states,
        lastLines: ['ValueError: no data'],
        warnings: ['GPU 0 was idle.'],
        packages: { torch: '2.9.1' },
      }),
    );
    if (manifest === null) throw new Error('not a manifest');
    const points = Array.from({ length: 1_000 }, (_, step) => ({
      step,
      value: 2 / (1 + step / 50),
      offset: 0,
      attempt: 1,
    }));
    const samples = Array.from({ length: 60 }, (_, index) =>
      usageSample({ time: 1_764_150_000 + index * 10, cpuPercent: 40 + (index % 7) }),
    );
    const html = runReport({ manifest, series: [{ name: 'loss', points }], usage: usageCharts(samples) });
    const visit = await browser.open({ width: 1_000, height: 800 });
    for (const scheme of ['light', 'dark'] as const) {
      await visit.page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }]);
      await visit.page.setContent(html);
      expect(await contrastProblems(visit.page), scheme).toEqual([]);
      expect(await text(visit.page, '.outcome')).toBe('failed');
      expect(statSync(await visit.screenshot(`report-${scheme}`)).size).toBeGreaterThan(5_000);
    }
    await visit.page.emulateMediaType('print');
    expect(statSync(await visit.screenshot('report-print')).size).toBeGreaterThan(5_000);
    expect([...visit.requests, ...visit.consoleErrors, ...visit.pageErrors]).toEqual([]);
  });
});

describe('the browser of tests', () => {
  it('records requests that leave a page, errors, and what the page looks like', async () => {
    const visit = await browser.open({ width: 300, height: 200 });
    await visit.page.setContent(
      '<h1>A page</h1><img src="http://elsewhere.example/pixel.png"><script>setTimeout(() => missing())</script>',
    );
    await expect.poll(() => visit.pageErrors).toEqual([expect.stringContaining('missing is not defined')]);
    expect(visit.requests).toEqual(['http://elsewhere.example/pixel.png']);
    await expect.poll(() => visit.consoleErrors).toEqual([expect.stringContaining('ERR_NAME_NOT_RESOLVED')]);
    const picture = await visit.screenshot('browser-harness');
    expect(existsSync(picture) && statSync(picture).size).toBeGreaterThan(500);
  });

  it('records nothing of a page that keeps to itself', async () => {
    const visit = await browser.open();
    await visit.page.setContent('<p>Only text</p><svg width="10" height="10"><path d="M0 0L9 9"/></svg>');
    expect(await visit.page.$eval('p', (element) => element.textContent)).toBe('Only text');
    expect([...visit.requests, ...visit.consoleErrors, ...visit.pageErrors]).toEqual([]);
  });

  // The guards of `runctl ui` are tested with it.
  it('keeps pages of other origins from reading answers', async () => {
    const visit = await browser.open();
    await visit.page.setContent('<p>Elsewhere</p>');
    const server = createServer((_request, response) => response.end('an answer')).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const result = await visit.page.evaluate(
      (url) =>
        fetch(url).then(
          () => 'read',
          (error: unknown) => String(error),
        ),
      `http://127.0.0.1:${port}/`,
    );
    server.close();
    expect(result).toContain('Failed to fetch');
    await expect.poll(() => visit.consoleErrors.join()).toContain('CORS policy');
  });
});
