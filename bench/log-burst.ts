import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { RUN_STATES } from '../core/workflow/states.ts';
import type { BenchCloud } from './cloud.ts';
import { atLeast, atMost, type Row, type Section } from './report.ts';
import { scriptArchive } from './scripts.ts';

const MB = 1_000_000;
const MB_A_SECOND = 5;
/** Enough to measure the emulator's own throughput. */
const ALONE_BYTES = 20 * MB;

/** Prints lines of random words, which compress badly, as fast as the disk accepts them. */
const burst = (bytes: number, line: number) => `import random
rng = random.Random(7)
def line(step):
    text = f"step {step} loss={rng.random():.6f}"
    while len(text) < ${line - 1}:
        text += f" {rng.getrandbits(40):x}"
    return text[:${line - 1}] + "\\n"
lines = "".join(line(step) for step in range(20_000))
left = ${bytes}
while left > 0:
    print(lines[:left], end="", flush=True)
    left -= len(lines)
`;

/**
 * Measures a job that writes all of its log at once: how fast CloudWatch has it, and whether CloudWatch,
 * S3 and the instance have the same bytes.
 * @param runs the folder of runs on the instance
 */
export async function benchBurst(
  cloud: BenchCloud,
  { work, runs }: { work: string; runs: string },
  say: (line: string) => void,
  signal: AbortSignal,
): Promise<Section[]> {
  const sections: Section[] = [];
  // The emulator's PutLogEvents takes time per event, so short lines are the slowest.
  for (const { megabytes, line, target } of [
    { megabytes: 100, line: 100, target: atLeast(MB_A_SECOND) },
    { megabytes: 30, line: 46, target: null },
  ]) {
    say(`a job that writes ${megabytes} MB at once, in lines of ${line} bytes`);
    const archive = await scriptArchive(work, `burst-${line}`, burst(megabytes * MB, line));
    const { runId, status, entered } = await cloud.watch(archive, { project: 'burst' }, signal);
    if (status !== 'SUCCEEDED') throw new Error(`The run of the log burst ended with ${status}.`);
    say(`reading ${megabytes} MB back`);
    const logged = await readBack(cloud, runId);
    const copy = gunzipSync(await cloud.object(`runs/${runId}/train.log.gz`));
    const file = await hashOf(createReadStream(join(runs, await folderOf(runs, runId), 'train', 'log')));
    say('the emulator alone');
    const alone = ALONE_BYTES / MB / ((await cloud.send(copy.subarray(0, ALONE_BYTES))) / 1_000);
    const seconds = (logged.last - (entered.get(RUN_STATES.start) ?? Number.NaN)) / 1_000;
    const others = [logged.sha256, createHash('sha256').update(copy).digest('hex')];
    sections.push({
      title: `Log of ${megabytes} MB at once, lines of ${line} bytes`,
      rows: [
        { name: 'from the start to the last byte in CloudWatch', value: megabytes / seconds, unit: 'MB/s', target },
        {
          name: 'PutLogEvents alone, same lines',
          value: alone,
          unit: 'MB/s',
          target: null,
          note: "MiniStack's maximum",
        },
        ...exactness(logged.bytes - megabytes * MB, others.filter((sha256) => sha256 !== file).length, file),
      ],
    });
  }
  return sections;
}

function exactness(off: number, different: number, sha256: string): Row[] {
  return [
    { name: 'bytes too many or too few', value: Math.abs(off), unit: 'bytes', target: atMost(0) },
    {
      name: 'copies that differ from the file on the instance',
      value: different,
      unit: '',
      target: atMost(0),
      note: `CloudWatch and S3; SHA-256 ${sha256.slice(0, 16)}…`,
    },
  ];
}

async function readBack(cloud: BenchCloud, runId: string) {
  const hash = createHash('sha256');
  let bytes = 0;
  let last = Number.NaN;
  for await (const page of cloud.logPages(runId)) {
    const text = page.map(({ message }) => message).join('');
    hash.update(text);
    bytes += Buffer.byteLength(text);
    last = page.at(-1)?.ingested ?? last;
  }
  return { sha256: hash.digest('hex'), bytes, last };
}

async function folderOf(runs: string, runId: string): Promise<string> {
  // The name of a run's folder starts with a prefix of its id.
  const found = (await readdir(runs)).find((name) => name.startsWith(runId.slice(0, 40)));
  if (found === undefined) throw new Error(`The instance has no folder of ${runId}.`);
  return found;
}

async function hashOf(stream: AsyncIterable<Buffer>): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of stream) hash.update(chunk);
  return hash.digest('hex');
}
