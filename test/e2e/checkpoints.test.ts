import { beforeAll, expect, it } from 'vitest';
import { Cloud } from '../support/cloud/cloud.ts';
import { projectFolder, runctl, shellEnvironment } from '../support/cloud/runctl.ts';
import { waitFor } from '../support/instance/processes.ts';
import { outputOf } from '../support/outputs.ts';
import { tarGz } from './archives.ts';

let cloud: Cloud;
let env: Record<string, string>;
beforeAll(async () => {
  cloud = await Cloud.connect();
  env = await shellEnvironment();
});

/** Saves a pickle after each epoch. */
const TRAIN = `import os, pickle, sys, time
os.makedirs("checkpoints", exist_ok=True)
for epoch in range(int(sys.argv[1])):
    with open("checkpoints/state.tmp", "wb") as file:
        pickle.dump({"epoch": epoch, "weights": [epoch * 0.5] * 1000}, file)
    os.rename("checkpoints/state.tmp", f"checkpoints/epoch-{epoch}.pkl")
    print("epoch", epoch, flush=True)
    time.sleep(float(sys.argv[2]))
`;

it('a training has its checkpoints in S3 while it runs, and its last one at its end', async () => {
  const key = `uploads/${cloud.project}/saves.tar.gz`;
  await cloud.put(key, await tarGz({ 'train.py': TRAIN }), { args: ['3', '12'], checkpoints: { keep: 2 } });
  const run = await cloud.runAppears(key);
  const folder = projectFolder(cloud.project);
  const id = run.split(':').at(-1) ?? '';
  const early = await waitFor(async () => {
    const { stdout, code, stderr } = await runctl(folder, ['checkpoints', id, '--json'], env);
    expect(code, stderr).toBe(0);
    const { checkpoints } = outputOf('checkpoints', stdout);
    return checkpoints.length > 0 ? checkpoints : null;
  }, 90);
  expect(early[0]).toMatchObject({ format: 'pickle', marked: false, run: id });
  const status = outputOf('status', (await runctl(folder, ['status', id, '--json'], env)).stdout);
  expect(status).toMatchObject({ state: 'training', checkpoint: { format: 'pickle' } });
  const ended = await cloud.finished(run);
  expect(ended.output).toMatchObject({ outcome: 'succeeded', warnings: [] });
  const listed = await runctl(folder, ['checkpoints', id, '--json'], env);
  const last = outputOf('checkpoints', listed.stdout);
  expect(last.checkpoints.map(({ name }) => name)).toEqual(['checkpoints/epoch-2.pkl', 'checkpoints/epoch-1.pkl']);
  expect(last.latest).toBe(last.checkpoints[0]?.seq);
  const text = await runctl(folder, ['checkpoints', id], env);
  expect(text.stdout).toContain('checkpoints/epoch-2.pkl');
  expect(ended.history).not.toMatch(/x-amz-signature|X-Amz-Signature/);
}, 300_000);
