import { announce, byId, clock, duration, setText } from './dom.js';

const token = new URLSearchParams(location.search).get('token') ?? '';
/** AWS was asked and has not answered for so long, ms: the page says so. */
const STALE_MS = 15_000;

/** What runctl says of a request that it could not fulfill. */
export class RequestError extends Error {
  /** @param {string} message @param {string} next @param {number} status */
  constructor(message, next, status) {
    super(message);
    this.next = next;
    this.status = status;
  }
}

/**
 * Asks the server of this page.
 * @template T
 * @param {string} path below api/
 * @param {{ method?: 'GET' | 'POST', signal?: AbortSignal }} [options]
 * @returns {Promise<T>}
 */
export async function request(path, { method = 'GET', signal } = {}) {
  const response = await fetch(`api/${path}`, {
    method,
    headers: { authorization: `Bearer ${token}` },
    signal: signal ?? null,
  });
  if (response.status === 403)
    throw new RequestError(
      'This page is of a runctl that has ended.',
      'Open the address that the new one printed.',
      403,
    );
  const body = await response.json();
  if (response.ok) return body;
  throw new RequestError(body.error.message, body.error.next, response.status);
}

/**
 * Repeats a request while the page is in view, until it is told to stop. Survives that nobody answers.
 * @template {import('../view.ts').Read} T
 * @param {() => string} path
 * @param {number} everyMs
 * @param {(view: T) => void} show
 * @returns {() => void} stops it
 */
export function repeat(path, everyMs, show) {
  const stopped = new AbortController();
  /** Ends the pause. @type {() => void} */
  let wake = () => undefined;
  const onShown = () => {
    if (!document.hidden) wake();
  };
  document.addEventListener('visibilitychange', onShown);
  void loop();
  return () => {
    stopped.abort();
    document.removeEventListener('visibilitychange', onShown);
    wake();
  };

  async function loop() {
    while (!stopped.signal.aborted) {
      if (!document.hidden) {
        try {
          /** @type {T} */
          const view = await request(path(), { signal: stopped.signal });
          if (stopped.signal.aborted) return;
          show(view);
          showFreshness(view);
        } catch (error) {
          if (stopped.signal.aborted) return;
          showFailure(error);
          // Of another server, or of a run that does not exist: asking again does not help.
          if (error instanceof RequestError && error.status < 500) return;
        }
      }
      await pause(document.hidden ? 3_600_000 : everyMs);
    }
  }

  /** @param {number} ms @returns {Promise<void>} */
  function pause(ms) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

/** @param {import('../view.ts').Read} read */
function showFreshness({ readAt, trouble }) {
  const now = Date.now();
  setText(byId('freshness'), readAt === null ? 'reading …' : `as of ${clock(readAt)}`);
  const seen = readAt === null ? '' : `What you see is of ${clock(readAt)}.`;
  if (trouble !== null) {
    const since = duration((now - trouble.since) / 1_000);
    showTrouble('AWS does not answer', `for ${since}; trying again. ${seen} ${trouble.message} ${trouble.next}`);
  } else if (readAt !== null && now - readAt > STALE_MS) {
    showTrouble('AWS does not answer', `for ${duration((now - readAt) / 1_000)}; still waiting. ${seen}`);
  } else showTrouble(null, '');
}

/** @param {unknown} error */
function showFailure(error) {
  if (error instanceof RequestError) showTrouble(error.message, error.next);
  else if (error instanceof TypeError)
    showTrouble('runctl ui does not answer', 'If it has ended, start it again: runctl ui. Runs go on without it.');
  else throw error;
}

let troubleShown = '';

/**
 * A bar above the page, which goes away by itself. People who do not see it hear its beginning once.
 * @param {string | null} title
 * @param {string} text
 */
export function showTrouble(title, text) {
  const bar = byId('trouble');
  if (title === null) {
    if (troubleShown !== '') announce('Everything answers again.');
    troubleShown = '';
    bar.hidden = true;
    bar.replaceChildren();
    return;
  }
  if (troubleShown !== title) {
    const strong = document.createElement('strong');
    strong.textContent = title;
    const rest = document.createElement('span');
    // Read out when it appears, not at each of its seconds.
    rest.setAttribute('aria-live', 'off');
    bar.replaceChildren(strong, ' ', rest);
    bar.hidden = false;
    troubleShown = title;
  }
  setText(/** @type {Element} */ (bar.lastElementChild), text);
}
