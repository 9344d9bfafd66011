import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, existsSync, readFileSync, statSync } from 'node:fs';
import { get, request } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { DescribeExecutionCommand, SFNClient } from '@aws-sdk/client-sfn';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { projectRoot } from '../../local/cloud/paths.ts';
import { startBrowser, type TestBrowser, type Visit } from '../support/browser.ts';
import { Cloud } from '../support/cloud/cloud.ts';
import { startNetwork, type TestNetwork } from '../support/cloud/network.ts';
import { COMMAND, projectFolder, shellEnvironment } from '../support/cloud/runctl.ts';
import { contrastProblems, focusedElement, text } from '../support/page.ts';
import { tarGz } from './archives.ts';

const AWAY_MS = 10_000;
const PICTURES = join(projectRoot, 'docs', 'guide', 'pictures');
const MAX_PICTURE = 100 * 1024;

const TRAIN = `import json, math, sys, time
for step in range(1, int(sys.argv[1]) + 1):
    loss = 2.3 * math.exp(-step / 60) + 0.1 + 0.02 * math.sin(step * 7)
    print(json.dumps({"step": step, "loss": round(loss, 4), "accuracy": round(1 - loss / 2.5, 4)}), flush=True)
    if step % 20 == 1:
        print("<b>epoch %d</b> \\033[31mof many\\033[0m" % (step // 20), flush=True)
    time.sleep(0.2)
`;
const FAIL = `import os, time
os.makedirs("outputs", exist_ok=True)
open("outputs/labels.txt", "w").write("11 classes")
for step in range(1, 41):
    print("step", step, "loss", 2 / step, flush=True)
time.sleep(4)
raise ValueError("the labels have 11 classes, and the model has 10")
`;

let cloud: Cloud;
let network: TestNetwork;
let browser: TestBrowser;
let ui: ChildProcess;
let url: string;
let folder: string;
let visit: Visit;
const ids = { failed: 'ui-20261126-labels', long: 'ui-20261126-baseline', queued: 'ui-20261126-next' };

beforeAll(async () => {
  cloud = await Cloud.connect();
  folder = projectFolder(cloud.project);
  const archive = await cloud.put('archives/ui.tar.gz', await tarGz({ 'train.py': TRAIN, 'fail.py': FAIL }));
  const spec = { archive, project: cloud.project, instance: cloud.instanceId, stopGrace: '5s' };
  const start = async (id: string, more: object, state: string) => {
    await cloud.entered(await cloud.start({ ...spec, ...more }, id), state);
  };
  await start(ids.failed, { script: 'fail.py' }, 'Start training');
  await start(ids.long, { script: 'train.py', args: ['3000'], name: 'baseline' }, 'Wait for instance');
  await start(ids.queued, { script: 'train.py', args: ['10'] }, 'Wait for instance');

  const env = await shellEnvironment();
  network = await startNetwork(env.AWS_ENDPOINT_URL ?? '');
  ui = spawn(process.execPath, [COMMAND, 'ui', '--json'], {
    cwd: folder,
    env: { ...env, AWS_ENDPOINT_URL: network.url },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let printed = '';
  for await (const chunk of ui.stdout ?? []) {
    printed += chunk;
    if (printed.includes('}')) break;
  }
  url = JSON.parse(printed).url;
  browser = await startBrowser();
});

afterAll(async () => {
  ui?.kill('SIGKILL');
  network?.close();
  await browser?.close();
});

const page = () => visit.page;
const isShown = async (selector: string, part: string | RegExp, timeout = 60_000) =>
  await expect.poll(() => text(page(), selector), { timeout, interval: 200 }).toMatch(part);
const open = async (id: string) => {
  await page().goto(`${url}#/runs/${id}`);
  await isShown('h1', id);
};
const arnOf = (id: string) => `${cloud.machine.replace(':stateMachine:', ':execution:')}:${id}`;
/** The steps in the log that the page shows. */
const steps = async () => [...(await text(page(), '.log')).matchAll(/"step": (\d+)/g)].map(([, step]) => Number(step));

/** Of the guide: what is in view of a small window. RUNCTL_PICTURES=1 takes it over. */
async function takePicture(name: string, height: number): Promise<void> {
  await page().setViewport({ width: 1000, height });
  const file = await visit.screenshot(name, 'view');
  await page().setViewport({ width: 1280, height: 800 });
  expect(statSync(file).size).toBeLessThan(MAX_PICTURE);
  if (process.env.RUNCTL_PICTURES) copyFileSync(file, join(PICTURES, `${name}.png`));
}

/** What a program gets that sends these headers. */
async function status(path: string, headers: Record<string, string>, method = 'GET'): Promise<number | undefined> {
  const { port } = new URL(url);
  const sent = request({ host: '127.0.0.1', port, path, method, headers });
  sent.end();
  const [response] = await once(sent, 'response');
  response.resume();
  return response.statusCode;
}

describe('runctl ui', () => {
  it('lists runs as they go on', async () => {
    visit = await browser.open();
    await page().goto(url);
    await expect.poll(() => page().$$eval('tbody tr', (rows) => rows.length), { timeout: 30_000 }).toBe(3);
    await isShown('tbody', /training[\s\S]*baseline[\s\S]*loss \d/);
    await isShown('tbody', /queued/);
    await isShown('tbody', /failed/);
    await takePicture('ui-list', 240);
  });

  it('says why a run failed, and what to do next', async () => {
    await open(ids.failed);
    await isShown('.alert', /Why it failed[\s\S]*exit code 1[\s\S]*the labels have 11 classes[\s\S]*What to do next/);
    await isShown('.log', 'ValueError');
    await isShown('.tiles', /loss\s*0\.05/);
    await takePicture('ui-failed', 560);
  });

  it('downloads outputs and logs, and says where they are', async () => {
    await page().locator('button ::-p-text(Pull outputs and logs)').click();
    const place = join(folder, 'runctl-runs', ids.failed);
    await isShown('.result', `Downloaded 1 outputs and 2 logs to ${place}`);
    expect(readFileSync(join(place, 'outputs/labels.txt'), 'utf8')).toBe('11 classes');
  });

  it('shows the place in the queue, and takes a run out of it', async () => {
    await open(ids.queued);
    await isShown('.alert', /In the queue for its instance[\s\S]*Place 1 of 1, waiting for/);
    await isShown('.alert', ids.long);
    await takePicture('ui-queued', 340);
    await page().locator('button ::-p-text(Stop …)').click();
    await page().locator('dialog button ::-p-text(Stop the run)').click();
    await isShown('h1 + .word', 'stopped');
  });

  it('shows a log that goes on, and curves that grow', async () => {
    await open(ids.long);
    await isShown('.log', /"step": \d+/);
    const before = await steps();
    const pathBefore = await page().$eval('figure path.line', (path) => path.getAttribute('d')?.length ?? 0);
    await expect
      .poll(async () => (await steps()).at(-1), { timeout: 30_000 })
      .toBeGreaterThan((before.at(-1) ?? 0) + 20);
    expect(await page().$eval('figure path.line', (path) => path.getAttribute('d')?.length ?? 0)).toBeGreaterThan(
      pathBefore,
    );
    const bottom = () => page().$eval('.log', (log) => log.scrollHeight - log.scrollTop - log.clientHeight);
    await expect.poll(bottom).toBeLessThan(30);
    // What a run writes stays text.
    expect(await text(page(), '.log')).toContain('<b>epoch 0</b> of many');
    expect(await text(page(), '.log')).not.toContain('\x1b');

    await page().$eval('.log', (log) => {
      log.scrollTop = 0;
    });
    await isShown('.paused', /Paused, because you scrolled up\. [1-9]\d* new lines/);
    expect(await page().$eval('.log', (log) => log.scrollTop)).toBe(0);
    await page().locator('button ::-p-text(Go to the newest line)').click();
    await expect.poll(bottom).toBeLessThan(30);
  });

  it('survives a network that is away, without losing a line', async () => {
    network.leave();
    const left = performance.now();
    await isShown('#trouble', /AWS does not answer for [3-9]s; trying again\. What you see is of/);
    await visit.screenshot('ui-away');
    await sleep(left + AWAY_MS - performance.now());
    const before = (await steps()).at(-1) ?? 0;
    network.comeBack();
    await expect.poll(async () => (await steps()).at(-1), { timeout: 30_000 }).toBeGreaterThan(before + 40);
    await expect.poll(() => text(page(), '#trouble'), { timeout: 15_000 }).toBe('');
    await isShown('#announcer', 'Everything answers again.');
    const seen = await steps();
    expect(seen).toEqual(seen.map((_, index) => (seen[0] ?? 0) + index));
  });

  it('reads well in light and dark, and by keyboard', async () => {
    for (const scheme of ['dark', 'light']) {
      await page().emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }]);
      for (const id of [ids.failed, ids.long]) {
        await open(id);
        await isShown('.details', 'Instance');
        expect(await contrastProblems(page())).toEqual([]);
      }
      await isShown('figure', 'loss');
      await visit.screenshot(`ui-run-${scheme}`);
    }
    await takePicture('ui-run', 760);
    await page().reload();
    await isShown('.details', 'Instance');
    const focused: string[] = [];
    for (let tab = 0; tab < 7; tab += 1) {
      await page().keyboard.press('Tab');
      focused.push(await focusedElement(page()));
    }
    expect(focused.slice(0, 4)).toEqual([
      'Skip to the content solid',
      'runctl solid',
      '← All runs solid',
      'Stop … solid',
    ]);
    expect(focused[5]).toMatch(/solid$/);
  });

  it('asks before it stops a run, and stops it', async () => {
    await page().locator('button ::-p-text(Stop …)').click();
    await isShown('dialog', `Stop run ${ids.long}?`);
    await visit.screenshot('ui-stop');
    // The harmless answer has the focus.
    await page().keyboard.press('Enter');
    await expect.poll(() => page().$('dialog')).toBeNull();
    await sleep(3_000);
    expect(await text(page(), 'h1 + .word')).toBe('training');
    await page().locator('button ::-p-text(Stop …)').click();
    await page().locator('dialog button ::-p-text(Stop the run)').click();
    await isShown('h1 + .word', /stopping|stopped/);
    await isShown('#announcer', /The run is stop/);
    const command = new DescribeExecutionCommand({ executionArn: arnOf(ids.long) });
    expect((await cloud.client(SFNClient).send(command)).status).toBe('ABORTED');
  });

  it('has asked nobody but its own server, and made no error', () => {
    expect(visit.requests.filter((one) => !one.startsWith(new URL('/', url).href))).toEqual([]);
    expect([...visit.consoleErrors, ...visit.pageErrors]).toEqual([]);
  });

  it('answers nobody else', async () => {
    const { host, searchParams } = new URL(url);
    const bearer = { authorization: `Bearer ${searchParams.get('token')}` };
    expect(await status('/api/runs', bearer)).toBe(200);
    expect(await status('/api/runs', {})).toBe(403);
    expect(await status('/', {})).toBe(403);
    expect(await status('/api/runs', { ...bearer, host: 'evil.example' })).toBe(403);
    expect(await status('/api/runs', { ...bearer, origin: 'http://127.0.0.1:1' })).toBe(403);
    expect(await status(`/api/runs/${ids.long}/stop`, { ...bearer, host, origin: 'null' }, 'POST')).toBe(403);
    const other = await browser.open();
    await other.page.setContent('<p>Another site</p>');
    const read = (address: string) => other.page.evaluate((one) => fetch(one).then(String, () => 'refused'), address);
    expect(await read(url)).toBe('refused');
    expect(await read(new URL('/app.js', url).href)).toBe('refused');
  });

  it('ends by Ctrl-C and leaves nothing', async () => {
    ui.kill('SIGINT');
    const [code] = await once(ui, 'exit');
    expect(code).toBe(0);
    const [error] = await once(get(url), 'error');
    expect(error.code).toBe('ECONNREFUSED');
    await isShown('#trouble', 'runctl ui does not answer');
    expect(existsSync(join(folder, '.runctl'))).toBe(false);
  });
});
