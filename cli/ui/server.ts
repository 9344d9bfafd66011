import { readFileSync } from 'node:fs';
import { type Context, Hono } from 'hono';
import { JOBS, type JobName } from '../../core/names.ts';
import { CHART_STYLE } from '../../core/report/chart-style.ts';
import { CliError, EXIT } from '../errors.ts';
import { explain } from '../failure.ts';
import { guard, type Keys } from './guard.ts';
import type { AboutView, ErrorView, ListView, PullView, RunView, StopView } from './view.ts';

/** The page shows what is known when AWS takes longer. */
const MAX_WAIT_MS = 1_500;

/** What the page has already of a run. */
export interface PageState {
  readonly job: JobName | null;
  /** The last line of its log. */
  readonly line: number;
  /** Versions. */
  readonly metrics: string;
  readonly usage: string;
}

/** What the page can do. */
export interface Desk {
  about(): AboutView;
  list(all: boolean, maxWaitMs: number): Promise<ListView>;
  /** @throws CliError for a run that does not exist */
  run(id: string, has: PageState, maxWaitMs: number): Promise<RunView>;
  stop(id: string): Promise<StopView>;
  /** Begins the download. */
  pull(id: string): Promise<PullView>;
}

/** Files of the page, which have no data. */
const TYPES = { html: 'text/html', css: 'text/css', js: 'text/javascript', svg: 'image/svg+xml' } as const;
const FILES = ['app.js', 'list.js', 'run.js', 'log.js', 'dom.js', 'connection.js', 'style.css', 'icon.svg'] as const;

/** The server of the page, as a function of requests. */
export function createApp(desk: Desk, keys: Keys, port: () => number): Hono {
  const app = new Hono();
  app.use(guard(keys, port));
  app.get('/', (context) => file(context, 'index.html'));
  for (const name of FILES) app.get(`/${name}`, (context) => file(context, name));
  app.get('/chart.css', (context) => context.body(CHART_STYLE, 200, typeOf('css')));
  app.get('/api/about', (context) => context.json(desk.about()));
  app.get('/api/runs', async (context) => context.json(await desk.list(context.req.query('all') === '1', MAX_WAIT_MS)));
  app.get('/api/runs/:id', async (context) => {
    const { id } = context.req.param();
    const { job, line, metrics = '', usage = '' } = context.req.query();
    const has = { job: JOBS.find((name) => name === job) ?? null, line: Number(line) || 0, metrics, usage };
    return context.json(await desk.run(id, has, MAX_WAIT_MS));
  });
  app.post('/api/runs/:id/stop', async (context) => context.json(await desk.stop(context.req.param().id)));
  app.post('/api/runs/:id/pull', async (context) => context.json(await desk.pull(context.req.param().id)));
  app.notFound((context) => context.json(errorView(`There is no ${context.req.path}.`, 'Open the page again.'), 404));
  app.onError((error, context) => {
    const known = explain(error);
    const status = known === null ? 500 : error instanceof CliError && error.exitCode === EXIT.usage ? 404 : 502;
    const { message, next } = known ?? { message: `This is a defect of runctl: ${String(error)}`, next: '' };
    return context.json(errorView(message, next), status);
  });
  return app;
}

function file(context: Context, name: string) {
  const extension = name.split('.').at(-1) as keyof typeof TYPES;
  return context.body(readFileSync(new URL(`page/${name}`, import.meta.url), 'utf8'), 200, typeOf(extension));
}

function typeOf(extension: keyof typeof TYPES) {
  return { 'content-type': `${TYPES[extension]}; charset=utf-8` };
}

function errorView(message: string, next: string): ErrorView {
  return { error: { message, next } };
}
