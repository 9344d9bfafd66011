import type { DescribeSpotPriceHistoryCommand, EC2Client } from '@aws-sdk/client-ec2';
import type { GetProductsCommand, PricingClient } from '@aws-sdk/client-pricing';
import { describe, expect, it } from 'vitest';
import { pricesOver } from '../../../aws/prices.ts';
import type { PricedInstance } from '../../../core/cost/price.ts';

const NOW = Date.parse('2026-11-27T13:02:03Z');
const g5: PricedInstance = { type: 'g5.xlarge', zone: 'us-east-1a', isSpot: false, isPlain: true };
const listed = (USD: string) =>
  JSON.stringify({ terms: { OnDemand: { t: { priceDimensions: { d: { unit: 'Hrs', pricePerUnit: { USD } } } } } } });

function setup(answer: () => Promise<object>) {
  const sent: { region: string; input: object }[] = [];
  const errors: string[] = [];
  const client = (region: string) => ({
    send: (command: GetProductsCommand | DescribeSpotPriceHistoryCommand) => {
      sent.push({ region, input: command.input });
      return answer();
    },
  });
  const clients = {
    ec2: client('own') as unknown as EC2Client,
    pricing: (region: string) => client(region) as unknown as PricingClient,
  };
  const prices = pricesOver(
    clients,
    (message, error) => errors.push(`${message}: ${error.message}`),
    () => NOW,
  );
  return {
    sent,
    errors,
    priceOf: (changes: Partial<PricedInstance> = {}) => prices.priceOf({ ...g5, ...changes }, 5_000),
  };
}
const at = new Date(NOW).toISOString();
const table = { usdPerHour: 1.006, source: 'table', at: '2026-07-20T00:00:00.000Z' };

describe('an instance on demand', () => {
  it('has the price of the price list, of its type, region and platform', async () => {
    const { sent, priceOf } = setup(() => Promise.resolve({ PriceList: [listed('1.0100000000')] }));
    expect(await priceOf()).toEqual({ usdPerHour: 1.01, source: 'pricing', at });
    const filter = (Field: string, Value: string) => ({ Type: 'TERM_MATCH', Field, Value });
    expect(sent).toEqual([
      {
        region: 'us-east-1',
        input: {
          ServiceCode: 'AmazonEC2',
          FormatVersion: 'aws_v1',
          Filters: [
            filter('instanceType', 'g5.xlarge'),
            filter('regionCode', 'us-east-1'),
            filter('operatingSystem', 'Linux'),
            filter('tenancy', 'Shared'),
            filter('capacitystatus', 'Used'),
            filter('preInstalledSw', 'NA'),
            filter('marketoption', 'OnDemand'),
          ],
        },
      },
    ]);
  });

  it.each([
    ['eu-central-1a', 'eu-central-1'],
    ['eu-west-3b', 'eu-central-1'],
    ['ap-northeast-1a', 'ap-south-1'],
    ['ca-central-1a', 'us-east-1'],
    ['sa-east-1a', 'us-east-1'],
  ])('in %s is asked for in %s', async (zone, region) => {
    const { sent, priceOf } = setup(() => Promise.resolve({ PriceList: [listed('1.01')] }));
    await priceOf({ zone });
    expect(sent).toMatchObject([{ region }]);
  });
});

describe('a Spot instance', () => {
  it('has the newest price of its type and zone', async () => {
    const entry = (SpotPrice: string, hour: number, InstanceType = 'g5.xlarge') => ({
      SpotPrice,
      InstanceType,
      Timestamp: new Date(NOW - hour * 3_600_000),
    });
    const SpotPriceHistory = [entry('0.5', 9), entry('0.4', 2), entry('0.1', 1, 'g5.2xlarge')];
    const { sent, priceOf } = setup(() => Promise.resolve({ SpotPriceHistory }));
    expect(await priceOf({ isSpot: true })).toEqual({ usdPerHour: 0.4, source: 'spot-history', at });
    expect(sent).toEqual([
      {
        region: 'own',
        input: {
          InstanceTypes: ['g5.xlarge'],
          ProductDescriptions: ['Linux/UNIX', 'Linux/UNIX (Amazon VPC)'],
          StartTime: new Date(NOW),
          AvailabilityZone: 'us-east-1a',
        },
      },
    ]);
  });

  it('has no price without one: that of an instance on demand is another', async () => {
    const { priceOf } = setup(() => Promise.resolve({ SpotPriceHistory: [] }));
    expect(await priceOf({ isSpot: true })).toBeNull();
  });
});

describe('without an answer', () => {
  it.each<[string, () => Promise<object>]>([
    ['a service that is down', () => Promise.reject(new Error('down'))],
    ['a permission that is missing', () => Promise.reject(Object.assign(new Error('no'), { name: 'AccessDenied' }))],
    ['an empty list', () => Promise.resolve({ PriceList: [] })],
    ['no list', () => Promise.resolve({})],
  ])('%s: the price of the table, else none', async (_, answer) => {
    const { priceOf } = setup(answer);
    expect(await priceOf()).toEqual(table);
    expect(await priceOf({ zone: 'eu-central-1a' })).toBeNull();
  });

  it('waits no longer than it may, and says so in the log', async () => {
    const errors: string[] = [];
    const client = {
      send: (_: unknown, { abortSignal }: { abortSignal: AbortSignal }) =>
        new Promise((_resolve, reject) => {
          abortSignal.addEventListener('abort', () => reject(new Error('too late')));
        }),
    };
    const clients = { ec2: client as unknown as EC2Client, pricing: () => client as unknown as PricingClient };
    const prices = pricesOver(clients, (message, error) => errors.push(`${message}: ${error.message}`));
    expect(await prices.priceOf(g5, 20)).toEqual(table);
    expect(errors).toEqual([expect.stringMatching(/^the price of g5\.xlarge was not read: .*too late/)]);
  });
});

it.each([{ isPlain: false }, { zone: null }, { zone: 'us-east-1-bos-1a' }, { zone: 'cn-north-1a' }])(
  'asks nobody about %o',
  async (changes) => {
    const { sent, priceOf } = setup(() => Promise.resolve({ PriceList: [listed('1.01')] }));
    expect(await priceOf(changes)).toBeNull();
    expect(sent).toEqual([]);
  },
);
