import { join } from 'node:path';
import { clientVariables } from '../local/cloud/environment.ts';
import { projectRoot } from '../local/cloud/paths.ts';
import type { LocalState } from '../local/cloud/state.ts';
import type { BenchCloud } from './cloud.ts';
import { timed } from './processes.ts';
import { atMost, type Row, type Section } from './report.ts';
import { scriptArchive } from './scripts.ts';

const ROUNDS = 10;
const HELP_MS = 200;
const COMMAND_MS = 600;
const PROJECT = 'start-up';

/** Times whole processes of the command. The first one, which may bundle it, is not counted. */
export async function benchStartUp(
  { cloud, state }: { cloud: BenchCloud; state: LocalState },
  work: string,
  say: (line: string) => void,
  signal: AbortSignal,
): Promise<Section> {
  say(`commands, ${ROUNDS} times each`);
  await cloud.run(await scriptArchive(work, PROJECT, 'print("done")\n'), { project: PROJECT }, signal);
  const { PATH = '', HOME = '' } = process.env;
  const env = { PATH, HOME, ...clientVariables(state) };
  const command = async (most: number | null, ...args: readonly string[]): Promise<Row> => {
    const times: number[] = [];
    for (let round = 0; round <= ROUNDS; round += 1) {
      signal.throwIfAborted();
      times.push((await timed(process.execPath, args, { cwd: work, env })).ms);
    }
    const [name = ''] = args.slice(1);
    const target = most === null ? null : atMost(most);
    return { name: name === '' ? 'node alone' : `runctl ${name}`, value: median(times.slice(1)), unit: 'ms', target };
  };
  const runctl = join(projectRoot, 'bin', 'runctl.js');
  return {
    title: `Start-up of the command, against a local cloud (median of ${ROUNDS})`,
    rows: [
      await command(null, '--eval=0'),
      await command(HELP_MS, runctl, '--help'),
      await command(COMMAND_MS, runctl, 'list', '--project', PROJECT),
      await command(COMMAND_MS, runctl, 'status', '--project', PROJECT),
    ],
  };
}

function median(times: readonly number[]): number {
  const sorted = [...times].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}
