import { join } from 'node:path';
import { grantOf, senderWords, type Target } from './checkpoint-sender.ts';
import { bareEnvironment, timed } from './processes.ts';
import { withReceiver } from './receiver.ts';
import { atMost, type Section } from './report.ts';

const ROUNDS = 8;
const WINDOW_S = 2;
const MOST_PERCENT = 1;
/** About that of one connection to S3. At full speed the receiver itself would take the other core. */
const MB_PER_SECOND = 100;

/**
 * Steps of a training on one core, in windows without and with an uploader beside it, in turns. Words: the sender's. Prints the times of
 * the steps of both.
 */
const STEPS = `import json, os, statistics, subprocess, sys, time
grant = sys.stdin.read()
def step():
    begun = time.perf_counter()
    total = 0
    for number in range(200000):
        total += number * number
    return time.perf_counter() - begun
def window():
    until = time.perf_counter() + ${WINDOW_S}
    times = []
    while time.perf_counter() < until:
        times.append(step())
    return times
window()
found = {"without": [], "with": []}
for turn in range(${ROUNDS}):
    found["without"] += window()
    loop = 'while python3 "$@" <<< "$GRANT" >/dev/null; do rm -rf "$NOTES"; done'
    child = subprocess.Popen(["bash", "-c", loop, "bash", *sys.argv[2:]], env=dict(os.environ, GRANT=grant, NOTES=sys.argv[1]), start_new_session=True)
    time.sleep(0.3)
    found["with"] += window()
    if child.poll() is not None:
        sys.exit("the uploader has ended")
    os.killpg(child.pid, 9)
    child.wait()
    subprocess.run(["rm", "-rf", sys.argv[1]])
print(json.dumps({name: statistics.median(times) for name, times in found.items()}))
`;

/** Measures whether a training on one core is slower while checkpoints are sent. */
export async function benchCheckpointSteps(
  { work, file, credentials }: { work: string; file: string; credentials: Target['credentials'] },
  say: (line: string) => void,
): Promise<Section> {
  say(`steps of a training, ${ROUNDS} windows of ${WINDOW_S} s without and with an upload`);
  const notes = join(work, 'steps');
  const { stdout } = await withReceiver(
    (endpoint) =>
      timed('python3', ['-I', '-c', STEPS, notes, ...senderWords(notes, file)], {
        env: bareEnvironment,
        input: grantOf({ endpoint, credentials }),
      }),
    MB_PER_SECOND,
  );
  const { without, with: beside } = JSON.parse(stdout) as { without: number; with: number };
  return {
    title: `Step time of a training on one core while checkpoints are sent all the time, ${MB_PER_SECOND} MB/s (median, in turns)`,
    rows: [
      { name: 'without', value: without * 1_000, unit: 'ms', target: null },
      { name: 'with', value: beside * 1_000, unit: 'ms', target: null },
      { name: 'with to without', value: beside / without, unit: 'x', target: atMost(1 + MOST_PERCENT / 100) },
    ],
  };
}
