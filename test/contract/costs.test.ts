import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { costCap } from '../../core/cost/cost-cap.ts';
import { LIST_PRICES_OF, listPrice } from '../../core/cost/list-prices.ts';
import type { Price } from '../../core/cost/price.ts';
import { bakeCost, environmentMonth, idleCost, imageMonth } from '../../core/outcome/around-runs.ts';
import { estimateCost, metricsCost, pollsIn, summaryCost } from '../../core/outcome/cost.ts';
import { DEFAULT_STOP_AFTER_S } from '../../core/power/watch-power.ts';
import { SUMMARIZE_MEMORY_MIB, SUMMARIZE_S } from '../../core/results/caps.ts';
import { formatDuration } from '../../core/units.ts';
import { LONGEST_WAIT } from '../../core/workflow/poll-timing.ts';

/** The figures of docs/reference/costs.md, and of the pages that repeat them, are what the functions compute. */

const read = (path: string) => readFileSync(fileURLToPath(new URL(`../../${path}`, import.meta.url)), 'utf8');
const page = read('docs/reference/costs.md').replace(/\s+/g, ' ');
const HOUR_S = 3_600;
const POLLS = HOUR_S / LONGEST_WAIT;
const hourOfPolls = estimateCost({ states: 0, polls: POLLS });
const hourOfRun = estimateCost({ states: 20, polls: pollsIn(HOUR_S) });

describe('docs/reference/costs.md', () => {
  it('has what an hour of polls costs, and its parts', () => {
    const transitions = (POLLS * 3 * 0.025) / 1_000;
    expect(page).toContain(`${POLLS} an hour at most`);
    expect(page).toContain(`| Step Functions | ${POLLS} polls × 3 transitions × $0.025 / 1,000 | ${transitions} |`);
    expect(page).toContain(`| ${(hourOfPolls - transitions).toFixed(4)} | | **together**`);
    expect(page).toContain(`| **${hourOfPolls.toFixed(4)}** |`);
  });

  it('has what a run, a week and a month cost', () => {
    expect(page).toContain(`is $${hourOfRun.toFixed(3)}: ${pollsIn(HOUR_S)} polls and about 20 other states`);
    expect(page).toContain(`A week of polls is $${(hourOfPolls * 7 * 24).toFixed(2)}`);
    expect(page).toContain(`a month of 30 days $${(hourOfPolls * 30 * 24).toFixed(2)}`);
    expect(page).toContain(`Metrics cost $${metricsCost().toFixed(4)} for each hour`);
  });

  it.each([
    ['of an hour: 1.5 MB, 5,400 points', 0.5],
    ['of a week: 254 MB, 907,200 points', 20],
    ['a million points, nothing else: 30 MB', 7],
    ['1 GB, 492,000 points', 79],
    ['the longest that it may take', SUMMARIZE_S],
  ])('has what the metrics cost of a log %s', (log, seconds) => {
    const usd = summaryCost(seconds === SUMMARIZE_S ? seconds - 1.5 : seconds, SUMMARIZE_MEMORY_MIB);
    expect(page).toContain(`| ${log} | ${seconds} s | ${usd.toFixed(4)} |`);
  });

  it.each([1, 5, 20])('has how long maxCost %d lasts', (maxCost) => {
    const text = (type: string) => {
      const price = listPrice({ type, zone: 'us-east-1a', isSpot: false, isPlain: true }) as Price;
      expect(page).toContain(`${type}, $${price.usdPerHour} an hour`);
      const { seconds } = costCap({ maxCost, price, usedSeconds: 300, grace: 30 });
      return seconds === 0 ? 'the run ends before its training' : formatDuration(seconds);
    };
    expect(page).toContain(`| ${maxCost} | ${text('g5.xlarge')} | ${text('p5.48xlarge')} |`);
  });

  const priceOf = (type: string) => listPrice({ type, zone: 'us-east-1a', isSpot: false, isPlain: true }) as Price;
  const inDollars = (usd: (price: Price) => number) =>
    ['g5.xlarge', 'p5.48xlarge'].map((type) => usd(priceOf(type)).toFixed(2)).join(' | ');

  it('has what an instance costs until it is stopped', () => {
    const { seconds } = idleCost(priceOf('g5.xlarge'), DEFAULT_STOP_AFTER_S);
    expect(page).toContain(
      `| after its last run, until it is stopped (\`stopAfter\` of ${DEFAULT_STOP_AFTER_S / 60} min) | ${seconds / 60} min | ${inDollars((price) => idleCost(price, DEFAULT_STOP_AFTER_S).usd)} |`,
    );
  });

  it.each([
    ['of small packages', 10, 6],
    ['of torch, or what compiles', 30, 12],
  ])('has what a bake costs %s', (packages, builder, test) => {
    const usd = inDollars((price) => bakeCost(price, { builder: builder * 60, test: test * 60 }));
    expect(page).toContain(`| a bake ${packages} | ${builder} + ${test} min | ${usd} |`);
  });

  it.each([30, 100])('has what the snapshots of an image of %d GB cost', (gigabytes) => {
    expect(page).toContain(`| snapshots of an image, ${gigabytes} GB in use | $${imageMonth(gigabytes).toFixed(2)} |`);
  });

  it.each([
    ['scikit-learn', 0.3],
    ['torch with CUDA', 6],
  ])('has what the stored environment of %s costs', (packages, gigabytes) => {
    const usd = environmentMonth(gigabytes).toFixed(2);
    expect(page).toContain(`| stored environment, ${packages}, ${gigabytes} GB | $${usd} |`);
  });

  it('has the date of the table', () => {
    expect(page).toContain(`as of ${LIST_PRICES_OF}`);
  });
});

it.each(['README.md', 'docs/guide/costs.md', 'docs/guide/first-run.md', 'cli/runs/plan.ts'])(
  '%s says that an hour is under 2 cents, and it is',
  (path) => {
    expect(read(path).replace(/\s+/g, ' ')).toMatch(/under 2 cents/);
    expect(hourOfRun).toBeLessThan(0.02);
  },
);
