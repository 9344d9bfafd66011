/** Requests to S3 at a time. */
const AT_ONCE = 16;

/** The results of a request for each item, in their order: a batch at a time, so that whoever reads them may stop early. */
export async function* inBatches<T, R>(
  items: readonly T[],
  request: (item: T) => Promise<R>,
): AsyncGenerator<readonly [item: T, result: R]> {
  for (let at = 0; at < items.length; at += AT_ONCE) {
    const some = items.slice(at, at + AT_ONCE);
    const results = await Promise.all(some.map(request));
    for (const [index, item] of some.entries()) yield [item, results[index] as R];
  }
}
