/** One product of AWS's price list, as far as it is read here. */
interface ListedProduct {
  readonly terms?: {
    readonly OnDemand?: Readonly<
      Record<
        string,
        {
          readonly priceDimensions?: Readonly<
            Record<string, { readonly unit?: string; readonly pricePerUnit?: { readonly USD?: string } }>
          >;
        }
      >
    >;
  };
}

/**
 * Reads the price of an hour from what GetProducts answers.
 * @param products each a JSON text
 * @returns US dollars; null unless all of them that cost something have the same price
 */
export function readPriceList(products: readonly string[]): number | null {
  const prices = new Set(products.flatMap(hourlyPrices));
  const [price] = prices;
  return price !== undefined && prices.size === 1 ? price : null;
}

function hourlyPrices(text: string): number[] {
  const { terms } = parse(text);
  return Object.values(terms?.OnDemand ?? {})
    .flatMap(({ priceDimensions }) => Object.values(priceDimensions ?? {}))
    .filter(({ unit }) => unit === 'Hrs')
    .map(({ pricePerUnit }) => Number(pricePerUnit?.USD))
    .filter((price) => Number.isFinite(price) && price > 0); // What a reservation has paid for is listed as 0.
}

function parse(text: string): ListedProduct {
  try {
    return Object(JSON.parse(text)) as ListedProduct;
  } catch {
    return {};
  }
}
