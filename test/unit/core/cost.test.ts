import { describe, expect, it } from 'vitest';
import { capText, costCap, costOf } from '../../../core/cost/cost-cap.ts';
import { costLine, maxCostOf } from '../../../core/cost/cost-line.ts';
import { costOfRun, heldSeconds, instanceCost } from '../../../core/cost/instance-cost.ts';
import { assertAffordable, cappedMessage, capReached, jobCap } from '../../../core/cost/limit.ts';
import { LIST_PRICES_OF, listPrice } from '../../../core/cost/list-prices.ts';
import { dollars, type Price, type PricedInstance, priceText, regionOfZone } from '../../../core/cost/price.ts';
import { readPriceList } from '../../../core/cost/read-price-list.ts';
import { foundInstance as describeInstance } from '../../../core/workflow/choose-instance.ts';
import type { JobSnapshot } from '../../../core/workflow/data.ts';
import type { StateEvent } from '../../../core/workflow/history.ts';
import { instance, jobInput, jobStep, run, spec } from '../../support/fakes/samples.ts';

/** A dollar in 1,000 s. */
const price: Price = { usdPerHour: 3.6, source: 'pricing', at: '2026-11-27T13:02:03.000Z' };
const g5: PricedInstance = { type: 'g5.xlarge', zone: 'us-east-1a', isSpot: false, isPlain: true };
const priced = { ...instance, price };

describe('the time that maxCost pays for', () => {
  it('is what is left after the time used, with the time that ending the job takes inside', () => {
    expect(costCap({ maxCost: 5, price, usedSeconds: 300, grace: 30 })).toEqual({ seconds: 4_670, usedSeconds: 300 });
    expect(costCap({ maxCost: 5, price, usedSeconds: 300, grace: 30, spentUsd: 2 })).toEqual({
      seconds: 2_670,
      usedSeconds: 300,
      spentUsd: 2,
    });
  });

  it('is never negative', () => {
    expect(costCap({ maxCost: 0.01, price, usedSeconds: 300, grace: 30 }).seconds).toBe(0);
  });

  it('is never more than maxCost', () => {
    for (const usedSeconds of [0, 0.4, 17.9, 600]) {
      for (const maxCost of [0.7, 1, 3.33, 4_000]) {
        const { seconds } = costCap({ maxCost, price, usedSeconds, grace: 30 });
        expect(costOf(price, usedSeconds + seconds + 30)).toBeLessThanOrEqual(maxCost + 1e-8);
        expect(costOf(price, usedSeconds + seconds + 31)).toBeGreaterThan(maxCost);
      }
    }
  });
});

describe('the cap of a job that is about to start', () => {
  const input = (maxCost: number | null, heldSince: string | null, changes = {}) =>
    jobInput({ spec: { ...spec, maxCost }, instance: priced, heldSince, ...changes });

  it('counts what the run used since it got the instance', () => {
    // The state is entered at 10:00:10.
    expect(jobCap(input(1, '2026-11-24T09:50:10.000Z'), 30)).toEqual({ seconds: 370, usedSeconds: 600 });
    expect(jobCap(input(1, '2026-11-24T10:01:10.000Z'), 30)).toEqual({ seconds: 970, usedSeconds: 0 });
  });

  it('is none without maxCost, and in a run that an older version began', () => {
    expect(jobCap(input(null, null), 30)).toBeNull();
    const { maxCost: _, ...old } = spec;
    expect(jobCap(jobInput({ spec: old as typeof spec }), 30)).toBeNull();
  });

  it('is never left out because the price is not known', () => {
    const free = jobInput({ spec: { ...spec, maxCost: 5 }, instance });
    expect(() => jobCap(free, 30)).toThrow(expect.objectContaining({ name: 'PriceUnknown' }));
    // Nor because that of an earlier attempt is not.
    const second = { ...free, instance: priced, run: { ...run, spentUsd: null } };
    expect(() => jobCap(second, 30)).toThrow(expect.objectContaining({ name: 'PriceUnknown' }));
  });

  it('refuses a job that nothing is left for', () => {
    expect(() => jobCap(input(0.6, '2026-11-24T09:50:10.000Z'), 30)).toThrow(
      expect.objectContaining({
        name: 'CostCapped',
        message:
          'The run ended before its next step: the instance cost about $0.60 of maxCost ($0.6), at $3.6 an hour (list price of 2026-11-27 13:02 UTC), and 30 s of what is left are for ending a job.',
      }),
    );
    expect(() => jobCap(input(5, '2026-11-24T10:00:10.000Z', { run: { ...run, spentUsd: 4.99 } }), 30)).toThrow(
      /about \$4\.99 of maxCost/,
    );
  });
});

describe('a run with maxCost, before anything is started', () => {
  it('needs a price', () => {
    expect(() => assertAffordable({ maxCost: 5, stopGrace: 30 }, instance, null)).toThrow(
      expect.objectContaining({ name: 'PriceUnknown', message: expect.stringContaining('g5.xlarge') as string }),
    );
    expect(() => assertAffordable({ maxCost: null, stopGrace: 30 }, instance, null)).not.toThrow();
  });

  it('needs a second of training', () => {
    expect(() => assertAffordable({ maxCost: 0.03, stopGrace: 30 }, instance, price)).toThrow(
      expect.objectContaining({ name: 'CostCapped', message: expect.stringMatching(/^Nothing was started/) as string }),
    );
    expect(() => assertAffordable({ maxCost: 0.031, stopGrace: 30 }, instance, price)).not.toThrow();
  });
});

describe('a job that was ended', () => {
  const facts = { spec: { ...spec, maxCost: 1 }, instance: priced };
  const costCap = { seconds: 370, usedSeconds: 600 };

  it('because of maxCost says what it cost, at which price, and how old that is', () => {
    const train = jobStep('train', { state: 'stopped', reason: 'max-duration', costCap });
    expect(capReached(facts, train)).toBe(
      'Training was stopped because of maxCost: the instance cost about $0.97 of maxCost ($1), at $3.6 an hour (list price of 2026-11-27 13:02 UTC).',
    );
    expect(capReached(facts, { ...train, job: 'install' })).toMatch(/^The install was stopped because of maxCost/);
    const earlier = { ...train, costCap: { ...costCap, spentUsd: 0.01 } };
    expect(capReached(facts, earlier)).toContain('about $0.98');
  });

  it('for another reason has reached no cap', () => {
    expect(capReached(facts, jobStep('train', { state: 'stopped', reason: 'max-duration' }))).toBeNull();
    expect(capReached(facts, jobStep('train', { state: 'stopped', reason: 'stop', costCap }))).toBeNull();
    expect(capReached(facts, jobStep('train', { state: 'exited', costCap }))).toBeNull();
    expect(capReached(facts, null)).toBeNull();
  });

  it('has a message even where the facts are lost', () => {
    expect(cappedMessage(null, null, { job: 'train' })).toBe('Training was stopped because the run reached maxCost.');
  });
});

describe('the time for which a run has used its instance', () => {
  const T0 = 1_000_000;
  const entered = (state: string, seconds: number): StateEvent => ({
    kind: 'entered',
    state,
    at: T0 + seconds * 1_000,
    output: null,
  });
  const held = (...events: StateEvent[]) => heldSeconds(events, T0 + 100_000);
  const used = (...events: StateEvent[]) => held(...events)?.total ?? null;

  it('begins with the Sync code that got it, and has not ended', () => {
    expect(used(entered('Find instance', 0), entered('Sync code', 10), entered('Start training', 20))).toBe(90);
  });

  it('leaves the queue out', () => {
    const queue = [entered('Sync code', 10), entered('Wait for instance', 11), entered('Sync code', 70)];
    expect(used(...queue)).toBe(30);
    expect(used(...queue, entered('Wait for instance', 71))).toBeNull();
  });

  it('is the sum over attempts', () => {
    const first = [entered('Find instance', 0), entered('Sync code', 10), entered('Watch training', 20)];
    const second = [entered('Plan attempt', 50), entered('Another attempt?', 52), entered('Sync code', 60)];
    expect(held(...first, ...second)).toEqual({ total: 90, last: 40 });
    expect(held(...first, ...second, entered('Code synced?', 61))).toEqual({ total: 90, last: 40 });
    const queue = [entered('Sync code', 40), entered('Wait for instance', 41), entered('Sync code', 90)];
    expect(held(...first, ...queue)).toEqual({ total: 40, last: 10 });
    expect(held(...first, ...queue.slice(0, 2))).toEqual({ total: 30, last: 0 });
  });

  it('leaves out an instance that is away, unless its training goes on', () => {
    const away = [
      ...[entered('Sync code', 10), entered('Watch training', 20), entered('Plan attempt', 30)],
      ...[entered('Another attempt?', 31), entered('Wait for instance to return', 32), entered('Plan attempt', 50)],
      ...[entered('Another attempt?', 51), entered('Wait for instance to return', 52), entered('Plan attempt', 70)],
    ];
    expect(held(...away)).toEqual({ total: 22, last: 22 });
    expect(held(...away, entered('Sync code', 80))).toEqual({ total: 42, last: 20 });
    expect(held(...away, entered('Finish run', 80))).toEqual({ total: 42, last: 42 });
    expect(held(...away, entered('Watch training', 80))).toEqual({ total: 90, last: 90 });
  });

  it('is none before', () => {
    expect(used(entered('Find instance', 0))).toBeNull();
    expect(used()).toBeNull();
  });

  it('costs by the second', () => {
    const once = { total: 1_500, last: 1_500 };
    expect(instanceCost(price, once)).toEqual({ ...price, usd: 1.5, seconds: 1_500 });
    expect(instanceCost(null, once)).toBeNull();
    expect(instanceCost(undefined, once)).toBeNull();
    expect(instanceCost(price, null)).toBeNull();
  });

  it('costs each attempt at its own price', () => {
    const held = { total: 1_500, last: 500 };
    const facts = (spentUsd?: number | null, sync: JobSnapshot | null = null) => ({
      run: { ...run, ...(spentUsd === undefined ? {} : { spentUsd }) },
      instance: priced,
      sync,
    });
    const busy = jobStep('sync', { state: 'busy' });
    expect(costOfRun(facts(7), held)).toEqual({ ...price, usd: 7.5, seconds: 1_500 });
    expect(costOfRun(facts(null), held)).toBeNull();
    expect(costOfRun(facts(7, busy), { total: 1_000, last: 0 })).toMatchObject({ usd: 7 });
    expect(costOfRun(facts(undefined, busy), held)).toBeNull();
  });
});

describe('words', () => {
  it.each([
    [12.345, '$12.35'],
    [0.5, '$0.50'],
    [0.042_34, '$0.042'],
    [0.000_123, '$0.00012'],
    [0.000_000_4, '$0.000000'],
    [0, '$0.00'],
  ])('%s dollars: %s', (usd, text) => {
    expect(dollars(usd)).toBe(text);
  });

  it('name the source and the age of a price', () => {
    expect(priceText({ ...price, source: 'spot-history' })).toBe('$3.6 an hour (Spot price of 2026-11-27 13:02 UTC)');
    const table = { usdPerHour: 21.957_642, source: 'table', at: '2025-11-30T00:00:00.000Z' } as const;
    expect(priceText(table)).toBe("$21.958 an hour (list price of runctl's table of 2025-11-30)");
  });

  it('of what a run cost', () => {
    const cost = { ...price, usd: 1.5, seconds: 1_500 };
    const rest = '25 min 00 s of the instance at $3.6 an hour (list price of 2026-11-27 13:02 UTC)';
    expect(costLine(cost, null)).toBe(`about $1.50: ${rest}`);
    expect(costLine(cost, 5)).toBe(`about $1.50 of maxCost ($5): ${rest}`);
    expect(costLine(null, 5)).toBeNull();
    expect(costLine({ ...cost, source: 'a later one' }, null)).toContain('(price of 2026-11-27 13:02 UTC)');
    expect(capText({ maxCost: 5, price, usedSeconds: 1_500 })).toContain('about $1.50 of maxCost ($5)');
  });

  it('read the cap of any spec', () => {
    expect([maxCostOf({ maxCost: 5 }), maxCostOf({ maxCost: null }), maxCostOf({}), maxCostOf(null)]).toEqual([
      5,
      null,
      null,
      null,
    ]);
  });
});

describe('what a price depends on', () => {
  const describe_ = (changes: object) => describeInstance({ InstanceType: 'g5.xlarge', ...changes }).priced;
  const Placement = { AvailabilityZone: 'us-east-1a', Tenancy: 'default' };

  it.each([
    [{ Placement }, g5],
    [{ Placement, PlatformDetails: 'Linux/UNIX' }, g5],
    [
      { Placement, InstanceLifecycle: 'spot' },
      { ...g5, isSpot: true },
    ],
    [
      { Placement, InstanceLifecycle: 'capacity-block' },
      { ...g5, isPlain: false },
    ],
    [
      { Placement, PlatformDetails: 'Red Hat Enterprise Linux' },
      { ...g5, isPlain: false },
    ],
    [{ Placement: { ...Placement, Tenancy: 'dedicated' } }, { ...g5, isPlain: false }],
    [{}, { ...g5, zone: null }],
  ])('%o', (changes, expected) => {
    expect(describe_(changes)).toEqual(expected);
  });

  it.each([
    ['us-east-1a', 'us-east-1'],
    ['eu-central-1c', 'eu-central-1'],
    ['us-east-1-bos-1a', null],
    ['us-gov-west-1a', null],
    ['cn-north-1a', null],
    [null, null],
  ])('the region of %s: %s', (zone, region) => {
    expect(regionOfZone(zone)).toBe(region);
  });
});

describe("runctl's table", () => {
  it('has list prices of three regions', () => {
    expect(listPrice(g5)).toEqual({ usdPerHour: 1.006, source: 'table', at: `${LIST_PRICES_OF}T00:00:00.000Z` });
    expect(listPrice({ ...g5, zone: 'us-west-2d' })?.usdPerHour).toBe(1.006);
  });

  it.each([
    { zone: 'eu-central-1a' },
    { isSpot: true },
    { isPlain: false },
    { type: 't3.small' },
    { type: 'constructor' },
    { zone: null },
  ])('has none for %o', (changes) => {
    expect(listPrice({ ...g5, ...changes })).toBeNull();
  });
});

describe('a price list', () => {
  const product = (...prices: [usd: string, unit?: string][]) => {
    const dimensions = prices.map(([USD, unit = 'Hrs'], index) => [`rate${index}`, { unit, pricePerUnit: { USD } }]);
    return JSON.stringify({
      product: { attributes: { instanceType: 'g5.xlarge' } },
      terms: { OnDemand: { 'SKU.TERM': { priceDimensions: Object.fromEntries(dimensions) } }, Reserved: {} },
    });
  };

  it('has one price of an hour', () => {
    expect(readPriceList([product(['1.0060000000'])])).toBe(1.006);
    expect(readPriceList([product(['1.0060000000']), product(['0.0000000000']), product(['1.006'])])).toBe(1.006);
  });

  it.each<[string, string[]]>([
    ['nothing', []],
    ['two prices', [product(['1.006']), product(['2.0'])]],
    ['another unit', [product(['1.006', 'Quantity'])]],
    ['another currency', [JSON.stringify({ terms: { OnDemand: { a: { priceDimensions: { b: { unit: 'Hrs' } } } } } })]],
    ['no JSON', ['<html>']],
    ['something else', ['null', '[]', '{"terms":{}}']],
  ])('with %s has none', (_, products) => {
    expect(readPriceList(products)).toBeNull();
  });
});
