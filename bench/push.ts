import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { projectRoot } from '../local/cloud/paths.ts';
import { bestOf, timed } from './processes.ts';
import { writeProject } from './project.ts';
import { PushStore } from './push-store.ts';
import { atMost, type Section } from './report.ts';

const FILES = 2_000;
const BYTES = 32 * 1024 * 1024;
const ROUNDS = 7;
/** Of the time that tar takes. */
const EDIT_SHARE = 0.25;

/** Times whole processes of `runctl push`, to a store on loopback that keeps what it gets in memory, beside `tar czf`. */
export async function benchPush(work: string, say: (line: string) => void, signal: AbortSignal): Promise<Section[]> {
  say(`runctl push of ${FILES} files, ${ROUNDS} times each`);
  // Outside of this checkout: in a folder that its repository ignores, git would be asked six times for nothing.
  const project = await mkdtemp(join(tmpdir(), 'runctl-bench-'));
  const store = await PushStore.start();
  const { PATH = '' } = process.env;
  const env = { PATH, HOME: work, ...store.variables };
  const push = async (...options: string[]) => {
    signal.throwIfAborted();
    const args = [join(projectRoot, 'bin', 'runctl.js'), 'push', '--project', 'bench', ...options];
    return (await timed(process.execPath, args, { cwd: project, env })).ms;
  };
  const edited = join(project, 'pkg1', 'part1', 'module1.py');
  let edits = 0;
  const pushEdited = async () => {
    edits += 1;
    await writeFile(edited, `learning_rate = ${edits}\n${await readFile(edited, 'utf8')}`);
    return await push();
  };
  try {
    await writeProject(project, FILES, BYTES);
    await push(); // may bundle the command
    const best = await bestOf(ROUNDS, {
      tar: async () => {
        // Not what the command keeps: its last archive would take tar half as long again.
        const args = ['czf', join(work, 'theirs.tar.gz'), '--exclude=./.runctl', '-C', project, '.'];
        return (await timed('tar', args)).ms;
      },
      push: async () => {
        await rm(join(project, '.runctl'), { recursive: true });
        store.forget();
        return await push();
      },
      edit: pushEdited,
      same: () => push(),
    });
    await commitAll(project);
    const tracked = await bestOf(ROUNDS, {
      edit: pushEdited,
      same: () => push(),
    });
    const ratio = (name: string, ms: number, most: number | null) => ({
      name,
      value: ms / best.tar,
      unit: 'x' as const,
      target: most === null ? null : atMost(most),
      note: `${Math.round(ms)} ms`,
    });
    return [
      {
        title: `runctl push of ${FILES} files, 32 MB, whole process (best of ${ROUNDS}, in turns), of the time of tar czf`,
        rows: [
          { name: 'tar czf', value: best.tar, unit: 'ms', target: null },
          ratio('without an earlier archive', best.push, 1),
          ratio('one line changed', best.edit, EDIT_SHARE),
          ratio('nothing changed', best.same, EDIT_SHARE),
          ratio('one line changed, in a git repository', tracked.edit, null),
          ratio('nothing changed, in a git repository', tracked.same, null),
        ],
      },
    ];
  } finally {
    await store.stop();
    await rm(project, { recursive: true, force: true });
  }
}

async function commitAll(folder: string): Promise<void> {
  const author = ['-c', 'user.name=bench', '-c', 'user.email=bench@localhost'];
  for (const args of [
    ['init', '--quiet'],
    ['add', '.'],
    [...author, 'commit', '--quiet', '--message', 'All'],
  ])
    await timed('git', args, { cwd: folder });
}
