import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { Cloud } from '../support/cloud/cloud.ts';
import { COMMAND, projectFolder, runctl, shellEnvironment } from '../support/cloud/runctl.ts';
import { outputOf } from '../support/outputs.ts';
import { tarGz } from './archives.ts';

/** Far more than 3 s, which is what a quiet machine shows: the number itself is printed. */
const LATE_MS = 20_000;
const LINES = 20;

/** Writes odd bytes, then a line a second with the time of its writing; a TERM has it write a checkpoint. */
const TRAIN = `import os, signal, sys, time
for name, text in {"outputs/first": "first", "checkpoints/0": "zero", "notes/a": "a" * 100}.items():
    os.makedirs(os.path.dirname(name), exist_ok=True)
    with open(name, "w") as file:
        file.write(text)

def checkpoint(*_):
    with open("outputs/checkpoint", "w") as file:
        file.write("saved")
    print("checkpoint written", flush=True)
    sys.exit(1)

signal.signal(signal.SIGTERM, checkpoint)
sys.stdout.buffer.write(b"odd \\xff\\x00 bytes\\n")
for number in range(int(sys.argv[1])):
    print("written", time.time(), flush=True)
    if number < 3:
        print(f"epoch {number} loss={1 / (number + 1)}", flush=True)
    time.sleep(1)
with open("outputs/model.bin", "wb") as file:
    file.write(b"weights")
`;

let cloud: Cloud;
let folder: string;
let env: Record<string, string>;
let archive: string;
beforeAll(async () => {
  cloud = await Cloud.connect();
  env = await shellEnvironment();
  folder = projectFolder(cloud.project);
  archive = await cloud.put('archives/watch.tar.gz', await tarGz({ 'train.py': TRAIN }));
});

async function start(lines: number): Promise<{ arn: string; id: string }> {
  const spec = { archive, project: cloud.project, instance: cloud.instanceId, args: [String(lines)], stopGrace: '10s' };
  const arn = await cloud.start(spec);
  return { arn, id: arn.split(':').at(-1) ?? '' };
}

const cli = (...args: string[]) => runctl(folder, args, env);

/** The lines of `logs --live --json`, each with the time at which it came, and the exit code. */
async function live(id: string) {
  const child = spawn(process.execPath, [COMMAND, 'logs', id, '--live', '--json'], {
    cwd: folder,
    env,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const ended = new Promise<number | null>((resolve) => child.on('close', resolve));
  const lines: { text: string; cameAt: number }[] = [];
  for await (const line of createInterface(child.stdout)) {
    lines.push({ text: outputOf('logs', line).text, cameAt: Date.now() });
  }
  return { lines, code: await ended };
}

describe('runctl logs, status, list, stop, pull', () => {
  it('show a run while it lasts and after it, and one that waits for it', async () => {
    const first = await start(LINES);
    await cloud.entered(first.arn, 'Watch training');
    const watched = live(first.id);
    const second = await start(LINES);
    await cloud.entered(second.arn, 'Wait for instance');

    const waiting = outputOf('status', (await cli('status', second.id, '--json')).stdout);
    expect(waiting).toMatchObject({
      state: 'queued',
      outcome: null,
      queue: { place: 1, holder: { run: first.id } },
      project: cloud.project,
    });
    const [stopped] = outputOf('stop', (await cli('stop', second.id, '--json')).stdout);
    expect(stopped).toMatchObject({ id: second.id, message: expect.stringContaining('has left the queue') });

    const { lines, code } = await watched;
    expect(code).toBe(0);
    const written = lines.filter(({ text }) => text.startsWith('written'));
    expect(written.length).toBe(LINES);
    expect(new Set(written.map(({ text }) => text)).size).toBe(LINES);
    const delays = written.map(({ text, cameAt }) => cameAt - Number(text.split(' ')[1]) * 1_000);
    // The first ones were there before the command was.
    const late = delays.slice(LINES / 2).sort((a, b) => a - b);
    console.log(
      `logs --live: a line is on the screen after ${late[late.length >> 1]?.toFixed(0)} ms, ${late.at(-1)?.toFixed(0)} ms at most`,
    );
    expect(late.at(-1)).toBeLessThan(LATE_MS);

    const onInstance = readFileSync(cloud.jobPath(first.id, 'train', 'log'));
    const [, digest] = /^sha256 (\w+)$/m.exec((await raw(first.id)).trim()) ?? [];
    expect(digest).toBe(createHash('sha256').update(onInstance).digest('hex'));
    expect((await cli('logs', first.id, '-n', '2')).stdout).toBe(
      onInstance.toString('latin1').trimEnd().split('\n').slice(-2).join('\n').concat('\n'),
    );

    const timed = (await cli('logs', first.id, '--timestamps', '-n', String(LINES))).stdout.trimEnd().split('\n');
    expect(timed.length).toBe(LINES);
    for (const line of timed) {
      const [seen = '', , written] = line.split(' ');
      expect(Date.parse(seen) - Number(written) * 1_000).toBeGreaterThan(-2);
    }

    expect(await cli('status', second.id, '--wait')).toMatchObject({ code: 1 });
    const found = outputOf('list', (await cli('list', '--json')).stdout);
    expect(found.map(({ id, state }) => [id, state])).toEqual([
      [second.id, 'stopped'],
      [first.id, 'succeeded'],
    ]);
    expect(found[1]?.metrics).toMatchObject([{ name: 'loss' }]);
    expect((await cli('list')).stdout).toMatch(/METRIC[\s\S]*loss [\d.]+ \(step \d+\)/);

    const pulled = await cli('pull', first.id, second.id, '--json');
    expect(outputOf('pull', pulled.stdout)).toMatchObject([
      { id: first.id, outcome: 'succeeded', folder: join(folder, 'runctl-runs', first.id), outputs: 2 },
      { id: second.id, outcome: 'stopped', outputs: 0 },
    ]);
    expect(await cli('pull', first.id)).toMatchObject({ code: 0, stdout: `runctl-runs/${first.id}\n` });
    const there = (name: string) => readFileSync(join(folder, 'runctl-runs', first.id, name));
    expect(await cli('report', first.id)).toMatchObject({ code: 0, stdout: `runctl-runs/${first.id}/report.html\n` });
    const report = there('report.html').toString();
    for (const part of ['>loss</h3>', 'CPU', 'Watch training', 'succeeded']) expect(report).toContain(part);
    expect((await cli('report', first.id, second.id, '-o', 'both.html')).code).toBe(0);
    expect(readFileSync(join(folder, 'both.html'), 'utf8')).toContain('What differs');
    expect(there('outputs/model.bin').toString()).toBe('weights');
    expect(there('train.log').equals(onInstance)).toBe(true);
    expect(JSON.parse(there('manifest.json').toString())).toMatchObject({
      outcome: 'succeeded',
      run: { id: first.id },
    });
    expect((await cli('pull', first.id)).code).toBe(0);
    writeFileSync(join(folder, 'runctl-runs', first.id, 'outputs/model.bin'), 'mine');
    expect(await cli('pull', first.id)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('outputs/model.bin'),
    });
    expect(there('outputs/model.bin').toString()).toBe('mine');
    expect(await cli('pull', first.id, '--force')).toMatchObject({ code: 0 });
    expect(there('outputs/model.bin').toString()).toBe('weights');
  });

  it('follow a run until somebody stops it, gracefully', async () => {
    const run = await start(600);
    const followed = cli('logs', '-f', run.id);
    await cloud.entered(run.arn, 'Watch training');
    const next = await start(601);
    await cloud.entered(next.arn, 'Wait for instance');
    const active = outputOf('list', (await cli('list', '--active', '--json')).stdout);
    expect(active.map(({ id, state, args }) => [id, state, args])).toEqual([
      [next.id, 'queued', ['601']],
      [run.id, 'training', ['600']],
    ]);
    expect(await cli('stop')).toMatchObject({ code: 2, stderr: expect.stringContaining(`${next.id}  queued`) });
    const [left] = outputOf('stop', (await cli('stop', next.id, '--json')).stdout);
    expect(left).toMatchObject({ id: next.id, message: expect.stringContaining('has left the queue') });
    const soFar = await vi.waitFor(async () => {
      const [output] = outputOf('pull', (await cli('pull', run.id, '--to', 'kept', '--json')).stdout);
      // 5 s after its last write, a file counts as finished.
      expect(output).toMatchObject({ id: run.id, outcome: null, outputs: 2 });
      return output;
    }, 60_000);
    expect(soFar?.logs).toBeGreaterThanOrEqual(2);
    expect((await cli('logs', run.id, '--timestamps', '-n', '1')).stdout).toMatch(/^20\S+Z written \d+\.\d+\n$/);
    expect(readFileSync(join(folder, 'kept/outputs/first'), 'utf8')).toBe('first');
    expect(readFileSync(join(folder, 'kept/checkpoints/0'), 'utf8')).toBe('zero');
    expect(readFileSync(join(folder, 'kept/train.log'), 'utf8')).toMatch(/^odd .*\nwritten /);
    const asked = performance.now();
    const stopped = await cli('stop');
    console.log(`stop: the processes have ended after ${((performance.now() - asked) / 1_000).toFixed(1)} s`);
    expect(stopped).toMatchObject({
      code: 0,
      stdout: `Run ${run.id}: stopping. The training has ended. Outputs and logs are being saved; runctl pull waits for them.\n`,
    });
    expect(stopped.stderr).toContain('TERM');
    expect(outputOf('status', (await cli('status', run.id, '--json')).stdout)).toMatchObject({
      state: 'stopping',
      outcome: null,
      isKept: false,
    });
    expect((await cli('pull', run.id, '--to', 'kept')).stderr).toContain('waiting for its outputs');
    const { code, stdout } = await followed;
    expect(code).toBe(1);
    expect(stdout).toMatch(/^odd \\xff\\x00 bytes\nwritten /);
    expect((await cli('logs', run.id, '--raw')).stdout).toContain('checkpoint written');
    expect(await cli('stop', run.id)).toMatchObject({
      code: 0,
      stdout: `Run ${run.id}: stopped. It had already ended.\n`,
    });
    expect(outputOf('status', (await cli('status', run.id, '--json')).stdout)).toMatchObject({
      state: 'stopped',
      outcome: 'stopped',
      isKept: true,
    });
    expect(readFileSync(join(folder, 'kept/outputs/checkpoint'), 'utf8')).toBe('saved');
    expect(readFileSync(join(folder, 'kept/train.log'), 'utf8')).toContain('checkpoint written');
    expect((await cli('status', run.id)).stdout).toContain(`runctl pull ${run.id} --also 'notes/**'`);
    const also = outputOf('pull', (await cli('pull', run.id, '--to', 'kept', '--also', 'notes/**', '--json')).stdout);
    expect(also).toMatchObject([{ outcome: 'stopped', outputs: 2, also: 1 }]);
    expect(readFileSync(join(folder, 'kept/notes/a'), 'utf8')).toBe('a'.repeat(100));
  });
});

/** What `logs --raw | sha256sum` says. */
async function raw(id: string): Promise<string> {
  const child = spawn(process.execPath, [COMMAND, 'logs', id, '--raw'], {
    cwd: folder,
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const hash = createHash('sha256');
  for await (const chunk of child.stdout) hash.update(chunk as Buffer);
  return `sha256 ${hash.digest('hex')}`;
}
