import { z } from 'zod';

const UNITS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };

/** A duration as a person writes it: `90s`, `15m`, `4h`, `2d`, `1w`. It is kept as written. */
export const Duration = z
  .string()
  .regex(/^[1-9]\d{0,4}[smhdw]$/, 'a duration such as 15m, 4h, 2d or 1w');

/** Returns the milliseconds of a `Duration`, or of a number of `ms`. */
export function durationMs(text: string): number {
  const digits = /^\d+/.exec(text)?.[0] ?? '';
  return Number(digits) * UNITS[text.slice(digits.length) as keyof typeof UNITS];
}
