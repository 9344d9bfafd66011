import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { AnswerTo } from '../../core/protocol/answers.ts';
import { type CollectSetup, sha256, useCollectSetup } from '../support/instance/collect-setup.ts';
import { usePostStore } from '../support/instance/post-store.ts';
import { type Answer, isAlive, type TestRun, waitFor } from '../support/instance/test-instance.ts';

const setup = useCollectSetup();
const store = usePostStore();
const OUTPUTS = 'outputs.tar.gz';
const PART_BYTES = 100_000;
const TRAIN = `import os
os.makedirs("outputs")
with open("outputs/model.bin", "wb") as file:
    file.write(os.urandom(1_000_000))
`;

async function collected(box: CollectSetup) {
  const run = await box.trained(TRAIN);
  const { state, files } = await box.collect(run, { maxBytes: 1, maxBytesInParts: 2_000_000 });
  expect(state).toBe('collected');
  const file = files?.find(({ name }) => name === OUTPUTS);
  expect(file?.bytes).toBeGreaterThan(1_000_000);
  return { run, file };
}

function upload(box: CollectSetup, run: TestRun, { fields = {}, wait = 15 } = {}): Promise<Answer<AnswerTo<'upload'>>> {
  const { url, fields: right, prefix } = store().grant();
  const grant = { url, fields: { ...right, ...fields }, prefix, partBytes: PART_BYTES };
  return box.upload(run, [], { parts: { [OUTPUTS]: grant }, wait });
}

const parts = () =>
  store()
    .keys()
    .filter((key) => key !== 'parts.json');

function expectWhole(file: { sha256: string; bytes: number } | undefined, answer: Answer<AnswerTo<'upload'>>) {
  const joined = Buffer.concat(parts().map((key) => store().bytes(key)));
  expect({ sha256: sha256(joined), bytes: joined.length }).toEqual({ sha256: file?.sha256, bytes: file?.bytes });
  const list = store().json('parts.json');
  expect(list).toMatchObject({ bytes: file?.bytes, partBytes: PART_BYTES, etags: { length: parts().length } });
  expect(answer).toMatchObject({ state: 'uploaded', failed: {}, parts: { [OUTPUTS]: { etag: expect.any(String) } } });
}

describe('outputs that one PUT does not take', () => {
  it('are packed up to the limit of parts, and sent in parts with the list of them', async () => {
    const box = setup();
    const { run, file } = await collected(box);
    const answer = await upload(box, run);
    expect(parts()).toHaveLength(Math.ceil((file?.bytes ?? 0) / PART_BYTES));
    expectWhole(file, answer);
    const tried = store().tried.length;
    expect(await upload(box, run)).toEqual(answer);
    expect(store().tried).toHaveLength(tried);
  });

  it('go on where a finisher was killed, however often', async () => {
    const box = setup();
    const { run, file } = await collected(box);
    for (let kill = 0; kill < 6; kill += 1) {
      let isHeld = false;
      const before = parts().length;
      store().hold = () => {
        if (parts().length <= before) return Promise.resolve();
        isHeld = true;
        return new Promise(() => undefined);
      };
      expect(await upload(box, run, { wait: 0 })).toMatchObject({ state: 'uploading' });
      const notes = () =>
        existsSync(box.path(run, 'sent-parts.json')) ? readFileSync(box.path(run, 'sent-parts.json'), 'utf8') : '';
      await waitFor(() => (isHeld && parts().some((key) => notes().includes(`"${key}"`))) || null);
      const pid = box.finisherPid(run);
      process.kill(pid, 'SIGKILL');
      await waitFor(() => !isAlive(pid) || null);
    }
    store().hold = () => Promise.resolve();
    expectWhole(file, await upload(box, run));
  });

  it('are sent by the right of a later request, when the first one is not accepted any more', async () => {
    const box = setup();
    const { run, file } = await collected(box);
    expect(await upload(box, run, { fields: { policy: 'an expired policy' }, wait: 0 })).toMatchObject({
      state: 'uploading',
    });
    const pid = await waitFor(() => (existsSync(box.path(run, 'identity.json')) ? box.finisherPid(run) : null));
    expectWhole(file, await upload(box, run));
    expect(box.finisherPid(run)).toBe(pid);
  });

  it('leave the right in no answer and no log, and in no file after the release', async () => {
    const box = setup();
    const { run } = await collected(box);
    store().refuses = () => 503;
    const answer = await upload(box, run, { wait: 1 });
    expect(JSON.stringify(answer)).not.toContain('signed policy');
    expect(readFileSync(box.path(run, 'supervisor.err'), 'utf8')).not.toContain('signed policy');
    await box.here.release(run);
    expect(existsSync(box.path(run, 'grants.json'))).toBe(false);
  });
});
