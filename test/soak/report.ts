import type { Execution } from './asl/execution.ts';
import type { Played } from './play.ts';
import { problems } from './world/check.ts';
import type { Schedule } from './world/schedule.ts';

const OUTPUT_SHOWN = 300;

/** Describes a schedule and what happened in it, to find the cause of a problem. */
export function describeSchedule({ schedule, world, findings }: Played): string {
  const found = problems(findings);
  return [
    ...inputLines(schedule),
    ...[...world.machines.all.values()].flatMap(executionLines),
    ...[...world.logs.streams].map(
      ([name, events]) => `log ${name}: ${events.length} events, ${world.logs.text(name).length} characters`,
    ),
    ...(found.length === 0 ? ['nothing wrong'] : found),
  ].join('\n');
}

function inputLines({ seed, weather, incidents, runs }: Schedule): string[] {
  return [
    `seed ${seed}`,
    `weather ${JSON.stringify(weather)}`,
    ...incidents.map((incident) => `incident ${JSON.stringify(incident)}`),
    ...runs.map(({ id, at, spec, hasRequirements, jobs }) => {
      const plans = Object.entries(jobs).map(([job, { lasts, end, onTerm, output }]) => {
        const bytes = output.reduce((sum, { text }) => sum + Buffer.byteLength(text), 0);
        return `${job} ${Math.round(lasts)} ms ${JSON.stringify({ ...end, onTerm })} ${bytes} bytes`;
      });
      return `run ${id} at ${at} ${JSON.stringify(spec)}${hasRequirements ? ' requirements' : ''}\n  ${plans.join('\n  ')}`;
    }),
  ];
}

function executionLines({ about, status, error, cause, history }: Execution): string[] {
  const events = history.map(({ kind, state, at, output }) => {
    const excerpt = output === null || state === 'Verify archive' ? '' : output.slice(0, OUTPUT_SHOWN);
    return `  ${new Date(at).toISOString().slice(11)} ${kind} ${state} ${excerpt}`;
  });
  return [`${about.machine} ${about.name}: ${status} ${error ?? ''} ${cause ?? ''}`, ...events];
}
