import type { SectorRange } from './leaf-fragments.ts';

/**
 * Returns those of `ranges` (ascending, disjoint) that overlap `window`. Reads as many ranges as it
 * returns, and about twice the logarithm of all others.
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

/** Returns the index of the first item that passes `test`; all items after it must pass too. */
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
