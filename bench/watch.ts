import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { packFolder } from '../cli/pack.ts';
import { estimateCost } from '../core/cost.ts';
import { forecastWatch } from '../core/history-events.ts';
import type { LocalState } from '../local/state.ts';
import { BenchCloud } from './cloud.ts';
import { atLeast, atMost, type Row, type Section } from './report.ts';

const MEGABYTES = 100;
const THROUGHPUT = 5;
const LINES = 60;
const DOLLARS_AN_HOUR = 0.02;
const EVENTS = 20_000;
/** Of the command's way through SSM, planned (AWS-FACTS): 1 to 3 s. */
const POLL_SECONDS = 2;

const BURST = `import random, time
rng = random.Random(7)
words = [f"{rng.getrandbits(40):x}" for _ in range(5000)]
lines = "".join(f"step {i} loss={rng.random():.6f} {rng.choice(words)} {rng.choice(words)}\\n" for i in range(20000))
begin = time.time()
left = ${MEGABYTES} * 1000000
while left > 0:
    print(lines[:left], end="", flush=True)
    left -= len(lines)
`;
const CLOCK = `import time
for i in range(${LINES}):
    print(f"written={time.time():.3f}", flush=True)
    time.sleep(0.5)
print(f"written={time.time():.3f}", flush=True)
raise SystemExit(3)
`;

/** How a run is watched: the speed and exactness of its log, and what watching costs. In a local cloud that is up. */
export async function benchWatch(
  state: LocalState,
  work: string,
  say: (line: string) => void,
  signal: AbortSignal,
): Promise<Section[]> {
  const cloud = new BenchCloud(state);
  try {
    say(`a job that writes ${MEGABYTES} MB at once`);
    const burst = await cloud.runs(await pack(work, 'burst', BURST), { project: 'burst' }, signal);
    const text = await cloud.log(burst.runId);
    const copy = await cloud.object(`runs/${burst.runId}/train.log.gz`);
    const rows = throughput(burst.states, text, copy);
    say(`a job that prints the time ${LINES} times, and fails`);
    const clock = await cloud.runs(await pack(work, 'ticks', CLOCK), { project: 'ticks' }, signal);
    return [
      { title: 'Log', rows: [...rows, ...latencies(await cloud.logEvents(clock.runId), clock.endedAt)] },
      { title: 'What watching costs at AWS (a poll takes 2 s of SSM)', rows: costs() },
    ];
  } finally {
    cloud.close();
  }
}

async function pack(work: string, name: string, script: string): Promise<string> {
  const folder = join(work, name);
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'train.py'), script);
  await packFolder(folder, `${folder}.tar.gz`);
  return `${folder}.tar.gz`;
}

function throughput(states: readonly { state: string; ms: number }[], text: string, copy: Buffer): Row[] {
  const sha256 = (bytes: Uint8Array | string) => createHash('sha256').update(bytes).digest('hex');
  const same = sha256(text) === sha256(gunzipSync(copy));
  const bytes = Buffer.byteLength(text);
  const from = ['Start training', 'Confirm PID', 'Watch training'];
  const ms = states.filter(({ state }) => from.includes(state)).reduce((sum, state) => sum + state.ms, 0);
  return [
    {
      name: `${MEGABYTES} MB, from start to the last byte in CloudWatch`,
      value: bytes / 1e6 / (ms / 1_000),
      unit: 'MB/s',
      target: atLeast(THROUGHPUT),
    },
    {
      name: 'bytes lost or doubled',
      value: bytes - MEGABYTES * 1e6,
      unit: 'bytes',
      target: atMost(0),
      note: same ? 'SHA-256 in CloudWatch and in S3 are the same' : 'SHA-256 IN CLOUDWATCH AND IN S3 DIFFER',
    },
  ];
}

/** @param events of the log, ingestion times in epoch ms. @param endedAt of the execution, epoch ms */
function latencies(events: readonly { message: string; ingested: number }[], endedAt: number): Row[] {
  const lines = events.map(({ message, ingested }) => ({
    written: Number(/written=([\d.]+)/.exec(message)?.[1]) * 1_000,
    ingested,
  }));
  const late = lines.map(({ written, ingested }) => ingested - written).sort((a, b) => a - b);
  const at = (share: number) => late[Math.min(late.length - 1, Math.floor(share * late.length))] ?? null;
  return [
    { name: 'a line: written to CloudWatch, p50', value: at(0.5), unit: 'ms', target: null },
    {
      name: 'a line: written to CloudWatch, p95',
      value: at(0.95),
      unit: 'ms',
      target: null,
      note: 'the wait grows to 20 s at 400 s',
    },
    { name: 'from death to outcome', value: endedAt - (lines.at(-1)?.written ?? Number.NaN), unit: 'ms', target: null },
  ];
}

function costs(): Row[] {
  const times = [
    { name: 'an hour', hours: 1 },
    { name: '7 days', hours: 7 * 24 },
    { name: '30 days', hours: 30 * 24 },
  ];
  return times.flatMap(({ name, hours }): Row[] => {
    const { polls, watches, eventsPerWatch, eventsOfParent } = forecastWatch(hours * 3_600, POLL_SECONDS);
    const dollars = estimateCost({ states: 13 + 2 * watches, polls });
    return [
      {
        name: `most events of an execution, ${name}`,
        value: Math.max(eventsPerWatch, eventsOfParent),
        unit: '',
        target: atMost(EVENTS),
        note: `${polls} polls in ${watches} nested watches; ${eventsOfParent} events in the run itself`,
      },
      { name: `dollars, ${name}`, value: dollars, unit: '$', target: atMost(DOLLARS_AN_HOUR * hours) },
    ];
  });
}
