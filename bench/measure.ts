import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type StatePaths, statePaths } from '../local/cloud/paths.ts';
import type { LocalState } from '../local/cloud/state.ts';
import { down } from '../local/commands/down.ts';
import { up } from '../local/commands/up.ts';
import { benchArchive } from './archive.ts';
import { benchCheckpoints } from './checkpoints.ts';
import { BenchCloud } from './cloud.ts';
import { benchEnvironments, type PackageName } from './environments.ts';
import { benchBurst } from './log-burst.ts';
import { benchLatency } from './log-latency.ts';
import { benchPatches } from './patch.ts';
import { benchPoll } from './poll-cost.ts';
import { benchMetrics } from './poll-metrics.ts';
import { benchPush } from './push.ts';
import type { Section } from './report.ts';
import { benchRuns } from './run.ts';
import { benchSizes } from './sizes.ts';
import { benchStartUp } from './start-up.ts';
import { benchSummary } from './summary-cost.ts';
import { benchUsage } from './usage-cost.ts';
import { benchWatchCost } from './watch-cost.ts';

type Say = (line: string) => void;

interface Bench {
  readonly work: string;
  readonly say: Say;
  readonly signal: AbortSignal;
  /** Of the file that is sent as a checkpoint. */
  readonly checkpointMb: number;
  /** Of the environment that is stored. */
  readonly install: PackageName;
}

interface CloudBench extends Bench {
  readonly paths: StatePaths;
  readonly state: LocalState;
  readonly cloud: BenchCloud;
}

/** Measures first what needs no cloud, so that no service runs meanwhile. */
export const PARTS = {
  archive: {
    what: 'packing, syncing and verifying 2,000 files, beside GNU tar',
    alone: ({ work, say, signal }: Bench) => benchArchive(work, say, signal),
  },
  patch: {
    what: 'bytes sent after edits of a project, beside rsync where it is installed',
    alone: ({ work, say, signal }: Bench) => benchPatches(work, say, signal),
  },
  push: {
    what: 'whole processes of `runctl push`, beside `tar czf`',
    alone: ({ work, say, signal }: Bench) => benchPush(work, say, signal),
  },
  poll: {
    what: 'processor and disk that one poll costs the instance',
    alone: async ({ work, say }: Bench) => [await benchPoll(work, say)],
  },
  usage: {
    what: 'processor and disk that the samples of the usage cost the instance',
    alone: async ({ work, say }: Bench) => [await benchUsage(work, say)],
  },
  summary: {
    what: 'time, memory and dollars of the metrics, report and summary of ended runs',
    alone: async ({ work, say }: Bench) => [await benchSummary(work, say)],
  },
  metrics: {
    what: 'speed of reading metrics, and whether that delays the log of a poll',
    alone: ({ say }: Bench) => benchMetrics(say),
  },
  watch: {
    what: 'events and dollars of an hour, 7 days and 30 days, computed',
    alone: async () => benchWatchCost(),
  },
  sizes: {
    what: 'Lambda bundles and SSM documents',
    inCloud: ({ paths }: CloudBench) => benchSizes(paths),
  },
  command: {
    what: 'start-up of the command: --help, list, status',
    inCloud: async ({ cloud, state, work, say, signal }: CloudBench) => [
      await benchStartUp({ cloud, state }, work, say, signal),
    ],
  },
  runs: {
    what: 'whole runs by state; round trips; time to the first line',
    inCloud: ({ cloud, work, say, signal }: CloudBench) => benchRuns(cloud, work, say, signal),
  },
  log: {
    what: 'speed and exactness of the log; how late lines and ends are known',
    inCloud: async ({ cloud, paths, work, say, signal }: CloudBench) => [
      await benchLatency(cloud, work, say, signal),
      ...(await benchBurst(cloud, { work, runs: join(paths.instance, 'root', 'runs') }, say, signal)),
    ],
  },
  checkpoints: {
    what: 'from a saved checkpoint to latest.json; upload beside `aws s3 cp`; step time of a training meanwhile',
    inCloud: ({ say, signal, ...bench }: CloudBench) => benchCheckpoints(bench, bench, say, signal),
  },
  environments: {
    what: 'scikit-learn, or torch, on a new instance: restored from S3, beside an install',
    inCloud: async ({ work, say, signal, ...bench }: CloudBench) => [await benchEnvironments(bench, work, say, signal)],
  },
} as const satisfies Record<
  string,
  { what: string } & (
    | { alone: (bench: Bench) => Promise<Section[]> }
    | { inCloud: (bench: CloudBench) => Promise<Section[]> }
  )
>;
export type Part = keyof typeof PARTS;

/** Measures in a separate local cloud, which does not affect the person's own and is removed at the end. */
export async function measure(parts: readonly Part[], options: Omit<Bench, 'work'>): Promise<Section[]> {
  const { say, signal } = options;
  const paths = statePaths(join(statePaths().base, 'bench'));
  const work = join(paths.base, 'work');
  await rm(work, { recursive: true, force: true });
  await mkdir(work, { recursive: true });
  const sections: Section[] = [];
  const asked = Object.entries(PARTS).filter(([name]) => parts.includes(name as Part));
  let cloud: BenchCloud | null = null;
  try {
    for (const [, part] of asked) {
      signal.throwIfAborted();
      if ('alone' in part) sections.push(...(await part.alone({ ...options, work })));
    }
    const inCloud = asked.flatMap(([, part]) => ('inCloud' in part ? [part.inCloud] : []));
    if (inCloud.length === 0) return sections;
    say('starting a local cloud');
    const { state } = await up(paths, { agentCommand: null, deploy: 'changed', signal, output: 'progress' });
    cloud = new BenchCloud(state);
    for (const part of inCloud) sections.push(...(await part({ ...options, work, paths, state, cloud })));
    return sections;
  } finally {
    cloud?.close();
    await down(paths, { purge: false });
    await rm(paths.base, { recursive: true, force: true });
  }
}
