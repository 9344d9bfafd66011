import { estimateCost } from '../core/outcome/cost.ts';
import { EVENTS_PER_STATE, forecastWatch, MOST_EVENTS } from './history-events.ts';
import { atMost, type Row, type Section } from './report.ts';

/** The expected duration of a poll on AWS. SSM alone takes 1 to 3 s. */
export const POLL_SECONDS = 2;
const DOLLARS_AN_HOUR = 0.02;
const EVENTS = 20_000;
/** States of a run outside its watches, from Begin run to Succeeded. */
const STATES = 13;
const SPANS = [
  { name: 'an hour', hours: 1 },
  { name: '7 days', hours: 7 * 24 },
  { name: '30 days', hours: 30 * 24 },
];

/**
 * Estimates the cost of watching on AWS from the events of each state. A test runs a nested watch of the
 * deployed definition up to its hand-over and
 * counts the same states (test/e2e/hand-over.test.ts).
 */
export function benchWatchCost(): Section[] {
  const table = Object.entries(EVENTS_PER_STATE).map(
    ([state, value]): Row => ({ name: state, value, unit: '', target: null }),
  );
  return [
    {
      title: `Events of a state in an execution's history on AWS, ${MOST_EVENTS.toLocaleString('en-US')} at most in all`,
      rows: table,
    },
    {
      title: `Watching a training, list prices of us-east-1 (a poll takes ${POLL_SECONDS} s)`,
      rows: SPANS.flatMap(costOf),
    },
  ];
}

function costOf({ name, hours }: { name: string; hours: number }): Row[] {
  const { polls, watches, eventsPerWatch, eventsOfParent } = forecastWatch(hours * 3_600, POLL_SECONDS);
  return [
    {
      name: `${name}: events of the largest nested watch`,
      value: eventsPerWatch,
      unit: '',
      target: atMost(EVENTS),
      note: `${polls.toLocaleString('en-US')} polls in ${watches} nested watches`,
    },
    { name: `${name}: events of the run itself`, value: eventsOfParent, unit: '', target: atMost(EVENTS) },
    {
      name: `${name}: Step Functions and Lambda`,
      value: estimateCost({ states: STATES + 2 * watches, polls }),
      unit: '$',
      target: atMost(DOLLARS_AN_HOUR * hours),
      note: 'without the free tier',
    },
  ];
}
