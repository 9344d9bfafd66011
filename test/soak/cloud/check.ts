import type { HistoryEvent } from '@aws-sdk/client-sfn';
import { RUN_STATES } from '../../../core/workflow/states.ts';
import type { PlayedInterruption } from './interruptions.ts';
import type { Latest, RunView } from './run-view.ts';
import { digestOf, type Note } from './training.ts';

const MOST_EVENTS = 25_000;
/** A training that was killed so soon after its start, without a checkpoint, may go on from an older one (core/attempts/policy.ts). */
const AT_ONCE_S = 60;

/** Compares how a run ended with a training that nobody interrupts, prints a table, and says what is wrong. */
export async function checkRun(
  run: RunView,
  { steps, noted, played }: { steps: number; noted: readonly Note[]; played: readonly PlayedInterruption[] },
): Promise<string[]> {
  const { status, error, cause } = await run.describe();
  if (status !== 'SUCCEEDED') return [`the run ended ${status}: ${error} ${cause}`];
  const wrong: string[] = [];
  const [manifest, events] = [await run.manifest(), await run.history()];
  const loads = noted.filter((note) => note.kind === 'loaded');
  const done = noted.filter((note) => note.kind === 'done');
  if (done.length !== 1 || done[0]?.digest !== digestOf(steps)) wrong.push(`the result is ${JSON.stringify(done)}`);
  wrong.push(
    ...loads.filter(({ whole }) => !whole).map((note) => `a checkpoint was not whole: ${JSON.stringify(note)}`),
  );
  if (events.length >= MOST_EVENTS) wrong.push(`the history has ${events.length} events`);
  const fell = run.latest.find(({ seq }, index) => seq <= (run.latest[index - 1]?.seq ?? 0));
  if (fell) wrong.push(`latest.json went back to ${fell.seq}`);

  let fallbacks = 0;
  const plans = planTimes(events);
  for (const [index, attempt] of manifest.attempts.entries()) {
    const before = manifest.attempts.slice(0, index);
    const known = [...before.map(({ saved }) => saved?.seq ?? 0), newestBefore(run.latest, plans[index - 1] ?? 0)];
    const newest = Math.max(0, ...known);
    if (attempt.outcome === 'internal') wrong.push(`attempt ${attempt.attempt} ended as internal`);
    if ((attempt.resumedFrom?.seq ?? 0) >= newest) continue;
    const last = before.at(-1);
    const diedAtOnce =
      last !== undefined &&
      ['failed', 'killed'].includes(last.outcome) &&
      last.saved === null &&
      last.seconds <= AT_ONCE_S;
    if (diedAtOnce) fallbacks += 1;
    else wrong.push(`attempt ${attempt.attempt} went on from ${attempt.resumedFrom?.seq}, and ${newest} was committed`);
  }
  const kinds = count(played.map(({ kind }) => kind));
  const outcomes = count(manifest.attempts.map(({ outcome }) => outcome));
  console.log(`interruptions: ${kinds}`);
  console.log(`attempts: ${manifest.attempts.length} (${outcomes})`);
  console.log(
    `checkpoints loaded: ${loads.length}, all whole: ${loads.every(({ whole }) => whole)}; begun anew: ${noted.filter(({ kind }) => kind === 'anew').length}`,
  );
  console.log(
    `latest.json: ${run.latest.length} changes, from ${run.latest[0]?.seq} to ${run.latest.at(-1)?.seq}; attempts from the checkpoint before: ${fallbacks}`,
  );
  console.log(`history: ${events.length} events`);
  return wrong;
}

/** When Plan attempt was entered last before each attempt but the first, epoch ms. */
function planTimes(events: readonly HistoryEvent[]): number[] {
  const times: number[] = [];
  let planned: number | null = null;
  for (const { stateEnteredEventDetails: entered, timestamp } of events) {
    if (entered?.name === RUN_STATES.plan) planned = timestamp?.getTime() ?? null;
    if (entered?.name !== RUN_STATES.sync || planned === null) continue;
    times.push(planned);
    planned = null;
  }
  return times;
}

function newestBefore(latest: readonly Latest[], then: number): number {
  return latest.findLast(({ at }) => at < then)?.seq ?? 0;
}

function count(words: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
  return [...counts].map(([word, number]) => `${word} ${number}`).join(', ');
}
