import { ERRORS, isErrorName, splitName } from '../errors.ts';
import type { FoundInstance, InstanceSelector } from '../workflow/choose-instance.ts';
import { BAKE_STATES } from '../workflow/states.ts';
import type { CleanUpInput, CleanUpOutput } from './data.ts';
import { bakeRunId, IMAGE_TAGS } from './names.ts';
import type { Images } from './ports.ts';

export interface CleanUpPorts {
  readonly images: Pick<Images, 'tagged' | 'remove' | 'terminate'>;
  readonly instances: { find(selector: InstanceSelector): Promise<Pick<FoundInstance, 'id' | 'state'>[]> };
}

/** The states that run a nested run. */
const RUNS: Readonly<Record<string, 'build' | 'test'>> = { [BAKE_STATES.build]: 'build', [BAKE_STATES.test]: 'test' };
const NEXT = 'Correct the cause, and start the bake again.';

/** Removes what a bake made that did not end well: its instances, and its image. */
export async function cleanUpBake(
  { images, instances }: CleanUpPorts,
  { execution, failure }: CleanUpInput,
): Promise<CleanUpOutput> {
  const { name } = execution;
  const found = await instances.find({ tag: IMAGE_TAGS.bake, value: name });
  await images.terminate(found.filter(({ state }) => state !== 'terminated').map(({ id }) => id));
  for (const image of await images.tagged({ [IMAGE_TAGS.bake]: name })) {
    if (image.tags[IMAGE_TAGS.published] === undefined) await images.remove(image);
  }
  return endingOf(name, failure);
}

function endingOf(bake: string, failure: CleanUpInput['failure']): CleanUpOutput {
  if (failure === null) return ending('RunStopped', 'The bake was stopped.', NEXT, null);
  const { state } = failure;
  const which = RUNS[state];
  if (which !== undefined) {
    const run = bakeRunId(bake, which);
    const { error, message } = readNested(failure);
    const text = `The run ${run} did not succeed: ${error}: ${message}`;
    return ending(error, text, `Read its log: runctl logs ${run}. Then start the bake again.`, state);
  }
  const cause = messageOf(failure.Cause);
  const named = splitName(cause);
  const error = isErrorName(failure.Error) ? failure.Error : (named?.name ?? 'Internal');
  return ending(error, named?.message ?? cause, ERRORS[error].next, state);
}

function ending(error: string, message: string, next: string, state: string | null): CleanUpOutput {
  return { error, cause: JSON.stringify({ state, message, next }) };
}

/** The cause is the description of the execution, or that of the run itself (Step Functions Developer Guide, "Nested workflows"). */
function readNested({ Error: error, Cause }: { Error: string; Cause: string }): { error: string; message: string } {
  const execution = parse(Cause) as { Error?: string; Cause?: string } | null;
  const own = execution?.Cause ?? Cause;
  const ended = parse(own) as { message?: string } | null;
  return { error: execution?.Error ?? error, message: ended?.message ?? own };
}

/** Lambda's cause of a function's error is JSON with a message. */
function messageOf(cause: string): string {
  const read = parse(cause) as { errorMessage?: string } | null;
  return typeof read?.errorMessage === 'string' ? read.errorMessage : cause;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
