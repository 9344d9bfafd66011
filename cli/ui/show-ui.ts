import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { getRequestListener } from '@hono/node-server';
import type { Context } from '../context.ts';
import { EXIT, type ExitCode, usageError } from '../errors.ts';
import type { UiOutput } from '../output/schemas.ts';
import { projectFor } from '../project/which-project.ts';
import { Runs } from '../runs/find.ts';
import { createDesk } from './desk.ts';
import { Keys } from './guard.ts';
import { openBrowser } from './open-browser.ts';
import { createApp } from './server.ts';

export interface UiOptions {
  readonly project?: string;
  readonly all?: true;
  readonly port?: number;
  readonly open: boolean;
  readonly json?: true;
}

/** What `runctl ui` does: serves the page until Ctrl-C. */
export async function showUi(context: Context, options: UiOptions): Promise<ExitCode> {
  const { account, terminal, signal } = context;
  const project = options.all ? null : await projectFor(context, options);
  // Before the page is opened: what is missing is said here.
  const [runs, logGroup, region] = await Promise.all([Runs.of(account), account.output('logGroup'), account.region()]);
  const keys = new Keys();
  const desk = createDesk(context, { runs, logs: account.logs, logGroup }, { region, project });
  let port = 0;
  const app = createApp(desk, keys, () => port);
  const server = createServer(getRequestListener(app.fetch, { overrideGlobalObjects: false }));
  port = await listen(server, options.port ?? 0);
  try {
    const address = `http://127.0.0.1:${port}/`;
    const url = `${address}?token=${keys.token}`;
    const output: UiOutput = { url, port };
    if (options.json) terminal.json(output);
    else {
      terminal.print(url);
      terminal.note('The page of runctl is at this address until you press Ctrl-C. Runs go on without it.');
    }
    if (options.open && !options.json && terminal.isInteractive && terminal.out.isTTY === true)
      openBrowser(`${address}?ticket=${keys.issueTicket()}`);
    if (!signal.aborted) await once(signal, 'abort');
    return EXIT.succeeded;
  } finally {
    server.close();
    server.closeAllConnections();
  }
}

async function listen(server: Server, port: number): Promise<number> {
  // The loopback interface only: nobody else reaches it.
  server.listen(port, '127.0.0.1');
  try {
    await once(server, 'listening');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    if (code !== 'EADDRINUSE' && code !== 'EACCES') throw error;
    const why = code === 'EACCES' ? 'may not be used by you' : 'is in use';
    throw usageError(`The port ${port} ${why}.`, 'Choose another one, or leave out --port: runctl ui');
  }
  return (server.address() as AddressInfo).port;
}
