import type { SectorRange } from './leaf-fragments.ts';

/**
 * Those of `ranges` (ascending, disjoint) that have something in common with `window`. It looks at
 * as many as there are, and at about twice the logarithm of all others.
 */
export function overlapping<T extends SectorRange>(
  ranges: readonly T[],
  window: SectorRange,
): readonly T[] {
  const first = firstWhere(ranges, ({ to }) => to > window.from);
  let end = first;
  while ((ranges[end]?.from ?? Infinity) < window.to) {
    end += 1;
  }
  return ranges.slice(first, end);
}

/** Index of the first that `test` holds for; it holds for all after it. */
function firstWhere<T>(items: readonly T[], test: (item: T) => boolean): number {
  let [low, high] = [0, items.length];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const item = items[middle];
    if (item !== undefined && test(item)) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low;
}
