import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { setUpError, usageError } from '../../../../cli/errors.ts';
import { Keys } from '../../../../cli/ui/guard.ts';
import { createApp, type Desk } from '../../../../cli/ui/server.ts';

const PAGE = fileURLToPath(new URL('../../../../cli/ui/page/', import.meta.url));
const PORT = 4567;
const OWN = `http://127.0.0.1:${PORT}`;

/** A server whose actions write down that they were called. */
function setUp(changes: Partial<Desk> = {}) {
  const called: string[] = [];
  const answer = (name: string) => async (id: unknown) => {
    called.push(`${name} ${id}`);
    return {} as never;
  };
  const about = { version: '1', region: 'eu-central-1', project: null, folder: '/tmp' };
  const desk: Desk = {
    about: () => about,
    list: answer('list'),
    run: answer('run'),
    stop: answer('stop'),
    pull: answer('pull'),
    ...changes,
  };
  const keys = new Keys();
  const app = createApp(desk, keys, () => PORT);
  const send = (path: string, headers: Record<string, string> = {}, method = 'GET') =>
    app.request(`${OWN}${path}`, { method, headers: { host: `127.0.0.1:${PORT}`, ...headers } });
  const bearer = { authorization: `Bearer ${keys.token}` };
  return { send, keys, bearer, called };
}

describe('the server of the page', () => {
  it('answers its own page', async () => {
    const { send, keys, bearer, called } = setUp();
    const page = await send(`/?token=${keys.token}`);
    expect(page.status).toBe(200);
    expect(await page.text()).toContain('<title>runctl</title>');
    for (const name of readdirSync(PAGE).filter((one) => !/^(index\.html|tsconfig\.json)$/.test(one)))
      expect([name, (await send(`/${name}`, { 'sec-fetch-site': 'same-origin' })).status]).toEqual([name, 200]);
    expect((await send('/api/runs?all=1', { ...bearer, host: `localhost:${PORT}` })).status).toBe(200);
    expect((await send('/api/runs/a', bearer)).status).toBe(200);
    expect((await send('/api/runs/a/stop', { ...bearer, origin: OWN }, 'POST')).status).toBe(200);
    expect((await send('/api/runs/a/pull', { ...bearer, origin: OWN }, 'POST')).status).toBe(200);
    expect(called).toEqual(['list true', 'run a', 'stop a', 'pull a']);
  });

  const { token } = new Keys();
  it.each([
    ['the page without the token', '/', {}],
    ['the page with the token of another server', `/?token=${token}`, {}],
    ['the page with a ticket that was not issued', '/?ticket=a', {}],
    ['the API without the token', '/api/runs', {}],
    ['the API with the token of another server', '/api/runs', { authorization: `Bearer ${token}` }],
    ['an unknown address', '/secret', {}],
    ['a file of the page, for a program', '/app.js', {}],
    ['a file of the page, for another site', '/app.js', { 'sec-fetch-site': 'cross-site' }],
    ['a file of the page, for another port of this machine', '/app.js', { 'sec-fetch-site': 'same-site' }],
    ['an address above', '/../package.json', {}],
  ])('refuses %s', async (_, path, headers) => {
    const { send, called } = setUp();
    expect((await send(path, headers as Record<string, string>)).status).toBe(403);
    expect(called).toEqual([]);
  });

  it.each([
    ['another name, which resolves to this machine', { host: `evil.example:${PORT}` }],
    ['another port', { host: '127.0.0.1:80' }],
    ['no port', { host: '127.0.0.1' }],
    ['another site', { origin: 'https://evil.example' }],
    ['a sandboxed page', { origin: 'null' }],
    ['another server of this machine', { origin: 'http://127.0.0.1:8888' }],
    ['the other name of this machine', { origin: `http://localhost:${PORT}` }],
    ['a request that the browser calls cross-site', { 'sec-fetch-site': 'cross-site' }],
    ['a request that the browser calls same-site', { 'sec-fetch-site': 'same-site' }],
  ])('refuses %s, though it has the token', async (_, headers) => {
    const { send, bearer, called, keys } = setUp();
    const all = { ...bearer, ...headers } as Record<string, string>;
    expect((await send('/api/runs', all)).status).toBe(403);
    expect((await send('/api/runs/a/stop', { origin: OWN, ...all }, 'POST')).status).toBe(403);
    if (!('sec-fetch-site' in headers)) expect((await send(`/?token=${keys.token}`, all)).status).toBe(403);
    expect(called).toEqual([]);
  });

  it('refuses actions without an origin, and by GET', async () => {
    const { send, bearer, called } = setUp();
    expect((await send('/api/runs/a/stop', bearer, 'POST')).status).toBe(403);
    expect((await send('/api/runs/a/stop', bearer)).status).toBe(404);
    expect(called).toEqual([]);
  });

  it('lets no other site ask first', async () => {
    const { send } = setUp();
    const asked = { origin: 'https://evil.example', 'access-control-request-method': 'POST' };
    const answer = await send('/api/runs/a/stop', asked, 'OPTIONS');
    expect(answer.status).toBe(403);
    expect(answer.headers.get('access-control-allow-origin')).toBeNull();
  });

  it('takes the ticket of the opened browser once', async () => {
    const { send, keys } = setUp();
    const ticket = keys.issueTicket();
    const first = await send(`/?ticket=${ticket}`);
    expect([first.status, first.headers.get('location')]).toEqual([302, `/?token=${keys.token}`]);
    expect((await send(`/?ticket=${ticket}`)).status).toBe(403);
    const late = keys.issueTicket(0);
    expect(keys.redeem(late, 61_000)).toBe(false);
  });

  it('sends a strict policy with every answer', async () => {
    const { send, bearer, keys } = setUp();
    for (const answer of [await send('/'), await send('/api/about', bearer), await send(`/?token=${keys.token}`)]) {
      const policy = answer.headers.get('content-security-policy') ?? '';
      expect(policy).toContain("default-src 'none'; script-src 'self'; style-src 'self'");
      expect(policy).not.toContain('unsafe');
      expect(answer.headers.get('referrer-policy')).toBe('no-referrer');
      expect(answer.headers.get('cache-control')).toBe('no-store');
      expect(answer.headers.get('set-cookie')).toBeNull();
    }
  });

  it('says what went wrong, and what to do', async () => {
    const fail = (error: Error) => async () => Promise.reject(error);
    const { send, bearer } = setUp({
      list: fail(setUpError('AWS cannot be reached.', 'Check the network.')),
      run: fail(usageError('There is no run a.', 'To list all runs: runctl list --all')),
      stop: fail(new TypeError('x is undefined')),
    });
    const read = async (path: string, method = 'GET') => {
      const answer = await send(path, { ...bearer, origin: OWN }, method);
      return [answer.status, await answer.json()];
    };
    expect(await read('/api/runs')).toEqual([
      502,
      { error: { message: 'AWS cannot be reached.', next: 'Check the network.' } },
    ]);
    expect(await read('/api/runs/a')).toMatchObject([404, { error: { message: 'There is no run a.' } }]);
    expect(await read('/api/runs/a/stop', 'POST')).toMatchObject([
      500,
      { error: { message: expect.stringContaining('defect of runctl') } },
    ]);
  });
});

describe('the files of the page', () => {
  const files = readdirSync(PAGE).filter((name) => name !== 'tsconfig.json');
  const text = (name: string) => readFileSync(`${PAGE}${name}`, 'utf8');

  it('refer to no other machine', () => {
    for (const name of files) {
      const urls = text(name).match(/https?:\/\/[^\s"')]+/g) ?? [];
      expect([name, urls.filter((url) => url !== 'http://www.w3.org/2000/svg')]).toEqual([name, []]);
    }
  });

  it('make no markup of text, and keep nothing in the browser', () => {
    for (const name of files)
      expect([
        name,
        text(name).match(/innerHTML|outerHTML|insertAdjacentHTML|document\.write|Storage|cookie|\beval\b/g),
      ]).toEqual([name, null]);
  });
});
