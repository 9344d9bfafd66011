import { latestKey } from '../core/checkpoints/keys.ts';
import { readLatest } from '../core/checkpoints/manifest.ts';
import { LONGEST_WAIT } from '../core/workflow/poll-timing.ts';
import type { BenchCloud } from './cloud.ts';
import { atMost, type Row, type Section } from './report.ts';
import { scriptArchive } from './scripts.ts';
import { POLL_SECONDS } from './watch-cost.ts';

const PROJECT = 'saves';
/** Epoch seconds between two: each is committed before the next. */
const PACE_S = 20;
const SMALL = { count: 3, mb: 1 };
const LARGE_MB = 200;
const DELAY_S = 25;
/** Of the keeper: it looks every 5 s, and a checkpoint has to be the same in looks that are 5 s apart (checkpoints/keeper.py, judge.py). */
const LOOK_S = 5;
const QUIET_S = 5;

/** Prints when each had its name. */
const SAVE = `import os, pickle, time
os.makedirs("checkpoints", exist_ok=True)
for name, size in ${JSON.stringify([...Array.from({ length: SMALL.count }, (_, n) => [`small-${n}`, SMALL.mb]), ['large', LARGE_MB]])}:
    path = "checkpoints/%s.pkl" % name
    with open(path + ".tmp", "wb") as file:
        pickle.dump(os.urandom(size * 1000000), file)
    os.rename(path + ".tmp", path)
    print("renamed=%s at=%.3f" % (path, time.time()), flush=True)
    time.sleep(${PACE_S} + size / 20)
`;

/** Measures the time from the rename of a complete checkpoint until latest.json names it, in a run of the local cloud. */
export async function benchCheckpointDelay(
  cloud: BenchCloud,
  work: string,
  say: (line: string) => void,
  signal: AbortSignal,
): Promise<Section> {
  say(`a run that saves ${SMALL.count + 1} checkpoints`);
  const seen = new Map<string, number>();
  const archive = await scriptArchive(work, PROJECT, SAVE);
  const { runId, status } = await cloud.watch(archive, { project: PROJECT }, signal, async (id) => {
    const latest = readLatest((await cloud.textOf(latestKey(PROJECT, id))) ?? '');
    if (latest !== null && !seen.has(latest.name)) seen.set(latest.name, Date.now() / 1_000);
  });
  if (status !== 'SUCCEEDED') throw new Error(`The run that saves checkpoints ended with ${status}.`);
  const renamed = new Map<string, number>();
  for await (const page of cloud.logPages(runId)) {
    for (const { message } of page) {
      const [, name, at] = /renamed=(\S+) at=([\d.]+)/.exec(message) ?? [];
      if (name !== undefined) renamed.set(name, Number(at));
    }
  }
  const delay = (name: string) => (seen.get(name) ?? Number.NaN) - (renamed.get(name) ?? Number.NaN);
  const small = Array.from({ length: SMALL.count }, (_, n) => delay(`checkpoints/small-${n}.pkl`));
  const missing = [...renamed.keys()].filter((name) => !seen.has(name));
  if (missing.length > 0) throw new Error(`latest.json never named ${missing.join(', ')}.`);
  const bound = LOOK_S + QUIET_S + LONGEST_WAIT + POLL_SECONDS;
  const rows: Row[] = [
    {
      name: `${SMALL.mb} MB, the slowest of ${SMALL.count}`,
      value: Math.max(...small),
      unit: 's',
      target: atMost(DELAY_S),
    },
    { name: `${SMALL.mb} MB, the fastest`, value: Math.min(...small), unit: 's', target: null },
    { name: `${LARGE_MB} MB`, value: delay('checkpoints/large.pkl'), unit: 's', target: null, note: 'with sending it' },
    {
      name: 'bound from minute seven on, without sending',
      value: bound,
      unit: 's',
      target: atMost(DELAY_S),
      note: `a look every ${LOOK_S} s, quiet for ${QUIET_S} s, a poll every ${LONGEST_WAIT} s that takes ${POLL_SECONDS} s; computed`,
    },
  ];
  return { title: 'From the rename of a complete checkpoint until latest.json names it (polls every 2 to 4 s)', rows };
}
