import { chmodSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type CollectSetup, useCollectSetup } from '../support/instance/collect-setup.ts';
import { PROJECT, type TestRun } from '../support/instance/test-instance.ts';

const collectSetup = useCollectSetup();

interface Inventory {
  readonly outputs: readonly { readonly path: string }[];
  readonly leftOut: readonly { readonly path: string; readonly bytes: number; readonly why: string }[];
  readonly others: readonly { readonly folder: string; readonly files: number; readonly bytes: number }[];
}

function write(box: CollectSetup, files: Readonly<Record<string, string | Buffer>>): void {
  for (const [name, content] of Object.entries(files)) {
    const path = join(box.here.home, PROJECT, name);
    mkdirSync(dirname(path), { recursive: true });
    chmodSync(dirname(path), 0o777);
    writeFileSync(path, content);
    chmodSync(path, 0o666);
  }
}

async function collected(box: CollectSetup, run: TestRun, fields: object = {}) {
  const answer = await box.collect(run, fields);
  expect(answer.state).toBe('collected');
  await box.upload(run, ['inventory.json']);
  const inventory = JSON.parse(box.store.text('inventory.json')) as Inventory;
  return { ...inventory, paths: inventory.outputs.map(({ path }) => path), warnings: answer.warnings };
}

describe('outputs of a run', () => {
  it('are the files that it created or changed, whatever their times say', async () => {
    const box = collectSetup();
    const names = ['kept', 'old/deep/kept', 'appended', 'rewritten', 'backdated', 'replaced', 'renamed'];
    write(box, Object.fromEntries(names.map((name) => [`outputs/${name}`, 'before'])));
    const run = await box.trained(`import os
os.chdir("outputs")
open("appended", "a").write("!")
times = os.stat("rewritten")
open("rewritten", "w").write("after!")
os.utime("rewritten", ns=(times.st_atime_ns, times.st_mtime_ns))
open("new-but-old", "w").write("x")
os.utime("new-but-old", (0, 0))
os.utime("backdated", (1, 1))
open("draft", "w").write("before")
os.replace("draft", "replaced")
os.rename("renamed", "new-name")
open("kept").read()
`);
    const { paths, warnings } = await collected(box, run);
    const changed = ['appended', 'backdated', 'new-but-old', 'new-name', 'replaced', 'rewritten'];
    expect(paths).toEqual(changed.map((name) => `outputs/${name}`));
    expect(warnings).toEqual([]);
  });

  it('of a run that fails at once are none of those before it; with from: all they are every file', async () => {
    const box = collectSetup();
    write(box, { 'outputs/model.txt': 'of run A' });
    const first = await box.trained('raise SystemExit(1)\n');
    const { paths, warnings } = await collected(box, first);
    expect([paths, warnings]).toEqual([[], []]);
    const second = await box.trained('raise SystemExit(1)\n');
    expect((await collected(box, second, { outputsFrom: 'all' })).paths).toEqual(['outputs/model.txt']);
  });

  it('of a run whose training never began are none', async () => {
    const box = collectSetup();
    write(box, { 'outputs/model.txt': 'of run A' });
    const { paths, others, warnings } = await collected(box, await box.trained());
    expect([paths, others, warnings]).toEqual([[], [], []]);
  });

  it('are told by the time of the last change where the listing is not whole', async () => {
    const box = collectSetup();
    write(box, { 'outputs/old': 'old' });
    await new Promise((resolve) => setTimeout(resolve, 2_500)); // More than the margin for the kernel's clock.
    const run = await box.trained(`import os
open("outputs/new", "w").write("new")
os.utime("outputs/new", (0, 0))
`);
    const digests = join(box.here.jobFolder(run, 'train'), 'files');
    expect(readFileSync(digests).length % 16).toBe(0);
    rmSync(digests);
    expect((await collected(box, run)).paths).toEqual(['outputs/new']);
  });

  it('at the cap, the newest win, and the others are listed', async () => {
    const box = collectSetup();
    const run = await box.trained(`import os
os.makedirs("outputs")
for number in range(5):
    name = "outputs/model-%d" % (4 - number)
    open(name, "wb").write(os.urandom(300_000))
    os.utime(name, (1_700_000_000 + number, 1_700_000_000 + number))
`);
    const { paths, leftOut, warnings } = await collected(box, run);
    expect(paths).toEqual(['outputs/model-0', 'outputs/model-1', 'outputs/model-2']);
    expect(leftOut).toEqual([
      { path: 'outputs/model-3', bytes: 300_000, why: 'size' },
      { path: 'outputs/model-4', bytes: 300_000, why: 'size' },
    ]);
    expect(warnings).toEqual([
      '2 files of 600000 bytes were left out, because the archive would exceed 1000000 bytes: outputs/model-3, outputs/model-4',
    ]);
  });

  it('beside the patterns are counted by folder; a pattern that nothing matches is a warning', async () => {
    const box = collectSetup();
    write(box, { 'data/input': 'old', 'checkpoints/old': 'old', 'results/a.pt': 'old' });
    const run = await box.trained(`import os
for name in ("checkpoints/1/a", "checkpoints/2/b", "outputs/m.pt", "outputs/m.json", "outputs/m.txt", "top", "__pycache__/x"):
    os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
    open(name, "w").write("x" * 10)
`);
    const patterns = ['outputs/*.{pt,json}', 'results/**', 'outputs/**/*.{ckpt,bin}'];
    const { paths, others, warnings } = await collected(box, run, { outputs: patterns });
    expect(paths).toEqual(['outputs/m.json', 'outputs/m.pt']);
    expect(others).toEqual([
      { folder: 'checkpoints', files: 2, bytes: 20 },
      expect.objectContaining({ files: 1, bytes: 10 }),
      expect.objectContaining({ files: 1, bytes: 10 }),
    ]);
    expect(others.map(({ folder }) => folder).sort()).toEqual(['', 'checkpoints', 'outputs']);
    expect(warnings).toEqual([
      'no file that the run created or changed matches the pattern outputs/**/*.{ckpt,bin} of outputs',
      'no file that the run created or changed matches the pattern results/** of outputs',
    ]);
  });
});
