import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { MiddlewareHandler } from 'hono';

/** A one-time ticket for the browser that runctl opens: command lines are visible to other users of the machine. */
const TICKET_LASTS_MS = 60_000;

/** The secrets of one server. They end with it. */
export class Keys {
  readonly token = randomBytes(24).toString('base64url');
  #ticket: { readonly value: string; readonly until: number } | null = null;

  isToken(text: string | undefined): boolean {
    return text !== undefined && timingSafeEqual(digest(text), digest(this.token));
  }

  issueTicket(now = Date.now()): string {
    this.#ticket = { value: randomBytes(24).toString('base64url'), until: now + TICKET_LASTS_MS };
    return this.#ticket.value;
  }

  /** Whether this is the ticket that was issued. It is of use once. */
  redeem(text: string, now = Date.now()): boolean {
    const ticket = this.#ticket;
    const matches = ticket !== null && now < ticket.until && timingSafeEqual(digest(text), digest(ticket.value));
    if (matches) this.#ticket = null;
    return matches;
  }
}

/** Equal lengths, which the comparison needs. */
function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

const HEADERS = {
  'content-security-policy': [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    // Nothing becomes markup, except drawings of curves.
    "require-trusted-types-for 'script'",
    'trusted-types drawing',
  ].join('; '),
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'cache-control': 'no-store',
} as const;

/**
 * Refuses what does not come from the page itself. A site that has its name resolve to 127.0.0.1 sends its name as Host; other
 * sites and other servers of this machine send their Origin, or the browser says `cross-site` or `same-site`.
 * @param port of the server, once it is known
 */
export function guard(keys: Keys, port: () => number): MiddlewareHandler {
  return async (context, next) => {
    for (const [name, value] of Object.entries(HEADERS)) context.header(name, value);
    const { method, path } = context.req;
    const header = (name: string) => context.req.header(name);
    const own = [`127.0.0.1:${port()}`, `localhost:${port()}`];
    const host = header('host') ?? '';
    if (!own.includes(host)) return context.text(`Host ${JSON.stringify(host)} is not ${own[0]}.\n`, 403);
    const origin = header('origin');
    const isRead = method === 'GET' || method === 'HEAD';
    if (origin === undefined ? !isRead : origin !== `http://${host}`)
      return context.text(`Origin ${JSON.stringify(origin ?? '')} is not http://${host}.\n`, 403);
    const isPage = path === '/';
    const site = header('sec-fetch-site');
    // A person may open the page by a link, in a web terminal for example.
    if (!isPage && site !== undefined && site !== 'same-origin')
      return context.text(`This address answers its own page only, not requests that are ${site}.\n`, 403);
    if (path.startsWith('/api/')) {
      if (!keys.isToken(/^Bearer (.+)$/.exec(header('authorization') ?? '')?.[1])) return context.text(NO_TOKEN, 403);
    } else if (isPage) {
      if (!keys.isToken(context.req.query('token'))) {
        const ticket = context.req.query('ticket');
        if (ticket === undefined || !isRead || !keys.redeem(ticket)) return context.text(NO_TOKEN, 403);
        return context.redirect(`/?token=${keys.token}`);
      }
    } else if (site === undefined && !keys.isToken(context.req.query('token'))) {
      // Script and style of the page, which have no data: the browser says that the page asks for them.
      return context.text(NO_TOKEN, 403);
    }
    return await next();
  };
}

const NO_TOKEN = 'The token is missing or wrong. Open the address that `runctl ui` has printed.\n';
