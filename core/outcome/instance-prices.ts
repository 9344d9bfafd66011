/** Where and when these list prices of Linux on demand held. They change seldom, and downwards: what is shown of them is an estimate. P4 and P5 are left out, whose prices have changed. */
export const PRICES_OF = { region: 'us-east-1', date: '2025' } as const;

/** US dollars an hour of each size, by family. */
const HOURLY: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  t3: { micro: 0.0104, small: 0.0208, medium: 0.0416, large: 0.0832, xlarge: 0.1664, '2xlarge': 0.3328 },
  m5: { large: 0.096, xlarge: 0.192, '2xlarge': 0.384, '4xlarge': 0.768, '8xlarge': 1.536 },
  m6i: { large: 0.096, xlarge: 0.192, '2xlarge': 0.384, '4xlarge': 0.768, '8xlarge': 1.536 },
  m7i: { large: 0.1008, xlarge: 0.2016, '2xlarge': 0.4032, '4xlarge': 0.8064, '8xlarge': 1.6128 },
  c5: { large: 0.085, xlarge: 0.17, '2xlarge': 0.34, '4xlarge': 0.68, '9xlarge': 1.53 },
  c6i: { large: 0.085, xlarge: 0.17, '2xlarge': 0.34, '4xlarge': 0.68, '8xlarge': 1.36 },
  r5: { large: 0.126, xlarge: 0.252, '2xlarge': 0.504, '4xlarge': 1.008, '8xlarge': 2.016 },
  g4dn: { xlarge: 0.526, '2xlarge': 0.752, '4xlarge': 1.204, '8xlarge': 2.176, '12xlarge': 3.912, '16xlarge': 4.352 },
  g5: {
    xlarge: 1.006,
    '2xlarge': 1.212,
    '4xlarge': 1.624,
    '8xlarge': 2.448,
    '12xlarge': 5.672,
    '16xlarge': 4.096,
    '24xlarge': 8.144,
    '48xlarge': 16.288,
  },
  g6: {
    xlarge: 0.8048,
    '2xlarge': 0.9776,
    '4xlarge': 1.3232,
    '8xlarge': 2.0144,
    '12xlarge': 4.6016,
    '48xlarge': 13.3504,
  },
  p3: { '2xlarge': 3.06, '8xlarge': 12.24, '16xlarge': 24.48 },
};

/** US dollars an hour; null for a type that is not in the table. @param type such as `g5.xlarge` */
export function hourlyPrice(type: string): number | null {
  const [family = '', size = ''] = type.split('.');
  return HOURLY[family]?.[size] ?? null;
}
