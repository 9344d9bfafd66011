import { DescribeSpotPriceHistoryCommand, EC2Client } from '@aws-sdk/client-ec2';
import { GetProductsCommand, PricingClient } from '@aws-sdk/client-pricing';
import { listPrice } from '../core/cost/list-prices.ts';
import { type Price, type PricedInstance, regionOfZone } from '../core/cost/price.ts';
import { readPriceList } from '../core/cost/read-price-list.ts';
import { withAwsErrors } from './errors.ts';
import { IMPATIENT } from './settings.ts';

export interface Prices {
  /**
   * What an hour of the instance costs now. Never fails: null when no source knows the price, or none has answered in time.
   * @param withinMs how long AWS has to answer
   */
  priceOf(instance: PricedInstance, withinMs: number): Promise<Price | null>;
}

/** How a price was not found is a warning in the function's log, and nothing else. */
type OnError = (message: string, error: Error) => void;

export function createPrices(onError: OnError): Prices {
  return pricesOver(
    {
      ec2: new EC2Client(IMPATIENT),
      // A client of another region for each: the price list has no endpoint in most.
      pricing: (region) => new PricingClient({ ...IMPATIENT, region }),
    },
    onError,
  );
}

export interface PriceClients {
  readonly ec2: Pick<EC2Client, 'send'>;
  readonly pricing: (region: string) => Pick<PricingClient, 'send'>;
}

export function pricesOver(clients: PriceClients, onError: OnError, now: () => number = Date.now): Prices {
  return {
    async priceOf(instance, withinMs) {
      const fallback = listPrice(instance);
      const region = regionOfZone(instance.zone);
      if (!instance.isPlain || region === null) return null;
      const signal = AbortSignal.timeout(withinMs);
      try {
        const usdPerHour = instance.isSpot
          ? await spotPrice(clients.ec2, instance, now(), signal)
          : await onDemandPrice(clients.pricing(pricingRegion(region)), instance.type, region, signal);
        if (usdPerHour === null) return fallback;
        const source = instance.isSpot ? 'spot-history' : 'pricing';
        return { usdPerHour, source, at: new Date(now()).toISOString() };
      } catch (error) {
        onError(`the price of ${instance.type} was not read`, error as Error);
        return fallback;
      }
    },
  };
}

/** The price list of all regions has three endpoints (AWS Billing User Guide, "Price List Query API"): the nearest one. */
function pricingRegion(region: string): string {
  if (/^(eu|me|af|il)-/.test(region)) return 'eu-central-1';
  return region.startsWith('ap-') ? 'ap-south-1' : 'us-east-1';
}

async function onDemandPrice(
  client: Pick<PricingClient, 'send'>,
  type: string,
  region: string,
  abortSignal: AbortSignal,
): Promise<number | null> {
  const wanted = {
    instanceType: type,
    regionCode: region,
    operatingSystem: 'Linux',
    tenancy: 'Shared',
    capacitystatus: 'Used',
    preInstalledSw: 'NA',
    marketoption: 'OnDemand',
  };
  const Filters = Object.entries(wanted).map(([Field, Value]) => ({ Type: 'TERM_MATCH' as const, Field, Value }));
  const command = new GetProductsCommand({ ServiceCode: 'AmazonEC2', FormatVersion: 'aws_v1', Filters });
  const answer = await withAwsErrors('pricing:GetProducts', client.send(command, { abortSignal }));
  return readPriceList((answer.PriceList ?? []).map(String));
}

async function spotPrice(
  client: Pick<EC2Client, 'send'>,
  { type, zone }: PricedInstance,
  now: number,
  abortSignal: AbortSignal,
): Promise<number | null> {
  const command = new DescribeSpotPriceHistoryCommand({
    InstanceTypes: [type as never], // Types that this SDK does not know exist.
    ProductDescriptions: ['Linux/UNIX', 'Linux/UNIX (Amazon VPC)'],
    StartTime: new Date(now), // The price that is in effect, and none before it.
    ...(zone === null ? {} : { AvailabilityZone: zone }),
  });
  const answer = await withAwsErrors('ec2:DescribeSpotPriceHistory', client.send(command, { abortSignal }));
  const found = (answer.SpotPriceHistory ?? []).filter((price) => price.InstanceType === type);
  const [newest] = found.sort((a, b) => (b.Timestamp?.getTime() ?? 0) - (a.Timestamp?.getTime() ?? 0));
  const price = Number(newest?.SpotPrice);
  return Number.isFinite(price) && price > 0 ? price : null;
}
