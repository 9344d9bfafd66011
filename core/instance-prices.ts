export const PRICES_OF = { region: 'us-east-1', date: '2026-06' } as const;

const HOURLY: Readonly<Record<string, number>> = { 'g5.xlarge': 1.006, 'm7g.large': 0.0816 };

/** US dollars an hour; null for a type that is not in the table. */
export function hourlyPrice(type: string): number | null {
  return HOURLY[type] ?? null;
}
