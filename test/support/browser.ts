import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import chromium from '@sparticuz/chromium';
import puppeteer, { type Browser, type Page } from 'puppeteer-core';
import { projectRoot } from '../../local/cloud/paths.ts';
import { isAlive } from './instance/processes.ts';

const FOLDER = join(projectRoot, '.runctl', 'browser');
/** Screenshots stay after a test, for people to see. */
const SCREENSHOTS = join(projectRoot, '.runctl', 'screenshots');

/** Not the flags of the package: they turn off the same-origin policy, which tests rely on. */
const FLAGS = [
  // A container often has neither user namespaces nor a person other than root.
  '--no-sandbox',
  '--no-zygote',
  '--disable-gpu',
  '--disable-dev-shm-usage',
  // Text is as wide on every machine.
  '--font-render-hinting=none',
  '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost',
];

/** A page, and what it has done since it was opened. */
export interface Visit {
  readonly page: Page;
  /** The addresses of all requests, `data:` and the page itself included. */
  readonly requests: string[];
  readonly consoleErrors: string[];
  /** Exceptions that no script caught. */
  readonly pageErrors: string[];
  /** Writes `.runctl/screenshots/<name>.png`: of the whole page, or of what is in view. @returns its path */
  screenshot(name: string, part?: 'page' | 'view'): Promise<string>;
}

export interface TestBrowser {
  /** Opens an empty page. */
  open(size?: { readonly width: number; readonly height: number }): Promise<Visit>;
  /** Ends all processes of the browser and removes its files. */
  close(): Promise<void>;
}

/** Starts the Chromium of the npm package. It reaches this machine only, and writes below `.runctl/browser` only. */
export async function startBrowser(): Promise<TestBrowser> {
  removeLeftovers();
  const folder = mkdtempSync(join(FOLDER, `${process.pid}-`));
  let browser: Browser;
  try {
    const executablePath = await unpack(folder);
    const { PATH = '', TZ = 'UTC' } = process.env;
    const env = { PATH, TZ, HOME: folder, TMPDIR: folder, FONTCONFIG_FILE: writeFontConfig(folder), LANG: 'C.UTF-8' };
    const libraries = hasLibraries() ? {} : { LD_LIBRARY_PATH: join(folder, 'al2023', 'lib') };
    // By a pipe, the browser ends with this process, even if that is killed.
    const settings = { pipe: true, headless: 'shell', args: FLAGS, userDataDir: join(folder, 'profile') } as const;
    browser = await puppeteer.launch({ ...settings, executablePath, env: { ...env, ...libraries } });
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
  return {
    open: (size = { width: 1280, height: 800 }) => openPage(browser, size),
    async close() {
      await browser.close();
      rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

async function openPage(browser: Browser, size: { width: number; height: number }): Promise<Visit> {
  const context = await browser.createBrowserContext();
  const page = await context.newPage();
  await page.setViewport(size);
  const visit: Visit = {
    page,
    requests: [],
    consoleErrors: [],
    pageErrors: [],
    async screenshot(name, part = 'page') {
      mkdirSync(SCREENSHOTS, { recursive: true });
      const path = join(SCREENSHOTS, `${basename(name)}.png`);
      await page.screenshot({ path: path as `${string}.png`, fullPage: part === 'page' });
      return path;
    },
  };
  page.on('request', (request) => visit.requests.push(request.url()));
  page.on('console', (message) => {
    if (message.type() === 'error') visit.consoleErrors.push(message.text());
  });
  page.on('pageerror', (error) => visit.pageErrors.push(String(error)));
  return visit;
}

/** The package unpacks to the folder for temporary files and runs what it finds there: that must be nobody else's. */
async function unpack(folder: string): Promise<string> {
  const { TMPDIR, AWS_EXECUTION_ENV } = process.env;
  process.env.TMPDIR = folder;
  // The package unpacks the libraries of Amazon Linux 2023 only where it believes to be in Lambda.
  if (!hasLibraries()) process.env.AWS_EXECUTION_ENV = 'AWS_Lambda_nodejs20.x';
  try {
    return await chromium.executablePath();
  } finally {
    restore('TMPDIR', TMPDIR);
    restore('AWS_EXECUTION_ENV', AWS_EXECUTION_ENV);
  }
}

function restore(name: string, value: string | undefined): void {
  if (value === undefined) delete process.env[name];
  else process.env[name] = value;
}

/** Whether the system has libnss3 and libnspr4, which a slim Debian lacks. The package brings its own. */
function hasLibraries(): boolean {
  if (process.env.RUNCTL_TEST_BROWSER_LIBRARIES === 'package') return false;
  const { stdout } = spawnSync('/sbin/ldconfig', ['-p'], { encoding: 'utf8' });
  return ['libnss3.so', 'libnspr4.so'].every((name) => stdout?.includes(name) === true);
}

/** The package brings one font, and a configuration of folders that are not here. */
function writeFontConfig(folder: string): string {
  const file = join(folder, 'fonts.conf');
  const folders = [join(folder, 'fonts'), '/usr/share/fonts'].map((path) => `<dir>${path}</dir>`).join('');
  const cache = `<cachedir>${join(folder, 'fonts-cache')}</cachedir>`;
  writeFileSync(file, `<?xml version="1.0"?><fontconfig>${folders}${cache}</fontconfig>`);
  return file;
}

/** The folders of test processes that were killed. */
function removeLeftovers(): void {
  mkdirSync(FOLDER, { recursive: true });
  for (const name of readdirSync(FOLDER)) {
    if (!isAlive(Number(name.split('-')[0]))) rmSync(join(FOLDER, name), { recursive: true, force: true });
  }
}
