import { VERSION } from '../../core/version.ts';
import type { Context, WorkContext } from '../context.ts';
import { explain } from '../failure.ts';
import type { Found } from '../project/project.ts';
import { pullRun } from '../runs/pull.ts';
import type { ReportSources } from '../runs/report.ts';
import { requestStop } from '../runs/stop.ts';
import { RunList } from './run-list.ts';
import { RunWatch } from './run-watch.ts';
import type { Desk } from './server.ts';
import type { PullView } from './view.ts';

/** Runs that were looked at; of older ones the log and the curves are read again. */
const MAX_WATCHES = 20;

/** What the page can do, by the code of the other commands. */
export function createDesk(
  { account, folder, signal }: Pick<Context, 'account' | 'folder' | 'signal'>,
  sources: ReportSources,
  about: { readonly region: string; readonly project: Found<string> | null },
): Desk {
  const { runs } = sources;
  const watches = new Map<string, Promise<RunWatch>>();
  const known = new Map<string, RunWatch>();
  const lists = new Map<string | null, RunList>();

  /** The same for every page. */
  const watch = (id: string): Promise<RunWatch> => {
    const existing = watches.get(id);
    watches.delete(id);
    const watching = existing ?? open(id);
    watches.set(id, watching);
    for (const oldest of [...watches.keys()].slice(0, -MAX_WATCHES)) {
      watches.delete(oldest);
      known.delete(oldest);
    }
    return watching;
  };
  const open = async (id: string): Promise<RunWatch> => {
    try {
      const run = await runs.find(id, async () => ({ value: '', from: '' }));
      const opened = new RunWatch(sources, run, signal);
      known.set(id, opened);
      return opened;
    } catch (error) {
      watches.delete(id);
      throw error;
    }
  };
  const knownWatch = (id: string): RunWatch | null => {
    if (!known.has(id)) watch(id).catch(() => undefined); // the next view tries again
    return known.get(id) ?? null;
  };

  return {
    about: () => ({ version: VERSION, region: about.region, project: about.project, folder }),

    async list(all, maxWaitMs) {
      const project = all ? null : (about.project?.value ?? null);
      const list = lists.get(project) ?? new RunList(runs, project, ({ id }) => knownWatch(id));
      lists.set(project, list);
      return await list.view(maxWaitMs);
    },

    async run(id, has, maxWaitMs) {
      return await (await watch(id)).view(has, maxWaitMs);
    },

    async stop(id) {
      const watching = await watch(id);
      // As it is now: the page may be some seconds behind.
      const run = await runs.find(watching.run.id, async () => ({ value: '', from: '' }));
      const stopped = await requestStop(runs, run);
      watching.expire();
      return stopped;
    },

    async pull(id) {
      const watching = await watch(id);
      if (watching.pull?.state !== 'running') {
        watching.pull = { state: 'running', text: 'Downloading', next: null, warnings: [], result: null };
        void download(watching);
      }
      return watching.pull;
    },
  };

  async function download(watching: RunWatch): Promise<void> {
    const update = (change: Partial<PullView>) => {
      if (watching.pull !== null) watching.pull = { ...watching.pull, ...change };
    };
    const terminal: WorkContext['terminal'] = {
      note: (text) => update({ text }),
      warn: (text) => update({ warnings: [...(watching.pull?.warnings ?? []), text] }),
      working: (text, work) => {
        update({ text });
        return work((current) => update({ text: current }));
      },
    };
    try {
      const run = await runs.find(watching.run.id, async () => ({ value: '', from: '' }));
      const result = await pullRun({ account, folder, signal, terminal }, runs, run, { unpack: true });
      update({ state: 'done', result });
    } catch (error) {
      const { message, next } = explain(error) ?? { message: `This is a defect of runctl: ${String(error)}`, next: '' };
      update({ state: 'failed', text: message, next });
    }
  }
}
