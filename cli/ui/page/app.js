import { request, showTrouble } from './connection.js';
import { byId, setText } from './dom.js';
import { showList } from './list.js';
import { showRun } from './run.js';

/** @typedef {import('../view.ts').AboutView} AboutView */

/** Ends what the view before does. @type {() => void} */
let leave = () => undefined;
/** @type {AboutView | null} */
let about = null;

function route() {
  leave();
  const main = byId('main');
  main.replaceChildren();
  const run = /^#\/runs\/([^/]+)$/.exec(location.hash)?.[1];
  const hasProject = about?.project != null;
  if (run !== undefined) leave = showRun(main, decodeURIComponent(run));
  else leave = showList(main, { hasProject, all: location.hash === '#/all' || !hasProject });
}

async function begin() {
  for (;;) {
    try {
      about = /** @type {AboutView} */ (await request('about'));
      break;
    } catch (error) {
      showTrouble('runctl ui does not answer', error instanceof Error ? error.message : '');
      await new Promise((resolve) => setTimeout(resolve, 2_000));
    }
  }
  const { project, region, version } = about;
  setText(byId('about'), `${project === null ? 'all projects' : `project ${project.value}`} · ${region} · ${version}`);
  addEventListener('hashchange', () => {
    // The link that skips to the content is not a view.
    if (location.hash === '#main') return;
    route();
    byId('main').focus();
  });
  route();
}

void begin();
