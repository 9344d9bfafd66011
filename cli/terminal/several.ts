/** Calls at once: Step Functions throttles list and describe calls at about 15 a second. */
const AT_ONCE = 4;

/** Maps items a few at a time, in their order; stops when the caller takes no more. */
export async function* mapSeveral<T, R>(
  source: AsyncIterable<T> | Iterable<T>,
  map: (one: T) => Promise<R>,
): AsyncGenerator<R> {
  const underWay: Promise<R>[] = [];
  const begin = (one: T) => {
    const result = map(one);
    result.catch(() => undefined); // reported when its result is taken
    underWay.push(result);
  };
  for await (const one of source) {
    begin(one);
    if (underWay.length === AT_ONCE) yield await (underWay.shift() as Promise<R>);
  }
  for (const result of underWay) yield await result;
}

/** The first of them. */
export async function* atMost<T>(count: number, source: AsyncIterable<T>): AsyncGenerator<T> {
  if (count <= 0) return;
  let left = count;
  for await (const one of source) {
    yield one;
    left -= 1;
    if (left === 0) return;
  }
}
