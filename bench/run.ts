import { join } from 'node:path';
import { packFolder } from '../cli/archive/pack.ts';
import { RUN_STATES } from '../core/workflow/states.ts';
import { exampleFolder } from '../local/demo/options.ts';
import { ensureVenv } from '../local/tools/python-tools.ts';
import type { BenchCloud, MeasuredRun } from './cloud.ts';
import { atMost, type Section } from './report.ts';
import { scriptArchive } from './scripts.ts';

const ROUNDS = 3;
/** A package of one file: a cached install takes the same time for any package. */
const SMALL_REQUIREMENTS = 'six==1.17.0\n';
const CLOCK = 'import time\nprint(f"written={time.time():.3f}", flush=True)\n';
const CACHED_MS = 2_000;
const FIRST_LINE_MS = 5_000;
const EVENTS = 20_000;

/** Runs in a running local cloud: the digits without an install, a clock, and a clock with a cached install. */
export async function benchRuns(
  cloud: BenchCloud,
  work: string,
  say: (line: string) => void,
  signal: AbortSignal,
): Promise<Section[]> {
  const best = async (name: string, archive: string, spec: object) => {
    const runs: MeasuredRun[] = [];
    for (let round = 1; round <= ROUNDS; round += 1) {
      say(`${name}, round ${round} of ${ROUNDS}`);
      runs.push(await cloud.run(archive, spec, signal));
    }
    return runs.reduce((a, b) => (a.total <= b.total ? a : b));
  };
  // The packages are in an environment of the bench. The times include importing them.
  const venv = await ensureVenv('bench-digits', join(exampleFolder, 'requirements.txt'), say, undefined, signal);
  const digitsArchive = join(work, 'digits.tar.gz');
  await packFolder(exampleFolder, digitsArchive, { signal });
  const digits = await best('digits without an install', digitsArchive, {
    install: 'skip',
    python: join(venv, 'bin', 'python'),
    args: ['--epochs', '3', '--pace', '0'],
  });
  const clock = await best('a script that prints the time', await scriptArchive(work, 'clock', CLOCK), {
    project: 'clock',
  });
  const cached = await best(
    'the same, install cached',
    await scriptArchive(work, 'clock-cached', CLOCK, SMALL_REQUIREMENTS),
    {
      project: 'clock-cached',
      install: 'required',
    },
  );
  return [statesOf(digits), coreOf(digits, clock, cached)];
}

function statesOf({ states, total }: MeasuredRun): Section {
  const rows = states.map(({ state, ms }) => ({ name: state, value: ms, unit: 'ms' as const, target: null }));
  return {
    title: `Digits, 3 epochs unpaced, packages in a venv, no install: by state (best of ${ROUNDS})`,
    rows: [...rows, { name: 'whole run', value: total, unit: 'ms', target: null }],
  };
}

function coreOf(digits: MeasuredRun, clock: MeasuredRun, cached: MeasuredRun): Section {
  const written = Number(/written=([\d.]+)/.exec(clock.trainLog)?.[1]) * 1_000 - clock.startedAt;
  const install = cached.states.find(({ state }) => state === RUN_STATES.install)?.ms ?? null;
  const events = ({ run, watches }: MeasuredRun['events']) => `${run} and ${watches} in its watches`;
  return {
    title: 'A run',
    rows: [
      { name: 'SSM round trips, nothing to install', value: clock.roundTrips, unit: '', target: atMost(3) },
      { name: 'SSM round trips, install cached', value: cached.roundTrips, unit: '', target: atMost(4) },
      { name: 'start to first training line, written', value: written, unit: 'ms', target: atMost(FIRST_LINE_MS) },
      {
        name: 'start to first training line, in CloudWatch',
        value: clock.firstLine,
        unit: 'ms',
        target: atMost(FIRST_LINE_MS),
      },
      { name: 'Install requirements, cached', value: install, unit: 'ms', target: atMost(CACHED_MS) },
      {
        name: 'events of the digits run',
        value: digits.events.run + digits.events.watches,
        unit: '',
        target: atMost(EVENTS),
        note: events(digits.events),
      },
    ],
  };
}
