import assert from 'node:assert/strict';
import type { Extent } from './extent.ts';

/** Checks that a range is inside its disk; anything else is a bug in the caller. */
export function assertInside({ offset, length }: Extent, size: number): void {
  assert(
    Number.isSafeInteger(offset) && Number.isSafeInteger(length) && offset >= 0 && length >= 0,
    `not a range: ${String(offset)}+${String(length)}`,
  );
  assert(
    offset + length <= size,
    `range ${String(offset)}+${String(length)} leaves a disk of ${String(size)} bytes`,
  );
}
