import { Parallel } from './parallel.ts';

/**
 * Calls `f` for each item, at most `limit` at once, and returns the results in the order of the
 * items. After the first failure no more begin; those under way are waited for, then the failure
 * is thrown.
 */
export async function mapAtOnce<T, R>(
  items: Iterable<T>,
  limit: number,
  f: (item: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  const parallel = new Parallel(limit);
  try {
    let index = 0;
    for (const item of items) {
      const mine = index;
      index += 1;
      await parallel.add(async () => {
        results[mine] = await f(item);
      });
    }
    await parallel.end();
  } finally {
    await parallel.settle();
  }
  return results;
}
