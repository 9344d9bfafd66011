import { RUN_STATES } from '../core/workflow/states.ts';
import type { BenchCloud } from './cloud.ts';
import { atMost, type Row, type Section } from './report.ts';
import { scriptArchive } from './scripts.ts';

const LINES = 60;
const POLLS_BEHIND = 1;

const TICKS = `import time
for i in range(${LINES}):
    print(f"written={time.time():.3f}", flush=True)
    time.sleep(0.5)
print(f"written={time.time():.3f}", flush=True)
raise SystemExit(3)
`;

interface Line {
  /** Epoch ms, by the job and by CloudWatch; one machine here. */
  readonly written: number;
  readonly ingested: number;
}

/** Measures the latency of the lines and of the end of a job that prints the time twice a second, then fails. */
export async function benchLatency(
  cloud: BenchCloud,
  work: string,
  say: (line: string) => void,
  signal: AbortSignal,
): Promise<Section> {
  say(`a job that prints the time for ${LINES / 2} s, and fails`);
  const run = await cloud.watch(await scriptArchive(work, 'ticks', TICKS), { project: 'ticks' }, signal);
  if (run.status !== 'FAILED') throw new Error(`The run that should fail ended with ${run.status}.`);
  const lines: Line[] = [];
  for await (const page of cloud.logPages(run.runId)) {
    for (const { message, ingested } of page)
      lines.push({ written: Number(/written=([\d.]+)/.exec(message)?.[1]) * 1_000, ingested });
  }
  const death = lines.at(-1)?.written ?? Number.NaN;
  return {
    title:
      'Latency of logs and outcome (polls every 2 s at first; every 20 s from minute seven, which adds up to 18 s)',
    rows: [
      ...lateness(lines),
      {
        name: 'from the end of the process to "Finish run"',
        value: (run.entered.get(RUN_STATES.finish) ?? Number.NaN) - death,
        unit: 'ms',
        target: null,
        note: 'the outcome is known then',
      },
      {
        name: 'from the end of the process to the end of the execution',
        value: run.endedAt - death,
        unit: 'ms',
        target: null,
        note: 'outputs, logs and manifest are in S3',
      },
    ],
  };
}

function lateness(lines: readonly Line[]): Row[] {
  const late = lines.map(({ written, ingested }) => ingested - written).sort((a, b) => a - b);
  const at = (share: number) => late[Math.min(late.length - 1, Math.floor(share * late.length))] ?? null;
  const polls = [...new Set(lines.map(({ ingested }) => ingested))];
  // Polls that sent log after a line was written, but without that line. One poll may already have been running.
  const behind = lines.map(({ written, ingested }) => polls.filter((poll) => poll > written && poll < ingested).length);
  return [
    { name: 'a line, from the job to CloudWatch, p50', value: at(0.5), unit: 'ms', target: null },
    { name: 'a line, from the job to CloudWatch, p95', value: at(0.95), unit: 'ms', target: null },
    {
      name: 'polls without a line that was written, maximum',
      value: Math.max(...behind),
      unit: '',
      target: atMost(POLLS_BEHIND),
    },
  ];
}
