import assert from 'node:assert/strict';

declare const unit: unique symbol;

/** A count of bytes: a non-negative safe integer, so at most 2^53 − 1 (about 8 PiB). */
export type Bytes = number & { readonly [unit]: 'bytes' };

export const KiB = 1024;
export const MiB = 1024 * KiB;
export const GiB = 1024 * MiB;

/** Marks `count` as bytes. A fraction, a negative or an unsafe integer is a bug in the caller. */
export function bytes(count: number): Bytes {
  assert(Number.isSafeInteger(count) && count >= 0, `not a byte count: ${String(count)}`);
  return count as Bytes;
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const;

/** Formats `count` for people: three significant digits and a binary unit, `1.50 GiB`. */
export function formatBytes(count: number): string {
  let value = count;
  let index = 0;
  while (value >= 1000 && index < UNITS.length - 1) {
    value /= 1024;
    index += 1;
  }
  const digits = index === 0 ? 0 : Math.max(0, 2 - Math.floor(Math.log10(Math.max(value, 1))));
  return `${value.toFixed(digits)} ${UNITS[index] ?? ''}`;
}
