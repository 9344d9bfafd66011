import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { bareEnvironment, timed } from './processes.ts';
import { atMost, type Section } from './report.ts';

const RUNNER = join(import.meta.dirname, '../instance/runner');
const SAMPLES = 300;
const INTERVAL_S = 10;
const SPANS = [
  { name: 'an hour', seconds: 3_600 },
  { name: '7 days', seconds: 7 * 86_400 },
];
/** Of one core. */
const MOST_SHARE_PERCENT = 0.1;

/** Takes samples one after another, then writes the series of both spans, with eight GPUs. Prints what each took. */
const MEASURE = `import gzip, json, os, sys, time
runner, folder, count, spans = sys.argv[1], sys.argv[2], int(sys.argv[3]), json.loads(sys.argv[4])
sys.path.insert(0, runner)
from common import processes
from jobs import containers, usage
me = processes.existing(os.getpid())
sampler = usage.Sampler(folder, containers.ProcessGroup(me.pid, me.start))
begun = time.process_time()
for _ in range(count):
    sampler._next_at = 0
    sampler.tick()
found = {"sample": (time.process_time() - begun) / count, "spans": []}
sampler.close()
with open(os.path.join(folder, "usage.jsonl")) as file:
    sample = json.loads(file.readline())
gpu = dict.fromkeys(("utilizationPercent", "powerWatts", "temperatureCelsius"), 71.5)
for seconds in spans:
    path = os.path.join(folder, "series")
    series = usage.Series(path, usage._MAX_LINES)
    begun, slowest = time.process_time(), 0.0
    for number in range(seconds // ${INTERVAL_S}):
        gpus = [dict(gpu, index=i, memoryUsedBytes=i << 30, memoryTotalBytes=24 << 30) for i in range(8)]
        before = time.process_time()
        series.add(dict(sample, time=sample["time"] + ${INTERVAL_S} * number, seconds=${INTERVAL_S}, gpus=gpus))
        slowest = max(slowest, time.process_time() - before)
    used = time.process_time() - begun
    series.close()
    data = open(path, "rb").read()
    found["spans"].append({"cpu": used, "slowest": slowest, "bytes": len(data), "lines": data.count(b"\\n"), "packed": len(gzip.compress(data))})
print(json.dumps(found))
`;

interface Measured {
  readonly sample: number;
  readonly spans: readonly { cpu: number; slowest: number; bytes: number; lines: number; packed: number }[];
}

/** Measures what the samples of a training's usage cost the instance. */
export async function benchUsage(work: string, say: (line: string) => void): Promise<Section> {
  say(`${SAMPLES} samples of the usage`);
  const folder = join(work, 'usage');
  await mkdir(folder, { recursive: true });
  const spans = JSON.stringify(SPANS.map(({ seconds }) => seconds));
  const words = ['-I', '-B', '-c', MEASURE, RUNNER, folder, String(SAMPLES), spans];
  const { stdout } = await timed('python3', words, { env: bareEnvironment });
  const measured = JSON.parse(stdout) as Measured;
  const perSample = measured.sample;
  return {
    title: `Samples of the usage, one every ${INTERVAL_S} s (mean of ${SAMPLES}; the series with 8 GPUs; without nvidia-smi)`,
    rows: [
      {
        name: 'CPU time of a sample',
        value: perSample * 1_000,
        unit: 'ms',
        target: atMost(MOST_SHARE_PERCENT * INTERVAL_S * 10),
        note: `${((perSample * 100) / INTERVAL_S).toFixed(3)} % of one core`,
      },
      ...SPANS.flatMap(({ name, seconds }, index) => {
        const span = measured.spans[index];
        if (span === undefined) return [];
        const cpu = (perSample * seconds) / INTERVAL_S + span.cpu;
        const share = ((cpu * 100) / seconds).toFixed(3);
        return [
          { name: `${name}: CPU time`, value: cpu, unit: 's', target: null, note: `${share} % of one core` } as const,
          {
            name: `${name}: the longest that a line took`,
            value: span.slowest * 1_000,
            unit: 'ms',
            target: null,
          } as const,
          {
            name: `${name}: on disk`,
            value: span.bytes,
            unit: 'bytes',
            target: null,
            note: `${span.lines} lines`,
          } as const,
          { name: `${name}: usage.jsonl.gz`, value: span.packed, unit: 'bytes', target: null } as const,
        ];
      }),
    ],
  };
}
