import { describe, expect, it } from 'vitest';
import { RunError } from '../../../../core/errors.ts';
import type { Bake, Waiting } from '../../../../core/images/data.ts';
import { scrubBuilder } from '../../../../core/images/scrub.ts';
import { FakeCommands } from '../../../support/fakes/ports.ts';
import { foundInstance } from '../../../support/fakes/samples.ts';
import { BASE, BUILDER, bake, STARTED } from './support.ts';

const built: Bake = { ...bake, builder: BUILDER };
const asked: Bake = { ...built, scrubbing: true };
const waiting: Waiting = { since: STARTED / 1_000, wait: 10, message: '' };
const execution = { arn: 'arn:aws:states:eu-central-1:111122223333:execution:runctl-bake:demo', startedAt: '' };
const answer = (state: string, ...reasons: string[]) => ({ protocol: 1, ok: true, state, reasons, bootId: 'b' });

function scrub(
  reply: object | Error,
  {
    of = built,
    state = 'running',
    owner = bake.name,
    after = 0,
  }: Partial<Record<'state' | 'owner', string>> & {
    of?: Bake;
    after?: number;
  } = {},
) {
  const commands = new FakeCommands(reply);
  const tags = { ...foundInstance.tags, 'runctl:bake': owner };
  const found = state === 'gone' ? [] : [{ ...foundInstance, id: BUILDER, state, tags }];
  const ports = { instances: { find: async () => found }, commands, now: () => STARTED + after * 1_000 };
  return { commands, output: scrubBuilder(ports, { bake: of, waiting }, execution) };
}

describe('the builder', () => {
  it('is asked to scrub itself, and is done when it has powered itself off', async () => {
    const { commands, output } = scrub(answer('scrubbing'));
    expect(await output).toMatchObject({ bake: { scrubbing: true }, waiting: { wait: 10 } });
    expect(commands.asked[0]?.request).toMatchObject({ verb: 'scrub', image: { key: bake.key, base: BASE } });
    expect(await scrub(answer('scrubbing'), { of: asked, state: 'stopping' }).output).toMatchObject({
      waiting: { message: expect.stringContaining('powers off') },
    });
    const stopped = scrub(answer('scrubbing'), { of: asked, state: 'stopped' });
    expect(await stopped.output).toEqual({ bake: asked, waiting: null });
    expect(stopped.commands.asked).toEqual([]);
  });

  it('that somebody stops before it was asked is not imaged', async () => {
    for (const state of ['stopped', 'stopping', 'terminated', 'gone'])
      await expect(scrub(answer('scrubbing'), { state }).output, state).rejects.toMatchObject({ name: 'ScrubFailed' });
    const gone = scrub(answer('scrubbing'), { of: asked, state: 'terminated' });
    await expect(gone.output).rejects.toMatchObject({ name: 'ScrubFailed' });
  });

  it('whose tag is that of another bake is left alone', async () => {
    const { commands, output } = scrub(answer('scrubbing'), { owner: 'other' });
    await expect(output).rejects.toMatchObject({ name: 'ScrubFailed' });
    expect(commands.asked).toEqual([]);
  });

  it('says what it found, or that a run uses it', async () => {
    const failed = scrub(answer('failed', '/home/ann/deploy.key has a private key'));
    await expect(failed.output).rejects.toMatchObject({
      name: 'ScrubFailed',
      message: expect.stringContaining('deploy.key'),
    });
    const busy = await scrub(answer('busy', 'run x has the instance')).output;
    expect(busy).toMatchObject({ bake: built, waiting: { message: expect.stringContaining('run x') } });
    expect(busy.bake.scrubbing).toBeUndefined();
    const late = scrub(answer('busy', 'run x has the instance'), { after: 1_800 });
    await expect(late.output).rejects.toMatchObject({ name: 'ScrubFailed' });
  });

  it('does not answer any more when its agent is stopped: only then is silence expected', async () => {
    const silent = new RunError('AgentSilent', 'no answer');
    expect(await scrub(silent, { of: asked }).output).toMatchObject({ waiting: { wait: 10 } });
    await expect(scrub(silent).output).rejects.toMatchObject({ name: 'AgentSilent' });
    const refused = scrub(new RunError('AccessDenied', 'no'), { of: asked });
    await expect(refused.output).rejects.toMatchObject({ name: 'AccessDenied' });
  });
});
