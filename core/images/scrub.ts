import { RunError } from '../errors.ts';
import { accept, type InstanceCommands, requestBase } from '../job/instance-commands.ts';
import { runKey } from '../names.ts';
import { chooseInstance, type FoundInstance, type InstanceSelector } from '../workflow/choose-instance.ts';
import type { BakeInput, BakeOutput } from './data.ts';
import { bakeRunId, IMAGE_TAGS } from './names.ts';
import { again, done, type Patience } from './visit.ts';

export interface ScrubPorts {
  readonly instances: { find(selector: InstanceSelector): Promise<FoundInstance[]> };
  readonly commands: InstanceCommands;
  /** Epoch milliseconds. */
  readonly now: () => number;
}

const SCRUB: Patience = { longest: 1_800, error: 'ScrubFailed' };
/** The SSM agent reports the answer before it is stopped. Seconds. */
const DELAY_S = 10;

/**
 * One visit to the builder: asks it to remove all that must not be in an image, after which it powers itself off.
 * @throws RunError `ScrubFailed`: something was found that must not be in an image
 */
export async function scrubBuilder(
  { instances, commands, now }: ScrubPorts,
  { bake, waiting }: BakeInput,
  execution: { readonly arn: string; readonly startedAt: string },
): Promise<BakeOutput> {
  const id = bake.builder ?? '';
  const at = now() / 1_000;
  const [found] = await instances.find({ id });
  const state = found?.state ?? 'gone';
  if (state === 'stopped' && bake.scrubbing) return done(bake);
  if (state === 'stopping' && bake.scrubbing) return again(bake, waiting, at, `${id} powers off.`, SCRUB);
  if (!found || state !== 'running') throw new RunError('ScrubFailed', `The builder ${id} is ${state}.`);
  if (found.tags[IMAGE_TAGS.bake] !== bake.name) {
    throw new RunError(
      'ScrubFailed',
      `${id} is not the builder of this bake: its tag ${IMAGE_TAGS.bake} says another.`,
    );
  }
  const instance = chooseInstance([found], id, { project: bake.project, user: bake.user });
  const run = { id: bakeRunId(bake.name, 'build'), arn: execution.arn };
  const base = requestBase({
    run: { ...run, key: runKey({ ...run, startedAt: execution.startedAt }) },
    instance,
    project: bake.project,
    user: bake.user,
  });
  const { key } = bake;
  try {
    const request = { ...base, verb: 'scrub', image: { key, base: bake.base }, delay: DELAY_S } as const;
    const { state: answer, reasons } = accept('scrub', await commands.ask(id, bake.program, request));
    const why = reasons.join('; ');
    if (answer === 'failed') throw new RunError('ScrubFailed', `${id} could not be scrubbed: ${why}`);
    if (answer === 'busy') return again(bake, waiting, at, `${id} is busy: ${why}.`, SCRUB);
  } catch (error) {
    // Its agent is stopped before it powers off.
    const isSilent =
      error instanceof RunError && ['AgentOffline', 'AgentSilent', 'InstanceNotRunning'].includes(error.name);
    if (!(bake.scrubbing && isSilent)) throw error;
  }
  return again({ ...bake, scrubbing: true }, waiting, at, `${id} removes what must not be in an image.`, SCRUB);
}
