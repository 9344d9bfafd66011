import { existsSync, readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { extract } from 'tar-stream';
import { describe, expect, it, vi } from 'vitest';
import type { AnswerTo } from '../../core/protocol/answers.ts';
import { type CollectSetup, sha256, useCollectSetup } from '../support/instance/collect-setup.ts';
import { PROJECT, type TestRun } from '../support/instance/test-instance.ts';

const collectSetup = useCollectSetup();

function fetch(box: CollectSetup, run: TestRun, outputs: readonly string[], fields: object = {}) {
  const base = { ...box.here.common('fetch', run), id: 'f1', wait: 15, outputs, maxBytes: 1_000_000 };
  return box.ask<AnswerTo<'fetch'>>({ ...base, put: box.store.url('fetched.tar.gz'), ...fields });
}

/** The files that were sent. */
async function sent(box: CollectSetup): Promise<Record<string, string>> {
  const files: Record<string, string> = {};
  const archive = extract();
  archive.end(gunzipSync(box.store.stored.get('fetched.tar.gz') ?? Buffer.alloc(0)));
  for await (const entry of archive) {
    const chunks: Uint8Array[] = [];
    for await (const chunk of entry) chunks.push(chunk as Uint8Array);
    files[entry.header.name] = Buffer.concat(chunks).toString();
  }
  return files;
}

const WRITES = `import os
for name in ("checkpoints/1.pt", "results/a.csv", "outputs/model"):
    os.makedirs(os.path.dirname(name), exist_ok=True)
    open(name, "w").write(name)
`;

describe('fetch', () => {
  it('sends files of an ended run once, and keeps no copy', async () => {
    const box = collectSetup();
    const run = await box.trained(WRITES);
    const packed = await fetch(box, run, ['checkpoints/**'], { put: undefined });
    expect(packed).toMatchObject({ ok: true, state: 'packed', files: 1, warnings: [], failed: null });
    const answer = await fetch(box, run, ['checkpoints/**']);
    const body = box.store.stored.get('fetched.tar.gz') ?? Buffer.alloc(0);
    expect(answer).toMatchObject({ state: 'uploaded', bytes: body.length, sha256: sha256(body), failed: null });
    expect(await sent(box)).toEqual({ 'checkpoints/1.pt': 'checkpoints/1.pt' });
    expect(await fetch(box, run, ['checkpoints/**'])).toEqual(answer);
    expect(box.store.tried).toEqual(['fetched.tar.gz']);
    const folder = join(box.here.root, 'runs', run.key, 'fetch-f1');
    expect(readdirSync(folder).filter((name) => name.endsWith('.gz'))).toEqual([]);
  });

  it('leaves out what the run is writing, and disturbs it in nothing', async () => {
    const box = collectSetup();
    const run = box.here.giveLease(box.here.run());
    box.here.write(
      'train.py',
      `${WRITES}import time
draft = open("checkpoints/2.pt", "w")
draft.write("half")
draft.flush()
os.utime("checkpoints/2.pt", (0, 0))
open("ready", "w").close()
while not os.path.exists("go"):
    time.sleep(0.05)
print("went on")
`,
    );
    await box.here.start(run, { train: {} });
    const project = join(box.here.home, PROJECT);
    await vi.waitFor(() => expect(existsSync(join(project, 'ready'))).toBe(true), 30_000);
    // 5 s after the last write, a file counts as finished; the one that is open never does.
    let number = 0;
    const attempt = () => fetch(box, run, ['checkpoints/**', 'results/**'], { id: `f${number++}` });
    const answer = await vi.waitFor(async () => {
      const found = await attempt();
      expect(found.files).toBe(2);
      return found;
    }, 60_000);
    expect(Object.keys(await sent(box)).sort()).toEqual(['checkpoints/1.pt', 'results/a.csv']);
    expect(answer.warnings).toEqual([
      '1 file of 4 bytes was left out, because the run has not finished writing: checkpoints/2.pt',
    ]);
    writeFileSync(join(project, 'go'), '');
    const ended = await box.here.ended(run, 'train');
    expect(ended.exit).toMatchObject({ code: 0 });
    expect(await box.collect(run)).toMatchObject({ state: 'collected' });
  });

  it('of an ended run leaves out what somebody changed later', async () => {
    const box = collectSetup();
    const run = await box.trained(WRITES);
    await box.collect(run);
    writeFileSync(join(box.here.home, PROJECT, 'results/a.csv'), 'of another run');
    const answer = await fetch(box, run, ['results/**', 'checkpoints/**']);
    expect(await sent(box)).toEqual({ 'checkpoints/1.pt': 'checkpoints/1.pt' });
    expect(answer.warnings).toEqual([
      '1 file of 14 bytes was left out, because the last change was after the end of the run: results/a.csv',
    ]);
  });

  it('says that nothing matches, that the training has not begun, and that S3 refused', async () => {
    const box = collectSetup();
    const run = await box.trained(WRITES);
    expect(await fetch(box, run, ['plots/**'])).toMatchObject({
      state: 'packed',
      files: 0,
      sha256: null,
      warnings: ['no file that the run created or changed matches the pattern plots/** of outputs'],
    });
    box.store.refuses = () => true;
    expect(await fetch(box, run, ['results/**'], { id: 'f2' })).toMatchObject({
      state: 'uploaded',
      failed: 'S3 answered 403',
    });
    expect(await fetch(box, box.here.run('other'), ['**'])).toMatchObject({ state: 'absent', files: 0 });
    expect(box.store.stored.size).toBe(0);
  });

  it('reads as the user and in the project of the run, whatever the request says', async () => {
    const box = collectSetup();
    const run = await box.trained(WRITES);
    writeFileSync(join(box.here.home, 'secret'), 'secret');
    const wanted = ['../secret', '**'];
    const answer = await fetch(box, run, wanted, { project: 'other', home: '/', user: 'root', outputsFrom: 'all' });
    expect(answer.warnings).toContain('the pattern ../secret of outputs points outside the project');
    expect(Object.keys(await sent(box))).toContain('results/a.csv');
    expect(JSON.stringify(await sent(box))).not.toContain('secret');
    for (const id of ['', '../x', 'a/b', 'x'.repeat(33)]) {
      expect(await fetch(box, run, ['**'], { id })).toMatchObject({ ok: false, error: { name: 'BadRequest' } });
    }
  });

  it('removes what nobody came for, with the next request', async () => {
    const box = collectSetup();
    const run = await box.trained(WRITES);
    await fetch(box, run, ['results/**'], { put: undefined });
    const folder = join(box.here.root, 'runs', run.key, 'fetch-f1');
    expect(readFileSync(join(folder, 'outputs.tar.gz')).length).toBeGreaterThan(0);
    const longAgo = Date.now() / 1_000 - 2 * 3_600;
    utimesSync(folder, longAgo, longAgo);
    await fetch(box, run, ['results/**'], { id: 'f2', put: undefined });
    expect(existsSync(folder)).toBe(false);
  });
});
