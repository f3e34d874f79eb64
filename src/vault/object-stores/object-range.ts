import assert from 'node:assert/strict';
import type { ObjectRange } from '../store/object-store.ts';

/**
 * Returns the bytes [start, end) that `range` asks for in an object of `objectSize`, perhaps none.
 */
export function resolveRange(
  range: ObjectRange,
  objectSize: number,
): { readonly start: number; readonly end: number } {
  assertRange(range);
  if ('suffix' in range) {
    return { start: Math.max(0, objectSize - range.suffix), end: objectSize };
  }
  const start = Math.min(range.offset, objectSize);
  return { start, end: Math.min(objectSize, start + range.length) };
}

/** Checks that offset and length are byte counts; anything else is a bug in the caller. */
export function assertRange(range: ObjectRange): void {
  const counts = 'suffix' in range ? [range.suffix] : [range.offset, range.length];
  assert(
    counts.every((count) => Number.isSafeInteger(count) && count >= 0),
    `not a range: ${JSON.stringify(range)}`,
  );
}
