import { chownSync, cpSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { type CollectSetup, useCollectSetup } from '../support/instance/collect-setup.ts';
import { isRoot, NOBODY, PROJECT, type TestRun } from '../support/instance/test-instance.ts';

const FIXTURES = fileURLToPath(new URL('../fixtures/events', import.meta.url));
const POINTS = 'metric-points.jsonl.gz';
const collectSetup = useCollectSetup();
const setup = () => collectSetup(isRoot ? { user: NOBODY.name } : {});

interface Point {
  readonly name: string;
  readonly step: number;
  readonly value: number | null;
  readonly gap?: string;
  readonly time: number | null;
  readonly source: 'file' | 'events';
}

/** A file of the project from before the run. */
function write(box: CollectSetup, name: string, content: string | Buffer, uid?: number): void {
  const path = join(box.here.home, PROJECT, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
  if (isRoot) chownSync(dirname(path), NOBODY.uid, NOBODY.gid);
  if (isRoot) chownSync(path, uid ?? NOBODY.uid, uid ?? NOBODY.gid);
}

async function pointsOf(box: CollectSetup, run: TestRun, fields: object = {}) {
  const { state, files, warnings } = await box.collect(run, fields);
  expect(state).toBe('collected');
  const names = (files ?? []).map(({ name }) => name);
  if (!names.includes(POINTS)) return { points: [], names, warnings };
  await box.upload(run, names);
  const points = box.store
    .text(POINTS)
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Point);
  return { points, names, warnings };
}

const numberOf = ({ value, gap }: Point) => (value === null ? gap : value);
const GAPS: Readonly<Record<string, string>> = { nan: 'nan', inf: 'inf', '-inf': '-inf' };

describe('the points of metrics that a training writes', () => {
  it('into event files are those that TensorBoard reads there', async () => {
    const box = setup();
    const project = join(box.here.home, PROJECT);
    for (const folder of ['train', 'validation']) {
      cpSync(join(FIXTURES, folder), join(project, 'before', folder), { recursive: true });
    }
    const run = await box.trained('import shutil\nshutil.copytree("before", "logs/fit")\n');
    const { points, warnings } = await pointsOf(box, run);
    expect(warnings.filter((warning) => warning.includes('vent'))).toEqual([]);
    const expected = JSON.parse(readFileSync(join(FIXTURES, 'expected.json'), 'utf8')) as Record<
      string,
      [number, string, number][]
    >;
    const found: Record<string, unknown[]> = {};
    for (const point of points) {
      expect(point.source).toBe('events');
      found[point.name] = [...(found[point.name] ?? []), [point.step, numberOf(point), point.time]];
    }
    const wanted = Object.entries(expected).map(([name, all]) => [
      name,
      all.map(([step, value, time]) => [step, GAPS[value] ?? Number(value), time]),
    ]);
    expect(found).toEqual(Object.fromEntries(wanted));
    expect(points.length).toBe(121);
  });

  it('into RUNCTL_METRICS_FILE are the numbers of its lines; the file is removed once it is packed', async () => {
    const box = setup();
    const run = await box.trained(`import json, os, subprocess, sys
path = os.environ["RUNCTL_METRICS_FILE"]
print(path)
with open(path, "a") as file:
    for step in range(3):
        file.write(json.dumps({"step": step, "loss": 1 / (step + 1), "time": 1.7e9 + step, "on": True, "note": "x"}) + "\\n")
    file.write(json.dumps({"epoch": 2.5, "val": {"acc": 0.5, "deep": {"no": 1}}, "lr": float("nan"), "big": 10**400}) + "\\n")
    file.write('{"loss": 7}\\n')
    file.write("no JSON\\n[1]\\n{}\\n")
    file.write('{"loss": 1, "x": "%s"}\\n' % ("y" * 5000))
    file.write('{"step": 9, "bad name (1)": 1, "": 2, " lead": 3, "ok name/@.-_1": 4}\\n')
# A child has it too.
subprocess.run([sys.executable, "-c", "import os; open(os.environ['RUNCTL_METRICS_FILE'], 'a').write('{\\"step\\": 10, \\"loss\\": 8}\\\\n{\\"step\\": 11, \\"lo')"], check=True)
`);
    const file = box.here.logOf(run, 'train').toString().trim();
    const { points, names, warnings } = await pointsOf(box, run);
    expect(points.map((point) => [point.name, point.step, numberOf(point), point.time, point.source])).toEqual([
      ['loss', 0, 1, 1.7e9, 'file'],
      ['loss', 1, 0.5, 1.7e9 + 1, 'file'],
      ['loss', 2, 1 / 3, 1.7e9 + 2, 'file'],
      ['val/acc', 2.5, 0.5, null, 'file'],
      ['lr', 2.5, 'nan', null, 'file'],
      ['big', 2.5, 'inf', null, 'file'],
      ['loss', 4, 7, null, 'file'],
      ['ok name/@.-_1', 9, 4, null, 'file'],
      ['loss', 10, 8, null, 'file'],
    ]);
    expect(warnings).toEqual(
      expect.arrayContaining([
        '4 lines of RUNCTL_METRICS_FILE have no metrics, and were left out',
        expect.stringContaining('Metrics in files were left out because of their names, 3 in all'),
      ]),
    );
    expect(names).toContain(POINTS);
    expect(existsSync(file)).toBe(false);
  });

  it('are none of a run that writes none, or whose training never began', async () => {
    const box = setup();
    expect((await pointsOf(box, await box.trained('print("x")\n'))).names).not.toContain(POINTS);
    expect((await pointsOf(box, await box.trained())).names).not.toContain(POINTS);
  });

  it('are 64 series at most', async () => {
    const box = setup();
    const run = await box.trained(`import json, os
with open(os.environ["RUNCTL_METRICS_FILE"], "w") as file:
    for number in range(100_000): file.write(json.dumps({"step": 1, "m%d" % number: number}) + "\\n")
`);
    const { points, warnings } = await pointsOf(box, run);
    expect(points.map(({ name }) => name)).toEqual(Array.from({ length: 64 }, (_, number) => `m${number}`));
    expect(warnings).toContain('A run has at most 64 metrics in files: 10000 more were left out');
  });
});

describe.runIf(isRoot)('hostile files', () => {
  it('cost nothing but their own points', async () => {
    const box = setup();
    const real = readFileSync(join(FIXTURES, 'train/events.out.tfevents.1700000000.host'));
    write(box, 'real', real);
    const run = await box.trained(`import os, struct, sys
real = open("real", "rb").read()
os.makedirs("logs", exist_ok=True)
def name(kind): return "logs/events.out.tfevents.1." + kind
def put(kind, data): open(name(kind), "wb").write(data)
table = []
for byte in range(256):
    for _ in range(8): byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
    table.append(byte)
def crc(data):
    value = 0xFFFFFFFF
    for byte in data: value = table[(value ^ byte) & 255] ^ value >> 8
    value ^= 0xFFFFFFFF
    return ((value >> 15 | value << 17) + 0xA282EAD8) & 0xFFFFFFFF
def record(data, length=None):
    head = struct.pack("<Q", len(data) if length is None else length)
    return head + struct.pack("<I", crc(head)) + data + b"0000"
put("a-torn", real[:-7])
put("b-lies", real + record(b"x", 1 << 60))
put("c-damaged", real[:40] + b"!" + real[41:])
put("d-large", record(b"\\x00" * (3 << 20)) + record(b"") * 1000 + real)
put("e-nonsense", b"".join(record(bytes([key]) + b"\\xff" * 20) for key in range(256)))
put("f-inner", b"".join(record(b"\\x2a\\x05\\x0a" + bytes([n]) + b"\\x0a\\xff\\xff") for n in range(256)))
put("g-deep", record((b"\\x2a\\xff\\xff\\x03" * 20000)))
with open(name("h-hole"), "wb") as file: file.truncate(1 << 40)
os.mkfifo(name("i-fifo"))
os.mkdir(name("j-folder"))
os.symlink("/etc/shadow", name("k-link"))
os.symlink(os.path.abspath("real"), name("l-link"))
os.symlink("/", "logs/root")
put("m-binary-tag", record(b"\\x2a\\x0b\\x0a\\x09\\x0a\\x02\\xff\\x00\\x15" + struct.pack("<f", 1)))
metrics = os.environ["RUNCTL_METRICS_FILE"]
for attack in (lambda: os.unlink(metrics), lambda: os.rename(metrics, "x"), lambda: os.symlink("/etc/shadow", metrics + "2")):
    try: attack()
    except OSError: continue
    sys.exit(1)
with open(metrics, "wb") as file:
    file.write(b"[" * 4000 + b"\\n" + b"\\xff\\x00\\n" + b'{"step": 1e400, "a": 1}\\n{"step": "1", "b": 2}\\n')
    file.write(b'{"c": ' + b"9" * 4000 + b'}\\n')
    file.truncate(64 << 20)
`);
    const ended = await box.here.poll(run, 'train');
    expect(ended.exit, ended.tail?.join('\n')).toMatchObject({ code: 0 });
    // Of root, and readable: what another user wrote meanwhile is not the run's.
    write(box, 'others/events.out.tfevents.7.root', real, 0);
    const began = performance.now();
    const { points, warnings } = await pointsOf(box, run);
    expect(performance.now() - began).toBeLessThan(30_000);
    const counted = (name: string) => points.filter((point) => point.name === name).length;
    // Three files have all of the real one, one of them without its last record.
    expect([counted('loss'), counted('metrics/acc'), counted('before')]).toEqual([90, 90, 2]);
    expect(points.filter(({ source }) => source === 'file').map((point) => [point.name, numberOf(point)])).toEqual([
      ['b', 2],
      ['c', 'inf'],
    ]);
    expect(new Set(points.map(({ name }) => name))).toEqual(new Set(['loss', 'metrics/acc', 'before', 'b', 'c']));
    expect(warnings).toContain(
      'Event files are damaged, and were read up to there: logs/events.out.tfevents.1.c-damaged at byte 40, logs/events.out.tfevents.1.h-hole at byte 0',
    );
  });
});

it('the usage of a training is kept as a whole', async () => {
  const box = collectSetup();
  const run = await box.trained('import time\ntime.sleep(2.5)\n');
  const { files } = await box.collect(run);
  expect(files?.map(({ name }) => name)).toContain('usage.jsonl.gz');
  await box.upload(run, ['usage.jsonl.gz']);
  const series = readFileSync(join(box.here.jobFolder(run, 'train'), 'usage.jsonl'), 'utf8');
  expect(box.store.text('usage.jsonl.gz')).toBe(series);
  const sample = JSON.parse(series.split('\n')[0] ?? '') as object;
  expect(Object.keys(sample)).toEqual(expect.arrayContaining(['time', 'seconds', 'cpuPercent', 'job', 'gpus']));
  expect(statSync(join(box.here.jobFolder(run, 'train'), 'usage.jsonl')).mode & 0o777).toBe(0o600);
});
