import { join } from 'node:path';
import { MANIFEST, runFileKey } from '../core/names.ts';
import { readManifest } from '../core/outcome/manifest-schema.ts';
import { RUN_STATES } from '../core/workflow/states.ts';
import { registerInstance } from '../local/cloud/instance.ts';
import type { StatePaths } from '../local/cloud/paths.ts';
import type { LocalState } from '../local/cloud/state.ts';
import type { BenchCloud } from './cloud.ts';
import { atMost, type Row, type Section } from './report.ts';
import { scriptArchive } from './scripts.ts';

const PROJECT = 'warm';

/** What may be installed. Times in seconds. */
export const PACKAGES = {
  'scikit-learn': { module: 'sklearn', rounds: 3, target: 3, sent: 30 },
  // 5.4 GB of files with what it requires. The emulator keeps them in its memory.
  torch: { module: 'torch', rounds: 1, target: 30, sent: 420 },
} as const satisfies Record<
  string,
  {
    readonly module: string;
    readonly rounds: number;
    /** Of an install that is restored. */
    readonly target: number;
    /** Long enough for the environment to be sent while the training runs. */
    readonly sent: number;
  }
>;
export type PackageName = keyof typeof PACKAGES;

/** Measures the install of a package on new instances of the local cloud, from the index and from S3, in turns. */
export async function benchEnvironments(
  {
    cloud,
    state,
    paths,
    install,
  }: {
    cloud: BenchCloud;
    state: LocalState;
    paths: StatePaths;
    install: PackageName;
  },
  work: string,
  say: (line: string) => void,
  signal: AbortSignal,
): Promise<Section> {
  const { module, rounds, target, sent } = PACKAGES[install];
  const short = `import ${module}\nprint(${module}.__version__, flush=True)\n`;
  let instances = 0;
  const installOn = async (script: string, storeEnvironment: boolean) => {
    instances += 1;
    const name = `warm-${instances}`;
    // A home of its own, and so no cache of packages.
    const instance = await registerInstance(state, { name, project: name, folder: join(paths.instance, name) });
    const archive = await scriptArchive(work, PROJECT, script, `${install}\n`);
    const spec = { project: PROJECT, instance, environment: 'project', storeEnvironment } as const;
    const { runId, status, entered } = await cloud.watch(archive, spec, signal);
    if (status !== 'SUCCEEDED') throw new Error(`The run that installs ${install} ended with ${status}.`);
    const manifest = readManifest((await cloud.textOf(runFileKey(runId, MANIFEST))) ?? '');
    const began = entered.get(RUN_STATES.install) ?? Number.NaN;
    const ended = entered.get(RUN_STATES.start) ?? Number.NaN;
    const job = Number(manifest?.jobs.install?.result?.seconds ?? Number.NaN);
    return { environment: manifest?.environment ?? null, state: (ended - began) / 1_000, job };
  };
  say(`an install of ${install} whose environment is stored`);
  const first = await installOn(`import time\n${short}time.sleep(${sent})\n`, true);
  if (first.environment?.sha256 == null) throw new Error('The environment was not stored.');
  const cold: (typeof first)[] = [];
  const restored: (typeof first)[] = [];
  for (let round = 1; round <= rounds; round += 1) {
    say(`new instances, ${round} of ${rounds}`);
    cold.push(await installOn(short, false));
    restored.push(await installOn(short, true));
  }
  if (!restored.every(({ environment }) => environment?.restored)) throw new Error('An environment was not restored.');
  const best = (runs: readonly (typeof first)[], key: 'state' | 'job') => Math.min(...runs.map((one) => one[key]));
  const worst = (runs: readonly (typeof first)[], key: 'state' | 'job') => Math.max(...runs.map((one) => one[key]));
  const rows: Row[] = [
    {
      name: 'the job, restored, the slowest',
      value: worst(restored, 'job'),
      unit: 's',
      target: atMost(target),
    },
    {
      name: 'the state Install requirements, restored, the slowest',
      value: worst(restored, 'state'),
      unit: 's',
      target: atMost(target),
    },
    {
      name: 'the job, installed, the fastest',
      value: best(cold, 'job'),
      unit: 's',
      target: null,
      note: 'from an index on this machine',
    },
    { name: 'the state, installed, the fastest', value: best(cold, 'state'), unit: 's', target: null },
    { name: 'restored, of installed', value: worst(restored, 'job') / best(cold, 'job'), unit: 'x', target: null },
  ];
  return { title: `Environments: ${install} on a new instance, ${rounds} times`, rows };
}
