/** Losses first: it is what people look for. */
const HEADLINES = [/^(train[_/ -]?)?loss$/i, /loss/i];

/** The metric that stands for a training where there is room for one. */
export function headlineOf<T extends { readonly name: string }>(metrics: readonly T[]): T | null {
  for (const pattern of HEADLINES) {
    const found = metrics.find(({ name }) => pattern.test(name));
    if (found !== undefined) return found;
  }
  return metrics[0] ?? null;
}
